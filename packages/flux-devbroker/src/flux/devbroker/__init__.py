"""A development broker for Flux: rank 0 of 1, small enough to start inside a test.

>>> with Broker() as broker:
...     broker.handle().attr_get("size")
'1'
"""

from __future__ import annotations

import flux._ours  # noqa: F401 - refuses another flux
from flux.devbroker._broker import Broker, BrokerError

__all__ = ["Broker", "BrokerError"]
