"""Resources of a job in short, as on a command line (RFC 46)."""

import flux._ours  # noqa: F401 - refuses another flux
