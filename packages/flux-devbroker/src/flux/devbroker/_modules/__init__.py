"""Broker modules, each in a process of its own: starting, watching and removing them."""

from __future__ import annotations

from flux.devbroker._modules.service import ModuleService

__all__ = ["ModuleService"]
