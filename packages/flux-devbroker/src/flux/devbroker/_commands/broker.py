"""``flux broker``: the broker process of `flux.devbroker.Broker`.  Not for use by hand.

Standard input is one line of JSON with the options, and then nothing: at its end the broker ends.
Standard output gets one line of JSON once clients can connect.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Callable

from flux.command._common import CommandError, Parser
from flux.devbroker._instance import Instance
from flux.devbroker._options import Options, serve

HELP = ""

#: Bytes to ask standard input for at a time.
_READ_SIZE = 1 << 16


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments: none."""
    return command


def command(args: argparse.Namespace) -> int:
    """Run the broker."""
    # Read without buffering: the descriptor is watched later on.
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(0, _READ_SIZE)
        if not data:
            raise CommandError("standard input ended before the options")
        line += data
    given = json.loads(line)
    options = Options()
    options.attributes = given["attributes"]
    options.config = [given["config"]]
    # Whoever made the options has said it all: the environment has no say.
    options.config_path = None
    # Tests get what they ask for, whatever the environment says.
    options.config_path = None
    lifeline = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def ready(instance: Instance) -> None:
        instance.hold_on_to(lifeline)
        path = os.path.join(instance.attributes.values["rundir"], "bin")
        os.write(1, json.dumps({"uri": instance.uri, "path": path}).encode() + b"\n")
        # What is printed from now on is for whoever reads the broker's messages.
        os.dup2(2, 1)

    try:
        return serve(options, None, ready)
    except ValueError as exc:
        raise CommandError(str(exc)) from None
    finally:
        sys.stdout.flush()
