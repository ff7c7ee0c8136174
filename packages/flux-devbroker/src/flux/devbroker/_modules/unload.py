"""Removing all modules at the end of the broker."""

from __future__ import annotations

import syslog
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from flux.devbroker._modules.service import ModuleService

#: Seconds for all modules together to end before they are killed.
PATIENCE = 5.0


class Unloading:
    """Removes modules, the last to be loaded first, and waits for their processes.

    Args:
        service: Where the modules are.
        done: Called when none are left.
    """

    def __init__(self, service: ModuleService, done: Callable[[], None]) -> None:
        self._service = service
        self._done: Callable[[], None] | None = done
        self._asked: object = None
        self._timer = service.handle.timer_watcher_create(PATIENCE, lambda *_args: self.kill())
        self._timer.start()

    def proceed(self) -> None:
        """Go on with the next, if the one before is gone."""
        service = self._service
        if service.modules:
            module = list(service.modules.values())[-1]
            if module is not self._asked:
                self._asked = module
                service.instance.say(syslog.LOG_DEBUG, f"rmmod {module.name}")
                module.stop()
        elif not service.leaving and self._done is not None:
            done, self._done = self._done, None
            self._timer.stop()
            done()

    def kill(self) -> None:
        """Wait no more for those that have not ended."""
        for module in (*self._service.modules.values(), *self._service.leaving):
            if not module.gone:
                self._service.instance.say(
                    syslog.LOG_ERR, f"broker module '{module.name}' was not properly shut down"
                )
            module.stop(cancel=True)
