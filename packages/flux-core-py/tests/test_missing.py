"""What is said of names that other distributions, or only flux-core's bindings, have."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

import flux
from flux._missing import attribute_error, explain


@pytest.fixture
def alone(monkeypatch):
    """Let no distribution be installed."""

    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("flux.kvs", "flux-kvs"),
        ("flux.kvs.get", "flux-kvs"),
        ("flux.job", "flux-job-events"),
        ("flux.job.submit", "flux-job-events"),
        ("flux.job.JournalConsumer", "flux-journal"),
        ("flux.job.JobPool", "flux-jobs"),
        ("flux.job.Jobspec.validate_counts", "flux-jobs"),
        ("flux.util.parse_fsd", "flux-jobs"),
        ("flux.idset", "flux-resource"),
        ("flux.hostlist.Hostlist", "flux-resource"),
        ("flux.devbroker", "flux-devbroker"),
    ],
)
def test_a_name_of_another_distribution_says_which(alone, name, wanted):
    assert f"is part of {wanted}, which is not installed: pip install {wanted}" in str(
        explain(name)
    )


@pytest.mark.parametrize(
    "name",
    [
        "flux.security",
        "flux.cli.base",
        "flux.testing.fake_resources",
        "flux.resource.list",
        "flux.job.validator.validator",
    ],
)
def test_a_name_that_none_of_ours_has_says_that(alone, name):
    assert "is part of flux-core's own Python bindings alone" in str(explain(name))


@pytest.mark.parametrize("name", ["flux.nonsense", "flux.nonsense.more", "flux", "flux.job_list"])
def test_of_other_names_nothing_is_known(alone, name):
    assert explain(name) is None


def test_the_attribute_error_is_that_of_python_where_nothing_is_known(alone):
    assert str(attribute_error("flux", "x")) == "module 'flux' has no attribute 'x'"
    with pytest.raises(AttributeError, match=r"^module 'flux' has no attribute 'nonsense'$"):
        flux.nonsense  # noqa: B018


def test_attributes_say_what_to_install(alone):
    with pytest.raises(AttributeError, match=r"^module 'flux' has no attribute 'security': "):
        flux.security  # noqa: B018
    assert not hasattr(flux, "security")


@pytest.mark.parametrize(
    ("statement", "error", "text"),
    [
        ("import flux.security", ModuleNotFoundError, "No module named 'flux.security': flux.secu"),
        ("from flux.security import x", ModuleNotFoundError, "No module named 'flux.security': "),
        ("from flux import security", ImportError, "cannot import name 'security' from 'flux': "),
        ("import flux.nonsense", ModuleNotFoundError, "No module named 'flux.nonsense'$"),
        ("from flux import nonsense", ImportError, r"cannot import name 'nonsense' from 'flux' \("),
    ],
)
def test_imports_say_what_is_missing(alone, statement, error, text):
    with pytest.raises(ImportError, match=text) as caught:
        exec(statement)
    assert type(caught.value) is error


def test_who_only_looks_is_told_that_it_is_not_there(alone):
    assert importlib.util.find_spec("flux.security") is None


def test_importing_the_core_does_not_load_what_reads_metadata():
    code = "import sys, flux; sys.exit('importlib.metadata' in sys.modules)"
    subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0]={sys.path!r}; {code}"], check=True
    )
