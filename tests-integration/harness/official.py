"""Flux-core's programs, run on a development broker."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from flux.devbroker import Broker
from harness.cell import LIMIT
from harness.fluxcore import official_environ


class Official:
    """Runs programs of flux-core on a development broker.

    Args:
        flux: Path of flux-core's ``flux`` command.
        broker: The broker.
    """

    def __init__(self, flux: str, broker: Broker) -> None:
        self.flux = flux
        self.broker = broker
        self.environ = official_environ(flux, broker.uri)

    def __call__(self, *words: str, stdin: str = "") -> str:
        """Run a command that is to succeed, and return what it printed."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fail(self, *words: str) -> str:
        """Run a command that is to fail, and return what it complained of."""
        done = self.run(*words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [self.flux, *words],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )

    @contextmanager
    def start(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command whose output is read meanwhile; it is killed at the end of the context."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [self.flux, *words], env=self.environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()
