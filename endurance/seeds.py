"""What fuzzing begins with: the messages and jobspecs of the recorded conversations."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flux._codec import PREFIX_SIZE
from flux.message import Message

PACKAGES = Path(__file__).parents[1] / "packages"


def records() -> Iterator[dict[str, Any]]:
    """Yield what was recorded, of all packages."""
    for path in sorted(PACKAGES.glob("*/tests/**/*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            yield json.loads(line)


def messages() -> list[bytes]:
    """Return the distinct messages, without their prefix."""
    return list({base64.b64decode(record["raw"]): None for record in records() if "raw" in record})


def requests() -> list[bytes]:
    """Return the distinct requests as they go on a connection."""
    found = (Message.from_encoded(raw) for raw in messages())
    return [msg.to_stream() for msg in found if msg.type_str == "request"]


def streams() -> list[bytes]:
    """Return pieces of conversations: a few messages each, with their prefixes."""
    encoded = [Message.from_encoded(raw).to_stream() for raw in messages()]
    assert all(len(data) > PREFIX_SIZE for data in encoded)
    return [b"".join(encoded[i : i + 3]) for i in range(0, len(encoded), 3)]


def jobspecs() -> list[bytes]:
    """Return the distinct jobspecs that were submitted."""
    found: dict[bytes, None] = {}
    for record in records():
        payload = record.get("payload")
        if isinstance(payload, dict) and isinstance(payload.get("J"), str):
            parts = payload["J"].split(".")
            if len(parts) == 3:
                found[base64.b64decode(parts[1])] = None
    return list(found)
