"""Which function of a file runs the module."""

from __future__ import annotations

import types

import pytest

import flux.brokermod
from flux.brokermod import BrokerModule, resolve_entry_point


def file(**names):
    mod = types.ModuleType("file")
    vars(mod).update(names)
    return mod


class Recorder(BrokerModule):
    def __init__(self, h, *args):
        self.made_with = (h, *args)

    def run(self):
        self.made_with[0].append(self.made_with[1:])


class Other(Recorder):
    pass


def test_the_public_names_are_those_of_the_reference():
    assert sorted(flux.brokermod.__all__) == [
        "BrokerLogger",
        "BrokerModule",
        "event_handler",
        "request_handler",
        "resolve_entry_point",
    ]
    assert all(hasattr(flux.brokermod, name) for name in flux.brokermod.__all__)


def test_mod_main_is_returned_as_it_is():
    def mod_main(h, *args):
        pass

    assert resolve_entry_point(file(mod_main=mod_main, Recorder=Recorder)) is mod_main


def test_a_single_subclass_is_made_with_handle_and_arguments_and_run():
    ran: list[tuple[str, ...]] = []
    assert resolve_entry_point(file(Recorder=Recorder))(ran, "a", "b") is None
    assert ran == [("a", "b")]


def test_the_base_class_that_a_file_imports_does_not_count():
    resolve_entry_point(file(BrokerModule=BrokerModule, Recorder=Recorder))
    with pytest.raises(ValueError, match=r"no mod_main\(\)"):
        resolve_entry_point(file(BrokerModule=BrokerModule))


def test_one_class_under_two_names_is_one():
    resolve_entry_point(file(Recorder=Recorder, Alias=Recorder))


def test_several_subclasses_need_mod_main():
    with pytest.raises(ValueError, match=r"multiple BrokerModule subclasses.*Recorder, Other"):
        resolve_entry_point(file(Recorder=Recorder, Other=Other))


def test_a_file_with_nothing_to_run_is_refused():
    with pytest.raises(ValueError, match=r"no mod_main\(\) or BrokerModule subclass"):
        resolve_entry_point(file(x=1, y=int))
