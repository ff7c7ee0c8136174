"""What a command-line program is run by."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Any, Callable, NoReturn

__all__ = ["CLIMain"]


class CLIMain:
    """A decorator for the main function of a program: it runs it, and exits.

    An exception is logged as its text, with a traceback at the level of debugging; the environment
    variable FLUX_PYCLI_LOGLEVEL sets the level.

    Args:
        logger: Where to log; None: to the root logger.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.logger = logging.getLogger() if logger is None else logger

    def __call__(self, main_func: Callable[[], Any]) -> NoReturn:
        """Run the function.

        Raises:
            SystemExit: In the end.
        """
        level = int(os.environ.get("FLUX_PYCLI_LOGLEVEL", logging.INFO))
        logging.basicConfig(level=level, format="%(name)s: %(levelname)s: %(message)s")
        try:
            main_func()
            code = 0
        except Exception as exc:  # noqa: BLE001, RUF100 - the user sees it, not a traceback
            # Of an OSError without its number.
            text = getattr(exc, "strerror", None) or str(exc)
            filename = getattr(exc, "filename", None)
            self.logger.error(f"{text}: '{filename}'" if filename else text)  # noqa: G004, TRY400, RUF100
            self.logger.debug(traceback.format_exc())
            code = 1
        sys.exit(code)
