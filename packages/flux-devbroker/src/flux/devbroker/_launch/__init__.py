"""Starting broker processes for `flux.devbroker.Broker`: with a warm parent, or without."""

from __future__ import annotations

from flux.devbroker._launch.process import LaunchError, Process, cool_down, launch, warm_up

__all__ = ["LaunchError", "Process", "cool_down", "launch", "warm_up"]
