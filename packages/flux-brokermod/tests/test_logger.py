"""`BrokerLogger`: the threshold, and what passes it."""

from __future__ import annotations

import syslog

import pytest

from flux.brokermod import BrokerLogger


class Handle:
    """Takes what is logged."""

    def __init__(self):
        self.logged = []

    def log(self, level, text):
        self.logged.append((level, text))


@pytest.fixture
def handle():
    return Handle()


@pytest.fixture
def log(handle):
    return BrokerLogger(handle)


def test_at_first_everything_passes(log, handle):
    assert log.level == syslog.LOG_DEBUG
    log.debug("x")
    assert handle.logged == [(syslog.LOG_DEBUG, "x")]


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("debug", syslog.LOG_DEBUG),
        ("info", syslog.LOG_INFO),
        ("notice", syslog.LOG_NOTICE),
        ("warning", syslog.LOG_WARNING),
        ("error", syslog.LOG_ERR),
        ("critical", syslog.LOG_CRIT),
        ("alert", syslog.LOG_ALERT),
        ("emerg", syslog.LOG_EMERG),
    ],
)
def test_each_method_logs_at_its_severity(log, handle, method, level):
    getattr(log, method)("text")
    assert handle.logged == [(level, "text")]


def test_it_is_callable_in_the_way_of_the_handles_own_log(log, handle):
    log(syslog.LOG_ERR, "text")
    assert handle.logged == [(syslog.LOG_ERR, "text")]


def test_messages_beyond_the_threshold_are_dropped(log, handle):
    log.level = "info"
    log.debug("dropped")
    log(syslog.LOG_DEBUG, "dropped")
    log.info("kept")
    log.error("kept")
    assert [text for _, text in handle.logged] == ["kept", "kept"]


@pytest.mark.parametrize("value", [syslog.LOG_WARNING, "warning", "WARNING"])
def test_the_level_is_assigned_by_number_or_name_and_read_as_number(log, value):
    log.level = value
    assert log.level == syslog.LOG_WARNING
    assert log.level_name == "warning"


def test_a_level_without_a_name_is_named_by_its_number(log):
    log.level = 99
    assert log.level_name == "99"


@pytest.mark.parametrize("value", ["verbose", "", None, [1]])
def test_what_is_no_level_is_refused(log, value):
    with pytest.raises(ValueError, match="invalid log level"):
        log.level = value
    assert log.level == syslog.LOG_DEBUG


def test_the_names_are_those_of_flux(log):
    assert BrokerLogger.LEVEL_NAMES == {
        "alert": 1,
        "crit": 2,
        "debug": 7,
        "emerg": 0,
        "err": 3,
        "info": 6,
        "notice": 5,
        "warning": 4,
    }
