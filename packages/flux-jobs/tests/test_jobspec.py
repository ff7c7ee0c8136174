"""Describing jobs: what is right goes to the broker, what is wrong is named by its path."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import flux
from flux.job import BatchConfig, Jobspec, JobspecV1, event_wait, submit, validate_jobspec
from flux.job.Jobspec import validate_counts


def spec(**changes):
    """Return a jobspec of one core, with changes by dotted path with __ for dots."""
    core = {"type": "core", "count": 1}
    fields: Any = {
        "version": 1,
        "resources": [{"type": "slot", "count": 1, "label": "task", "with": [core]}],
        "tasks": [{"command": ["true"], "slot": "task", "count": {"per_slot": 1}}],
        "attributes": {"system": {"duration": 0}},
    }
    for path, value in changes.items():
        node = fields
        *way, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        for part in way:
            node = node[part]
        node[last] = value
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("changes", "error", "path"),
    [
        ({"resources": {}}, TypeError, "resources must be a list"),
        ({"tasks": "true"}, TypeError, "tasks must be a list"),
        ({"attributes": None}, TypeError, "attributes must be a mapping"),
        ({"version": "1"}, TypeError, "version must be an integer"),
        ({"more": 1}, ValueError, r"Extraneous key \(more\)"),
        ({"resources__0": 3}, TypeError, r"resources\[0\] must be a mapping"),
        ({"resources__0__count": 0}, ValueError, r"resources\[0\]\.count must be at least 1"),
        ({"resources__0__count": True}, TypeError, r"resources\[0\]\.count must be an integer"),
        ({"resources__0__with": 42}, TypeError, r"resources\[0\]\.with must be a list"),
        ({"resources__0__with__0__count": "2-x"}, ValueError, r"resources\[0\]\.with\[0\]\.count"),
        ({"resources__0__with__0__unit": 3}, TypeError, r"resources\[0\]\.with\[0\]\.unit"),
        ({"resources__0__exclusive": "no"}, TypeError, r"resources\[0\]\.exclusive"),
        (
            {"resources__0__count": {"min": 4, "max": 2}},
            ValueError,
            r"resources\[0\]\.count\.max must be at least",
        ),
        (
            {"resources__0__count": {"min": 1, "operand": 2, "operator": "-"}},
            ValueError,
            r"resources\[0\]\.count\.operator",
        ),
        ({"tasks__0__command": "true"}, TypeError, r"tasks\[0\]\.command must be a list"),
        ({"tasks__0__command": ["a", 1]}, TypeError, r"tasks\[0\]\.command\[1\]"),
        ({"tasks__0__count": {"total": 0}}, ValueError, r"tasks\[0\]\.count\.total"),
        ({"tasks__0__count": {"per_resource": 1}}, ValueError, r"tasks\[0\]\.count"),
        ({"attributes__vendor": 1}, ValueError, r"Extraneous key \(vendor\) in attributes"),
        ({"attributes__system__duration": "1h"}, ValueError, "attributes.system.duration"),
        (
            {"attributes__system__dependencies": [{"scheme": "afterok", "value": 1}]},
            TypeError,
            r"attributes\.system\.dependencies\[0\]\.value must be a string",
        ),
        (
            {"attributes__system__constraints": {"or": [{"properties": ["a|b"]}]}},
            TypeError,
            r"attributes\.system\.constraints\.or\[0\]\.properties\[0\]",
        ),
        (
            {"attributes__system__constraints": {"hostlist": ["n[1"]}},
            ValueError,
            r"attributes\.system\.constraints\.hostlist\[0\]: ",
        ),
        (
            {"attributes__system__constraints": {"not": [{"ranks": ["0", "x"]}]}},
            ValueError,
            r"attributes\.system\.constraints\.not\[0\]\.ranks\[1\]: ",
        ),
        (
            {"attributes__system__constraints": {"xor": []}},
            TypeError,
            r"attributes\.system\.constraints\.xor: there is no constraint operator 'xor'",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(changes, error, path):
    with pytest.raises(error, match=f"^{path}"):
        validate_jobspec(spec(**changes))


def test_a_missing_part_is_named():
    fields = json.loads(spec())
    del fields["tasks"]
    with pytest.raises(ValueError, match=r"^Missing key \(tasks\)$"):
        validate_jobspec(json.dumps(fields))


def test_no_jobspec_is_einval():
    with pytest.raises(OSError, match="must not be None"):
        validate_jobspec(None)


def test_what_is_right_comes_back_as_an_object():
    valid, jobspec = validate_jobspec(spec())
    assert valid is True
    assert type(jobspec) is JobspecV1
    assert validate_jobspec(jobspec)[1].jobspec == jobspec.jobspec


@pytest.mark.parametrize(
    "count", ["4-16:2:*", "3+", "1,4-9", "[2]", {"min": 2, "operand": 2, "operator": "^"}]
)
def test_ranges_are_for_other_versions_than_1(count):
    fields = {**json.loads(spec(resources__0__count=count)), "version": 2}
    assert validate_jobspec(json.dumps(fields))[1].resources[0]["count"] == count
    with pytest.raises(ValueError, match=r"^resources\[0\]\.count: resource count must be an int"):
        validate_counts(fields["resources"])


def test_yaml_and_its_round_trip(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(spec())
    jobspec = JobspecV1.from_yaml_file(path)
    assert (
        Jobspec.from_yaml_stream(jobspec.dumps()).jobspec
        == jobspec.jobspec
        == eval(repr(jobspec)).jobspec
    )
    with pytest.raises(TypeError, match="must be a mapping, not 'true'"):
        JobspecV1.from_yaml_stream("'true'")


def test_tasks_are_spread_over_nodes():
    even = JobspecV1.from_command(["true"], num_tasks=4, num_nodes=2, gpus_per_task=1)
    assert dict(even.resource_counts()) == {"node": 2, "slot": 4, "core": 4, "gpu": 4}
    assert [entry["type"] for entry in even] == ["node", "slot", "core", "gpu"]
    uneven = JobspecV1.from_command(["true"], num_tasks=5, num_nodes=2, exclusive=True)
    assert uneven.resource_counts()["slot"] == 6
    assert uneven.tasks[0]["count"] == {"total": 5}
    assert uneven.resources[0]["exclusive"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_tasks": 0},
        {"cores_per_task": 1.5},
        {"gpus_per_task": -1},
        {"num_nodes": 2},
        {"exclusive": True},
        {"duration": "1 week"},
        {"environment": ["A=1"]},
        {"rlimits": 1},
    ],
)
def test_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=r"must|can only|invalid"):
        JobspecV1.from_command(["true"], **arguments)


@pytest.mark.parametrize(
    ("arguments", "slots", "cores"),
    [
        ({"ncores": 4}, 4, 4),
        ({"nnodes": 2, "ncores": 8}, 2, 8),
        ({"nnodes": 2, "exclusive": True}, 2, 2),
    ],
)
def test_tasks_by_resource(arguments, slots, cores):
    jobspec = JobspecV1.per_resource(
        ["true"], per_resource_type="core", per_resource_count=2, **arguments
    )
    counts = jobspec.resource_counts()
    assert (counts["slot"], counts["core"]) == (slots, cores)
    assert jobspec.getattr("shell.options.per-resource") == {"type": "core", "count": 2}


def test_tasks_by_resource_need_what_goes_together():
    with pytest.raises(ValueError, match="per_resource_count"):
        JobspecV1.per_resource(["true"], ncores=1, per_resource_type="core")
    with pytest.raises(ValueError, match="evenly divisible"):
        JobspecV1.per_resource(["true"], nnodes=2, ncores=3)


def test_attributes_by_path():
    jobspec = JobspecV1.from_command(["true"], name="n", queue="q", bank="b")
    jobspec.setattr("a.b", 1)
    jobspec.setattr("user.c", 2)
    assert jobspec.getattr("attributes.system.a") == {"b": 1}
    assert jobspec.getattr("user.c") == 2
    assert (jobspec.getattr("job.name"), jobspec.queue, jobspec.getattr("bank")) == ("n", "q", "b")
    with pytest.raises(KeyError, match=r"attributes\.system\.a\.x"):
        jobspec.getattr("a.x")
    with pytest.raises(TypeError, match=r"^failed to set attributes\.system\.a\.b\.c to 3"):
        jobspec.setattr("a.b.c", 3)


def test_files_and_streams(tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"\xff")
    local.chmod(0o755)
    jobspec = JobspecV1.from_command(["true"], input=Path("in"), output="out", label_io=True)
    jobspec.add_file("data", {"a": 1})
    jobspec.add_file("text", "one\ntwo\n", perms=0o400)
    jobspec.add_file("binary", str(local))
    files = jobspec.getattr("files")
    assert files["data"] == {"mode": 0o100600, "data": {"a": 1}}
    assert files["text"] == {"mode": 0o100400, "data": "one\ntwo\n", "encoding": "utf-8"}
    assert files["binary"] == {"mode": 0o100755, "size": 1, "data": "/w==", "encoding": "base64"}
    assert (jobspec.stdin, jobspec.output, jobspec.stderr) == ("in", "out", None)
    assert jobspec.getattr("shell.options.output.stdout.label") is True
    with pytest.raises(FileNotFoundError):
        jobspec.add_file("none", str(tmp_path / "none"))


def test_buffering_goes_and_comes_back():
    jobspec = JobspecV1.from_command(["true"], unbuffered=True)
    assert jobspec.unbuffered
    jobspec.setattr_shell_option("input.batch-timeout", 2.0)
    jobspec.unbuffered = False
    assert jobspec.getattr("shell.options") == {"input": {"batch-timeout": 2.0}}


def test_batch_scripts_and_instances():
    batch = JobspecV1.from_batch_command(
        "#!/bin/sh\n", "name", args=["x"], broker_opts=["-v"], conf={"a": 1}
    )
    command = ["flux", "broker", "-v", "-c{{tmpdir}}/conf.json", "{{tmpdir}}/script", "x"]
    assert batch.tasks[0]["command"] == command
    assert batch.getattr("files")["script"]["mode"] == 0o100700
    with pytest.raises(ValueError, match="names its interpreter"):
        JobspecV1.from_batch_command("true\n", "name")
    alloc = JobspecV1.from_alloc(nodes=2, bg=True, conf="a.b=1", time_limit="1m")
    assert alloc.resources[0]["exclusive"] is True
    assert alloc.getattr("files")["conf.json"]["data"] == {"a": {"b": 1}}
    assert alloc.duration == 60


def test_options_of_flux_submit(tmp_path):
    (tmp_path / "rules").write_text("FROM_FILE=$BASE/x\n")
    jobspec = JobspecV1.from_command(["true"], environment={}).apply_options(
        env=["-*", "BASE=b", f"^{tmp_path}/rules", "RANK={{taskid}}"],
        rlimit="-*,nofile=unlimited,core=0",
        signal="TERM@2m",
        taskmap="cyclic:2",
        dependency=["afterok:123?x=1"],
        shell_options={"verbose": 2},
        attributes={".user.note": "n", "job.name": "j"},
        add_file="a:b:0700=x\\ny",
        requires=["gpu", "-host:n[1-2]"],
        time_limit=1.5,
    )
    assert jobspec.environment == {"BASE": "b", "FROM_FILE": "b/x"}
    assert jobspec.getattr("shell.options") == {
        "env-expand": {"RANK": "{{taskid}}"},
        "rlimit": {"nofile": -1, "core": 0},
        "signal": {"signum": signal.SIGTERM, "timeleft": 120.0},
        "taskmap": {"scheme": "cyclic", "value": "2"},
        "verbose": 2,
    }
    assert jobspec.getattr("dependencies") == [{"scheme": "afterok", "value": "123", "x": 1}]
    assert jobspec.getattr("user.note") == "n"
    assert jobspec.getattr("constraints") == {
        "and": [{"properties": ["gpu"]}, {"not": [{"hostlist": ["n[1-2]"]}]}]
    }
    assert validate_jobspec(jobspec)[0]
    assert jobspec.getattr("files") == {
        "a:b": {"mode": 0o100700, "data": "x\ny", "encoding": "utf-8"}
    }
    assert jobspec.duration == 1.5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"signal": "NONSENSE"}, "--signal=NONSENSE: signal 'NONSENSE' is invalid"),
        ({"signal": "INT@soon"}, "--signal=INT@soon: invalid Flux standard duration"),
        ({"env": ["A=$NO_SUCH_VARIABLE"]}, "--env: Variable 'NO_SUCH_VARIABLE' not found"),
        ({"env": ["A=$"]}, "--env: Unable to substitute"),
        ({"rlimit": ["nonsense"]}, "No corresponding rlimit"),
        ({"rlimit": ["nonsense=1"]}, "Invalid rlimit"),
        ({"rlimit": ["core=x"]}, "Invalid value in core=x"),
        ({"requires": "(a"}, r"--requires='\(a': "),
        ({"dependency": [":1"]}, "Invalid dependency URI"),
        ({"add_file": ["/no/such/file"]}, "--add-file=/no/such/file: "),
    ],
)
def test_malformed_options(options, text):
    with pytest.raises(ValueError, match=text.replace("$", r"\$")):
        JobspecV1.from_command(["true"]).apply_options(**options)


def test_options_of_a_command_line_come_after_their_defaults():
    args = SimpleNamespace(setopt=["a=1", "b"], setattr=["x={}"], env=None)
    jobspec = JobspecV1.from_command(["true"], environment={})
    jobspec.apply_options(args, shell_options={"a": 2})
    assert jobspec.getattr("shell.options.a") == 2
    assert jobspec.getattr("shell.options.b") == 1
    assert jobspec.environment == dict(os.environ)


def test_a_plugin_changes_the_jobspec(tmp_path, monkeypatch):
    (tmp_path / "site.py").write_text(
        "from flux.cli.plugin import CLIPlugin\n"
        "class Site(CLIPlugin):\n"
        "    def __init__(self, prog):\n"
        "        super().__init__(prog, prefix='site')\n"
        "        self.add_option('--power-cap', default=7)\n"
        "    def modify_jobspec(self, args, jobspec):\n"
        "        jobspec.setattr('system.power', args.power_cap)\n"
    )
    monkeypatch.setenv("FLUX_CLI_PLUGINPATH_OVERRIDE", str(tmp_path))
    assert JobspecV1.from_submit(["true"]).getattr("power") == 7
    assert JobspecV1.from_submit(["true"], site_power_cap=3).getattr("power") == 3
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        JobspecV1.from_submit(["true"], power_cap=3)


def test_configurations_add_up(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "flux" / "config").mkdir(parents=True)
    (tmp_path / "flux" / "config" / "site.toml").write_text("[a]\nb = 1\nc = 1\n")
    (tmp_path / "bad.json").write_text("{")
    config = BatchConfig().update("site").update("a.b=2").update('{"d":\n3}')
    assert config.config == {"a": {"b": 2, "c": 1}, "d": 3}
    assert config.get("a.c") == 1
    assert config.get("a.x", 5) == 5
    for value, text in (
        ("none", "named config 'none' not found in"),
        (str(tmp_path / "bad.json"), "bad.json"),
        ("[a\n", "failed to parse multiline as TOML or JSON"),
        ("no.toml", "No such file"),
    ):
        with pytest.raises(ValueError, match=text):
            BatchConfig().update(value)


def test_a_job_runs_as_described(broker, tmp_path):
    jobspec = JobspecV1.from_command(
        ["sh", "-c", "echo $GREETING; pwd"],
        cwd=tmp_path,
        environment={"PATH": os.environ["PATH"], "GREETING": "hello"},
        output=tmp_path / "out",
    )
    with flux.Flux(broker.uri) as handle:
        jobid = submit(handle, jobspec)
        assert event_wait(handle, jobid, "finish").context["status"] == 0
        event_wait(handle, jobid, "clean")
    assert (tmp_path / "out").read_text() == f"hello\n{tmp_path}\n"


@pytest.mark.parametrize(
    "first",
    [
        "import flux.job.Jobspec",
        "from flux.job.Jobspec import JobspecV1",
        "from flux.job import Jobspec",
        "from flux.job.JobID import JobID",
    ],
)
def test_a_class_keeps_its_name_whatever_is_imported_first(first):
    code = (
        f"{first}\nimport flux.job\nfrom flux.job.JobID import id_parse\n"
        "from flux.job.Jobspec import validate_counts\nfrom flux.job import Jobspec, JobID\n"
        "assert isinstance(Jobspec, type) and isinstance(JobID, type), (Jobspec, JobID)\n"
        "assert flux.job.Jobspec is Jobspec and flux.job.JobID is JobID\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_jobs_loads_nothing_of_jobspecs():
    code = "import sys, flux.job; sys.exit(any(n in sys.modules for n in ('yaml', 'argparse')))"
    subprocess.run([sys.executable, "-c", code], check=True)
