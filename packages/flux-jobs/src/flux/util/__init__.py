"""What flux-core's command-line tools, and programs like them, have in common."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import flux._ours  # noqa: F401 - refuses another flux
from flux._missing import attribute_error

if TYPE_CHECKING:
    from flux.util._actions import ColorAction as ColorAction
    from flux.util._actions import FilterAction as FilterAction
    from flux.util._actions import FilterActionSetUpdate as FilterActionSetUpdate
    from flux.util._actions import FilterActionUser as FilterActionUser
    from flux.util._actions import FilterTrueAction as FilterTrueAction
    from flux.util._actions import TreedictAction as TreedictAction
    from flux.util._actions import YesNoAction as YesNoAction
    from flux.util._actions import help_formatter as help_formatter
    from flux.util._calls import check_future_error as check_future_error
    from flux.util._calls import encode_payload as encode_payload
    from flux.util._calls import encode_topic as encode_topic
    from flux.util._calls import interruptible as interruptible
    from flux.util._cli import CLIMain as CLIMain
    from flux.util._config_files import xdg_searchpath as xdg_searchpath
    from flux.util._datetimes import parse_datetime as parse_datetime
    from flux.util._durations import fsd as fsd
    from flux.util._durations import parse_fsd as parse_fsd
    from flux.util._fileref import Fileref as Fileref
    from flux.util._output_format import Deduplicator as Deduplicator
    from flux.util._output_format import OutputFormat as OutputFormat
    from flux.util._tree import Tree as Tree
    from flux.util._treedict import del_treedict as del_treedict
    from flux.util._treedict import dict_merge as dict_merge
    from flux.util._treedict import get_treedict as get_treedict
    from flux.util._treedict import set_treedict as set_treedict
    from flux.util._util_config import UtilConfig as UtilConfig
    from flux.util._values import AltField as AltField
    from flux.util._values import DisplayValue as DisplayValue
    from flux.util._values import UtilDatetime as UtilDatetime
    from flux.util._values import UtilFormatter as UtilFormatter
    from flux.util._values import empty_outputs as empty_outputs

#: Where each name is.  They load on first use: a program that needs a duration needs no argparse.
_MODULES = {
    "_actions": "ColorAction FilterAction FilterActionSetUpdate FilterActionUser "
    "FilterTrueAction TreedictAction YesNoAction help_formatter",
    "_calls": "check_future_error encode_payload encode_topic interruptible",
    "_cli": "CLIMain",
    "_config_files": "xdg_searchpath",
    "_datetimes": "parse_datetime",
    "_durations": "fsd parse_fsd",
    "_fileref": "Fileref",
    "_output_format": "Deduplicator OutputFormat",
    "_tree": "Tree",
    "_treedict": "del_treedict dict_merge get_treedict set_treedict",
    "_util_config": "UtilConfig",
    "_values": "AltField DisplayValue UtilDatetime UtilFormatter empty_outputs",
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
