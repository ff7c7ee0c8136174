"""Python for the Flux message broker, speaking the Flux protocol itself.

The one name most programs need is `Flux`, a connection to a broker:

>>> import flux
>>> flux.Flux().rpc("broker.ping", {"seq": 1}).get()["seq"]
1
"""

from __future__ import annotations

import os
import sys

__all__ = ["Flux", "Future", "Message"]


def _portions() -> list[str]:
    """Return the directories of other distributions that add to this package.

    Installed as wheels they all lie in one directory; installed editable each has its own.
    A directory with an ``__init__.py`` is not a portion but another implementation of this
    package, such as the bindings that come with flux-core, and must not be mixed in.
    """
    own = [os.path.realpath(path) for path in __path__]
    found = []
    for entry in sys.path:
        path = os.path.join(entry or os.curdir, "flux")
        if (
            os.path.isdir(path)
            and not os.path.exists(os.path.join(path, "__init__.py"))
            and os.path.realpath(path) not in own
        ):
            found.append(path)
    return found


__path__ = [*__path__, *_portions()]

from flux import _missing, _ours  # noqa: E402, F401
from flux.core.handle import Flux  # noqa: E402
from flux.future import Future  # noqa: E402
from flux.message import Message  # noqa: E402

sys.meta_path.append(_missing.Finder)


def __getattr__(name: str) -> object:
    raise _missing.attribute_error(__name__, name)
