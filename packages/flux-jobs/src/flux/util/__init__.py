"""What flux-core's command-line tools, and programs like them, have in common."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import flux._ours  # noqa: F401 - refuses another flux
from flux._missing import attribute_error

if TYPE_CHECKING:
    from flux.util._durations import fsd as fsd
    from flux.util._durations import parse_fsd as parse_fsd
    from flux.util._fileref import Fileref as Fileref
    from flux.util._treedict import del_treedict as del_treedict
    from flux.util._treedict import dict_merge as dict_merge
    from flux.util._treedict import get_treedict as get_treedict
    from flux.util._treedict import set_treedict as set_treedict

#: Where each name is.  They load on first use: a program that needs a duration needs no argparse.
_MODULES = {
    "_durations": "fsd parse_fsd",
    "_fileref": "Fileref",
    "_treedict": "del_treedict dict_merge get_treedict set_treedict",
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_PLACES)  # noqa: PLE0605


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    module = _PLACES.get(name)
    if module is None:
        raise attribute_error(__name__, name)
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value
