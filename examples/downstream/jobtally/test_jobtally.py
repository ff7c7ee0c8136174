"""Jobs are counted on a development broker."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from jobtally import tally

from flux import Flux
from flux.devbroker import Broker
from flux.job import event_wait, submit


def jobspec(*command: str) -> dict[str, Any]:
    return {
        "version": 1,
        "resources": [
            {
                "type": "slot",
                "count": 1,
                "label": "task",
                "with": [{"type": "core", "count": 1}],
            }
        ],
        "tasks": [{"command": [*command], "slot": "task", "count": {"per_slot": 1}}],
        "attributes": {"system": {"duration": 0}},
    }


def test_jobs_are_counted_by_how_they_ended(flux_broker: Broker, flux_handle: Flux) -> None:
    for command in ("true", "false", "true"):
        event_wait(flux_handle, submit(flux_handle, jobspec(command)), "clean")
    assert tally(flux_handle) == {"completed": 2, "failed": 1}

    program = Path(sysconfig.get_path("scripts"), "jobtally")
    output = subprocess.check_output([program], env=flux_broker.environ, text=True)
    assert output == "     2 completed\n     1 failed\n"
