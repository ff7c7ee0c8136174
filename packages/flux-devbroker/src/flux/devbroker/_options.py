"""What a broker can be told when it is started, from whichever command line or caller."""

from __future__ import annotations

import json
import os
import signal
from typing import Any, Callable

from flux.devbroker import _config
from flux.devbroker._instance import ENDING_SIGNALS, Instance
from flux.devbroker._program import Program


class Options:
    """How to start a broker.

    Attributes:
        attributes: Attributes to set.
        config: Updates to the configuration, in order.
        config_path: File or directory to read the configuration from, or None.
    """

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}
        self.config: list[dict[str, Any]] = []
        self.config_path: str | None = os.environ.get("FLUX_CONF_DIR")

    def set_attribute(self, text: str) -> None:
        """Take an option of the form ``ATTR=VAL``.

        Raises:
            ValueError: It has another form.
        """
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"expected ATTR=VAL, not '{text}'")
        self.attributes[name] = value

    def load(self) -> Instance:
        """Make the broker.

        Raises:
            OSError: The directory or the socket cannot be made.
            ValueError: An attribute cannot be set, or the configuration is malformed.
        """
        config: dict[str, Any] = {}
        attributes = self.attributes
        if self.config_path:
            attributes = {**attributes, "config.path": self.config_path}
            try:
                config = _config.read(self.config_path)
            except ValueError as exc:
                raise ValueError(f"Config file error: {exc}") from None
        for update in self.config:
            _config.merge(config, update)
        return Instance(attributes, config)


def serve(
    options: Options,
    program: Program | None = None,
    ready: Callable[[Instance], Any] = lambda instance: None,
) -> int:
    """Run a broker in this process, whose main thread this is.

    Args:
        options: How to start it.
        program: The initial program; None for none.
        ready: Called once clients can connect.

    Returns:
        The exit code.

    Raises:
        OSError: The directory or the socket cannot be made.
        ValueError: An attribute cannot be set, or the configuration is malformed.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        # A parent that wants no zombies hands that on, but a broker has to know how children end.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    # One of these that comes while the broker is being made has to wait until it can be obeyed.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        instance = options.load()
        try:
            instance.catch_signals()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            ready(instance)
            return instance.run(program)
        finally:
            instance.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def parse_config(text: str) -> dict[str, Any]:
    """Return what an option ``--conf`` adds to the configuration.

    Args:
        text: A file, JSON, ``KEY=VALUE`` with a dotted key, or TOML.

    Raises:
        ValueError: It is none of these.
    """
    if os.path.exists(text):
        return _config.read(text)
    if text.lstrip().startswith("{"):
        value = json.loads(text)
        return dict(value)
    key, equals, value = text.partition("=")
    if not equals or "\n" in text or not key.strip():
        return _config.parse_toml(text)
    try:
        value = json.loads(value)
    except ValueError:
        # A word without quotes.
        pass
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return dict(value)
