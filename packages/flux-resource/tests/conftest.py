"""What the tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from scripted import limit

__all__ = ["limit"]

# A busy machine is no fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
