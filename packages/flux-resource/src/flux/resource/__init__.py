"""Sets of resources, and what the resource service and the scheduler say of them."""

from __future__ import annotations

from typing import Any

import flux._ours  # noqa: F401
from flux._missing import attribute_error
from flux.resource.list import SchedResourceList, resource_list
from flux.resource.ResourceCount import ResourceCount
from flux.resource.ResourceSet import ResourceSet
from flux.resource.Rv1Set import Rv1Set

__all__ = ["ResourceCount", "ResourceSet", "Rv1Set", "SchedResourceList", "resource_list"]


def __getattr__(name: str) -> Any:
    raise attribute_error(__name__, name)
