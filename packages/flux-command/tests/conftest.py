"""The tests use development brokers, by the fixtures of the plugin."""

from __future__ import annotations

from flux.devbroker.pytest_plugin import flux_broker, flux_handle, pytest_configure

__all__ = ["flux_broker", "flux_handle", "pytest_configure"]
