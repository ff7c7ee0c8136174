"""The picture of jobs over time: from recorded events of every sort, and from a broker."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from flux.command._timeline import html, text
from flux.command._timeline.journal import JournalReader

FINISHED = [
    ("submit", {"userid": 1}),
    ("validate", {}),
    ("depend", {}),
    ("priority", {"priority": 16}),
    ("alloc", {}),
    ("start", {}),
    ("finish", {"status": 0}),
    ("release", {"ranks": "all", "final": True}),
    ("free", {}),
    ("clean", {}),
]


def timeline(*entries, jobid=1, jobspec=None):
    reader = JournalReader()
    response = {"id": jobid, "events": list(entries)}
    if jobspec is not None:
        response["jobspec"] = jobspec
    reader.read([json.dumps(response)])
    return reader.timeline()


def entries(events=FINISHED, begin=100.0):
    return [
        {"timestamp": begin + number, "name": name, "context": context}
        for number, (name, context) in enumerate(events)
    ]


def test_a_job_that_succeeded_passes_all_states():
    (job,) = timeline(*entries()).jobs
    assert [one.state for one in job.intervals] == [
        "NEW",
        "DEPEND",
        "PRIORITY",
        "SCHED",
        "RUN",
        "CLEANUP",
    ]
    assert job.spent(["RUN"], until=200.0) == 2.0
    assert (job.state, job.result, job.outcome) == ("INACTIVE", "COMPLETED", "COMPLETED")


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ([("finish", {"status": 3 << 8})], "FAILED exit 3"),
        ([("finish", {"status": 9})], "FAILED signal 9"),
        ([("exception", {"type": "cancel", "severity": 0, "note": "n"})], "CANCELED"),
        (
            [("exception", {"type": "timeout", "severity": 0}), ("finish", {"status": 15})],
            "TIMEOUT",
        ),
        ([("exception", {"type": "exec", "severity": 0})], "FAILED exec"),
        ([("exception", {"type": "test", "severity": 3}), ("finish", {"status": 0})], "COMPLETED"),
    ],
)
def test_how_a_job_ended(end, outcome):
    (job,) = timeline(*entries([*FINISHED[:6], *end, ("clean", {})])).jobs
    assert job.outcome == outcome


def test_events_out_of_order_make_the_same_picture():
    assert timeline(*reversed(entries())).to_json() == timeline(*entries()).to_json()


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "alloc"},
        {"timestamp": "soon", "name": "alloc"},
        {"timestamp": 103.5},
        {"timestamp": 103.5, "name": "nosuch", "context": {}},
        {"timestamp": 103.5, "name": "exception", "context": []},
        {"timestamp": 103.5, "name": "exception", "context": None},
        {"timestamp": 103.5, "name": "finish", "context": {"status": "3"}},
        [],
        None,
    ],
    ids=json.dumps,
)
def test_what_is_broken_costs_no_more_than_itself(broken):
    drawn = timeline(*entries()[:4], broken, *entries()[4:])
    (job,) = drawn.jobs
    assert job.state == "INACTIVE"
    assert text.render(drawn)
    assert html.render(drawn)


def test_what_is_no_event_is_told_with_its_place():
    reader = JournalReader()
    reader.read(["junk", json.dumps({"id": 1, "events": [{"timestamp": 1.0}]}), "[]"], name="log")
    assert [fault.split(":")[1] for fault in reader.faults] == ["1", "2", "3"]


def test_the_text_fits_the_terminal_and_has_colors_only_if_asked():
    drawn = timeline(*entries(), jobspec={"tasks": [{"command": ["/bin/" + "x" * 100]}]})
    for width in (60, 80, 200):
        assert max(map(len, text.render(drawn, width))) <= width
    assert "\033" not in "".join(text.render(drawn))
    assert "\033" in "".join(text.render(drawn, color=True))
    assert any("COMPLETED" in line for line in text.render(drawn))


def test_the_page_is_whole_and_escapes_what_others_wrote():
    evil = "</script><script>alert(1)</script>"
    jobspec = {"attributes": {"system": {"job": {"name": evil}}}, "tasks": [{"command": [evil]}]}
    exception = ("exception", {"type": evil, "severity": 0, "note": evil})
    page = html.render(timeline(*entries([*FINISHED[:6], exception]), jobspec=jobspec), title=evil)
    assert "<script>alert" not in page
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    # Nothing is loaded from elsewhere.
    assert "src=" not in page
    assert "@import" not in page


def run(broker, *args):
    return subprocess.run(
        [sys.executable, "-m", "flux.command", *args],
        env={**broker.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    ).stdout


def test_a_journal_is_drawn_live_and_from_a_record_alike(flux_broker, tmp_path):
    run(flux_broker, "run", "true")
    assert "COMPLETED" in run(flux_broker, "job", "timeline")
    record = tmp_path / "journal"
    record.write_text(run(flux_broker, "journal", "--json", "-n", "10"), "utf-8")
    names = [
        json.loads(line)["events"][0]["name"] for line in record.read_text("utf-8").splitlines()
    ]
    assert names[0] == "submit"
    page = tmp_path / "page.html"
    run(flux_broker, "job", "timeline", "--from", str(record), "--html", str(page))
    assert "COMPLETED" in page.read_text("utf-8")
