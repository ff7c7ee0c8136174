"""What the configuration of an instance says of its queues."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from flux.queue import QueueInfo, QueueResourceCounts

CONFIG = {
    "policy": {
        "jobspec": {"defaults": {"system": {"duration": "8h"}}},
        "limits": {"duration": "1d", "job-size": {"max": {"nnodes": 4}, "min": {"ncores": 2}}},
    },
    "queues": {
        "batch": {"requires": ["batch"], "policy": {"limits": {"job-size": {"max": {"ngpus": 1}}}}},
        "debug": {"policy": {"limits": {"duration": "1h", "job-size": {"max": {"nnodes": -1}}}}},
    },
}


class Resources:
    """Resources that tell what they were restricted to."""

    all = "everything"

    def copy_constraint(self, constraint):
        return SimpleNamespace(all=constraint)


def info(name, config=CONFIG, **options):
    return QueueInfo(name, config, Resources(), True, False, False, **options)


@pytest.mark.parametrize(
    ("name", "most", "duration"),
    [("batch", (4, math.inf, 1), 86400), ("debug", (math.inf, math.inf, math.inf), 3600)],
)
def test_limits_of_a_queue_come_before_those_of_the_instance(name, most, duration):
    queue = info(name)
    assert queue.limits.max == QueueResourceCounts(*most)
    assert queue.limits.min == QueueResourceCounts(0, 2, 0)
    assert queue.limits.duration == queue.limits.timelimit == duration
    assert queue.defaults.duration == queue.defaults.timelimit == 28800


def test_an_instance_without_a_policy_has_no_limits():
    queue = info(None, {})
    assert (queue.name, queue.enabled, queue.started) == ("", True, False)
    assert queue.limits.max == QueueResourceCounts(math.inf, math.inf, math.inf)
    assert queue.limits.duration == queue.defaults.duration == math.inf


def test_a_queue_has_the_resources_that_it_requires():
    assert info("batch").resources.all == {"properties": ["batch"]}
    assert info("debug").resources.all == "everything"
    assert info("debug", parent="batch").resources.all == {"properties": ["batch"]}
    with pytest.raises(AttributeError):
        info("debug").resources.nonsense  # noqa: B018
