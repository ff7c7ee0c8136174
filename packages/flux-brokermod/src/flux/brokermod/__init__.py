"""Broker modules in Python.

Subclass `BrokerModule` and mark its handlers with `request_handler` and `event_handler`.  The
same file then runs under ``flux module load``, under the development broker, and in the
foreground with ``python -m flux.brokermod FILE``.
"""

from __future__ import annotations

import flux._ours  # noqa: F401 - refuses another flux
from flux.brokermod._entry import resolve_entry_point
from flux.brokermod._handlers import event_handler, request_handler
from flux.brokermod._logger import BrokerLogger
from flux.brokermod._module import BrokerModule

__all__ = [
    "BrokerLogger",
    "BrokerModule",
    "event_handler",
    "request_handler",
    "resolve_entry_point",
]
