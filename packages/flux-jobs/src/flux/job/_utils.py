"""What flux-core's bindings have here, for programs that import it from this place."""

from __future__ import annotations

from flux.job._batch_config import BatchConfig
from flux.job._submit_options import decode_signal
from flux.job._submit_options import duration as decode_duration

__all__ = ["BatchConfig", "decode_duration", "decode_signal"]
