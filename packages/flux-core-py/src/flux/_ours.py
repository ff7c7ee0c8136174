"""Imported first by each part of this `flux`, to stop where that part would join another one.

flux-core's official bindings are a package of the same name.  Where Python finds theirs first, it
takes in what else is called `flux` on `sys.path`, and so our parts that it has not itself.
"""

from __future__ import annotations

import os
import sys

#: A file of the official bindings that this package does not have.
_THEIRS = os.path.join("core", "trampoline.py")


def _conflict(own: str) -> str | None:
    """Return what is wrong with the `flux` that the interpreter has, if anything.

    Args:
        own: The directory of this file.
    """
    found = sys.modules["flux"]
    is_ours = hasattr(found, "_portions")
    file = getattr(found, "__file__", None)
    if file is None:
        return (
            f"{own} is incomplete: uninstall the official Flux bindings (flux-python) and "
            "reinstall flux-core-py"
        )
    other = os.path.dirname(file)
    if is_ours:
        mixed = os.path.exists(os.path.join(own, _THEIRS)) or _theirs_installed(own)
    else:
        mixed = os.path.realpath(other) == os.path.realpath(own)
    if mixed:
        return (
            f"{own} holds files of both flux-core-py and the official Flux bindings "
            "(flux-python), so that neither works: uninstall both, then install the one you want"
        )
    if is_ours:
        return None
    text = (
        f"{own} belongs to flux-core-py, but Python found the `flux` in {other} first, and the "
        "two cannot be mixed: "
    )
    if os.path.dirname(other) in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        return text + "PYTHONPATH leads there; run the program under `env -u PYTHONPATH`"
    return text + "uninstall one of them, or put the one you want first on sys.path"


def _theirs_installed(own: str) -> bool:
    """Return True if flux-python is installed into the directory that this package is in.

    Whichever of the two came last has overwritten files of the other, of which pip says nothing.
    """
    try:
        names = os.listdir(os.path.dirname(own))
    except OSError:
        return False
    return any(name.startswith("flux_python-") and name.endswith(".dist-info") for name in names)


_text = _conflict(os.path.dirname(__file__))
if _text is not None:
    raise ImportError(_text, name="flux")
