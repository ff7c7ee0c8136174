"""What a full instance has beyond the built-in modules; the original loads it in its rc1 script.

A broker whose attribute ``broker.rc1_path`` is empty does without, and does not import it.
"""

from __future__ import annotations

from flux.devbroker._jobs import SERVICES as JOB_SERVICES
from flux.devbroker._kvs import SERVICES as KVS_SERVICES
from flux.devbroker._service import Service

#: Modules by name, in the order in which they are loaded.
MODULES: dict[str, type[Service]] = {
    **KVS_SERVICES,
    **JOB_SERVICES,
}
