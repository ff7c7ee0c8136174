"""The broker process: ``python -m flux.devbroker._launch.child``, or a fork of the warm parent.

Standard input and output are one socket, the line to whoever asked for the broker. By it comes a
line of JSON with the options and, once clients can connect, goes one with where; at its end the
broker ends.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

from flux.devbroker._instance import Instance
from flux.devbroker._launch import lifeline, surroundings
from flux.devbroker._options import Options, serve

#: Bytes to ask the line for at a time.
_READ_SIZE = 1 << 16


def main() -> NoReturn:
    """Run the broker, and exit."""
    code = 1
    try:
        code = _serve()
    except (OSError, ValueError) as exc:
        text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        sys.stderr.write(f"flux-broker: {text}\n")
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # All is closed that has to be: to take the interpreter apart takes longer than that did.
        os._exit(code)


def _serve() -> int:
    text = b""
    # Read without buffering: the descriptor is watched later on.
    while not text.endswith(b"\n"):
        data = os.read(0, _READ_SIZE)
        if not data:
            raise ValueError("standard input ended before the options")
        text += data
    given = json.loads(text)
    if given["surroundings"] is not None:
        surroundings.apply(given["surroundings"])
    options = Options()
    options.attributes = given["attributes"]
    options.config = [given["config"]]
    # Whoever made the options has said it all: the environment has no say.
    options.config_path = None
    line = os.dup(0)
    private = options.attributes.get("rundir-cleanup") == "1"
    lifeline.die_with(line, options.attributes["rundir"] if private else None)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def ready(instance: Instance) -> None:
        instance.hold_on_to(line)
        instance.regularly(lifeline.INTERVAL, lifeline.bound_stderr)
        path = os.path.join(instance.attributes.values["rundir"], "bin")
        os.write(1, json.dumps({"uri": instance.uri, "path": path}).encode() + b"\n")
        # What is printed from now on is for whoever reads the broker's messages.
        os.dup2(2, 1)

    return serve(options, None, ready)


if __name__ == "__main__":
    main()
