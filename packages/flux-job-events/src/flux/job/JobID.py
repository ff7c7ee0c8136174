"""Job ids, where flux-core's bindings have them (RFC 19)."""  # noqa: N999

from __future__ import annotations

from flux.job._jobid import JobID, id_encode, id_parse

__all__ = ["JobID", "id_encode", "id_parse"]
