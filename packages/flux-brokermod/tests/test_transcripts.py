"""The recorded conversations of official modules with a real broker, held with our loader."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, Callable

import pytest

from flux.message import Message

HERE = Path(__file__).parent

#: Conversation, and the module that had it.
CASES = {
    "as-client": "demo",
    "cancel": "svc",
    "crash-nopanic": "demo",
    "debug-defer": "demo",
    "init-exception": "failexc",
    "init-oserror": "failinit",
    "init-valueerror": "failvalue",
    "lifecycle": "demo",
    "methods": "demo",
    "name-override": "demo",
    "returns-at-once": "quit",
    "services": "svc",
    "slow-start": "slow",
    "trace": "demo",
}

#: What differs from run to run in a log entry: the time and the process id.
LOG_ENTRY = re.compile(r"(<\d+>1 )\S+( \S+ \S+ )\d+( - - )")


@pytest.mark.parametrize("case", CASES)
def test_the_loader_says_what_the_official_one_said(case: str, spawn: Callable[..., Any]):
    channel = spawn(HERE / "modules" / f"{CASES[case]}.py")
    records = HERE / "transcripts" / f"module-{case}-channel.jsonl"
    ended = False
    for line in records.read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["type"] == "auth":
            channel.sock.sendall(bytes([record["byte"]]))
        elif record["type"] == "eof":
            assert channel.read() is None
        elif record["type"] == "exit":
            assert channel.process.wait(20) == record["returncode"]
            ended = True
        elif record["dir"] == "b2c":
            channel.send(Message.from_encoded(base64.b64decode(record["raw"])))
        else:
            found = channel.read()
            while case == "crash-nopanic" and is_our_account_of_the_crash(found):
                found = channel.read()
            assert found is not None, channel.fate()
            recorded = Message.from_encoded(base64.b64decode(record["raw"]))
            assert comparable(found) == comparable(recorded), record["seq"]
    assert ended or case == "cancel"


def is_our_account_of_the_crash(msg: Message | None) -> bool:
    """Unlike the official one, our module answers the request and logs the traceback."""
    assert msg is not None
    return msg.raw_topic == "demo.crash" or (
        msg.raw_topic == "log.append" and (msg.payload_bytes or b"").startswith(b"<24>")
    )


def comparable(msg: Message) -> dict[str, Any]:
    """Return all fields of a message, without what no two runs have in common."""
    fields = {
        name: getattr(msg, name)
        for name in ("type", "flags", "userid", "rolemask", "raw_topic", "routes", "aux1", "aux2")
    }
    if msg.raw_topic == "log.append":
        assert msg.payload_bytes is not None
        fields["payload"] = LOG_ENTRY.sub(r"\1TIME\2PID\3", msg.payload_bytes.decode())
    elif msg.payload_bytes is None or not msg.payload_bytes.startswith(b"{"):
        fields["payload"] = msg.payload_bytes
    elif msg.raw_topic == "demo.rusage":
        fields["payload"] = {name: type(value) for name, value in msg.payload.items()}
    else:
        fields["payload"] = msg.payload
    return fields
