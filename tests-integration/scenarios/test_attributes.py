from __future__ import annotations

import errno

import pytest

from flux import Flux
from harness.cell import Cell


def test_an_attribute_is_set_and_seen_by_others(cell: Cell, handle: Flux, name: str) -> None:
    attribute = f"test.{name}"
    handle.attr_set(attribute, "one")
    with cell.connect() as other:
        assert other.attr_get(attribute) == "one"
        handle.attr_set(attribute, "two")
        assert other.attr_get(attribute) == "two"
    handle.attr_remove(attribute)
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.attr_get(attribute)
    assert caught.value.errno == errno.ENOENT


def test_an_attribute_that_is_not_there(handle: Flux, name: str) -> None:
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.attr_get(name)
    assert caught.value.errno == errno.ENOENT


def test_an_attribute_that_nobody_may_change(handle: Flux) -> None:
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.attr_set("size", "7")
    assert caught.value.errno == errno.EINVAL


def test_the_command_shows_what_the_handle_does(cell: Cell, handle: Flux) -> None:
    for attribute in ("rank", "size", "version", "local-uri"):
        assert cell.command("getattr", attribute).stdout.strip() == handle.attr_get(attribute)


def test_the_configuration(handle: Flux, name: str) -> None:
    assert isinstance(handle.conf_get(), dict)
    assert handle.conf_get(f"{name}.setting", default="none") == "none"
    assert handle.conf_get(update=True) == handle.rpc("config.get").get()
