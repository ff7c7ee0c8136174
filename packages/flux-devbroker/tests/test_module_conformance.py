"""The recorded conversations about modules, had again with this broker.

What the clients sent is sent again, but for the paths of modules.  Everything that comes back is
compared, but for what `same` names.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from flux.devbroker import Broker, BrokerError
from flux.message import Message

HERE = Path(__file__).parent
TRANSCRIPTS = HERE / "transcripts-modules"

#: The directories of the modules that stand for those of the recorded conversations.
MODULES = (HERE / "modules", HERE.parents[1] / "flux-brokermod" / "tests" / "modules")

RECORDED_DIRECTORY = b"/run/mods/"

BARE = {"broker.rc1_path": "", "broker.rc3_path": ""}

#: Lines of the log that are not compared: what the broker says before there are modules, what the
#: recorded broker says when it forgets events, and the account that our modules give of a crash.
SKIPPED_LINES = re.compile(
    rb"> *|.*(insmod (config|connector-local|groups|rexec|overlay)|allow-|->|online:|mcast failed"
    rb")|<24>1 \S+ 0 demo "
)

#: Parts of a log line that no two runs have in common.
LINE = re.compile(rb"^(<\d+>1 )\S+ (\d+ \S+ )\d+|(?<=pid=)\d+")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    for directory in MODULES:
        for file in directory.iterdir():
            if file.is_file():
                shutil.copy(file, tmp_path)
    (tmp_path / "syntaxerr.py").write_text("def mod_main(h, *args:\n")
    loader = tmp_path / "muteloader"
    loader.write_text(loader.read_text("utf-8").replace("PYTHON", sys.executable))
    loader.chmod(0o755)
    return tmp_path


class Conversation:
    def __init__(self, name: str, modules: Path, connect: Any) -> None:
        text = (TRANSCRIPTS / f"{name}.jsonl").read_text("utf-8")
        self.records = [json.loads(line) for line in text.splitlines()]
        self.directory = str(modules).encode() + b"/"
        self.connect = connect
        self.name = name
        self.early: list[Message] = []

    def run(self) -> None:
        clients: dict[int, Any] = {}
        last: dict[int, Message] = {}
        for record in self.records:
            conn, kind = record["conn"], record["type"]
            if kind == "connect":
                clients[conn] = self.connect()
            elif kind == "auth":
                assert clients[conn].greeting == record["byte"]
            elif kind == "eof":
                if record["dir"] == "c2b":
                    clients[conn].close()
            elif record["dir"] == "c2b":
                last[conn] = self.recorded(record)
                clients[conn].send(last[conn])
                if last[conn].streaming and record["topic"] == "module.trace":
                    # Wait until it is in force: what follows is said on another connection.
                    assert clients[conn].request("attr.get", {"name": "rank"}).errnum == 0
            elif not self.skipped(self.recorded(record)):
                self.expect(clients[conn], self.recorded(record), last[conn])

    def recorded(self, record: dict[str, Any]) -> Message:
        msg = Message.from_encoded(base64.b64decode(record["raw"]))
        if msg.data is not None:
            msg.data = msg.data.replace(RECORDED_DIRECTORY, self.directory)
        return msg

    def skipped(self, msg: Message) -> bool:
        return msg.raw_topic == "log.dmesg" and bool(SKIPPED_LINES.match(msg.data or b""))

    def expect(self, client: Any, expected: Message, request: Message) -> None:
        got = self.receive(client, expected)
        if "crash" in self.name and expected.raw_topic == "demo.crash":
            # Unlike the recorded ones, our modules answer what they fail to do.
            expected = got
        ours, theirs = self.fields(got), self.fields(expected)
        if "muted" in self.name or "crash" in self.name:
            while request.raw_topic == "module.list" and ours != theirs:
                # The module's report comes some time after the answer before it.
                client.send(request)
                ours = self.fields(client.receive())
        assert ours == theirs

    def receive(self, client: Any, expected: Message) -> Message:
        """Return the next message, or for a response the one to the same request.

        Requests that are under way at once are answered in any order.
        """
        for msg in self.early:
            if (msg.raw_topic, msg.aux2) == (expected.raw_topic, expected.aux2):
                self.early.remove(msg)
                return msg
        while True:
            got: Message = client.receive()
            if self.skipped(got):
                continue
            if "slow-start" in self.name and got.raw_topic != expected.raw_topic:
                self.early.append(got)
                continue
            return got

    def fields(self, msg: Message) -> dict[str, Any]:
        return {
            "type": msg.type_str,
            "flags": msg.flags,
            "userid": msg.userid if msg.userid != os.getuid() else 0,
            "rolemask": msg.rolemask,
            "aux1": msg.aux1,
            "aux2": msg.aux2,
            "topic": msg.raw_topic,
            "routes": msg.routes,
            "payload": payload(msg),
        }


def payload(msg: Message) -> Any:
    """Return a payload without what no two runs have in common."""
    data, topic = msg.data, msg.raw_topic or ""
    if data is None or msg.aux1:
        return data
    if topic == "log.dmesg":
        return LINE.sub(rb"\1\2", data)
    value = json.loads(data[:-1])
    if topic.endswith(".ping"):
        value["route"] = value["route"].count("!")
        value["userid"] = 0
    elif topic.endswith(".rusage"):
        value = {name: type(item) for name, item in value.items()}
    elif topic == "module.list":
        value = sorted(
            # Of one that has never said anything, a very long time.
            [
                mod["name"] if mod["path"] == "builtin" else {**mod, "idle": mod["idle"] > 1e6}
                for mod in value["mods"]
            ],
            key=str,
        )
    elif topic == "module.trace":
        value["timestamp"] = type(value["timestamp"])
        # There are no blanks in our modules' JSON.
        value["payload_size"] = bool(value["payload_size"])
    elif topic == "attr.get" and value["flags"]:
        value = type(value["value"])
    elif "value" in value:
        value["value"] = value["value"].partition("+")[0]
    return value


NAMES = sorted(path.stem for path in TRANSCRIPTS.glob("*.jsonl"))


def test_the_corpus_is_complete():
    assert len(NAMES) == 17


@pytest.mark.flux_broker(attributes=BARE)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "module-crash-panic-client"])
def test_the_conversation_goes_as_with_a_real_broker(name, modules, raw_client):
    Conversation(name, modules, raw_client).run()


def test_a_broker_that_is_to_panic_does_and_says_why(modules):
    broker = Broker(attributes={**BARE, "broker.module-nopanic": "0"})
    with broker.handle() as handle:
        handle.rpc("module.load", {"path": f"{modules}/demo.py", "args": []}).get()
        with pytest.raises(OSError, match=r"."):
            handle.rpc("demo.crash").get()
        # The connection ends with the broker.
        with pytest.raises(OSError, match=r"lost connection|Connection reset"):
            handle.event_recv()
    with pytest.raises(BrokerError) as caught:
        broker.stop()
    assert "exit code 1" in str(caught.value)
    assert "broker.crit[0]: demo module runtime failure" in caught.value.stderr
