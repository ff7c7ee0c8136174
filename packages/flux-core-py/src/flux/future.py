"""Futures: results that are not there yet (flux_future_get(3), flux_future_create(3))."""

from flux._composite import WaitAllFuture, WaitAnyFuture
from flux._future import Future, FutureExt

__all__ = ["Future", "FutureExt", "WaitAllFuture", "WaitAnyFuture"]
