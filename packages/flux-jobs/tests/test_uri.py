"""URIs of instances, and how they are found."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

import flux.job
from flux.devbroker import Broker
from flux.slurm import slurm_timeleft
from flux.uri import FluxURIResolver, JobURI, URIResolverURI

Command = Callable[..., dict[str, Any]]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that puts a command on PATH, where nothing else is."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport os, sys\n{textwrap.dedent(script)}")
        path.chmod(0o755)

    return add


def test_job_uri() -> None:
    uri = JobURI("local:///tmp//x", remote_hostname="there")
    assert (uri.scheme, uri.path, uri.local) == ("local", "/tmp/x", "local:///tmp//x")
    assert uri.remote == "ssh://there/tmp/x"
    assert JobURI("ssh://there/tmp/x?a=b").local == "local:///tmp/x"
    assert str(JobURI("ssh://there/tmp/x?a=b")) == "ssh://there/tmp/x?a=b"
    assert JobURI("local:///tmp/x").remote == f"ssh://{os.uname().nodename}/tmp/x"
    with pytest.raises(ValueError, match="has no local form"):
        JobURI("shmem://x").local  # noqa: B018
    with pytest.raises(ValueError, match="no scheme"):
        JobURI("/tmp/x")
    assert URIResolverURI("pid:123?local").path == "123"


def test_resolver(tmp_path: Path) -> None:
    package = tmp_path / "flux" / "uri" / "resolvers"
    package.mkdir(parents=True)
    plugin = """
        from flux.uri import URIResolverPlugin
        class URIResolver(URIResolverPlugin):
            def describe(self): return "By colour"
            def resolve(self, uri): return f"local:///{uri.path}"
        """
    (package / "colour.py").write_text(textwrap.dedent(plugin))
    mine = FluxURIResolver([str(tmp_path)])
    assert mine.resolve("colour:red").uri == "local:///red"
    assert mine.plugins()["colour"] == "By colour"
    resolver = FluxURIResolver()
    assert "colour" not in resolver.plugins()
    assert {"jobid", "lsf", "pid", "slurm"} <= resolver.plugins().keys()
    assert resolver.resolve("ssh://there/x").uri == "ssh://there/x"
    with pytest.raises(NotImplementedError, match=r"no plugin for URI scheme foo: .*jobid"):
        resolver.resolve("foo:1")
    with pytest.raises(ValueError, match="only one of"):
        resolver.resolve("pid:1?local&remote")


def test_of_a_process() -> None:
    resolver = FluxURIResolver()
    env = {"FLUX_URI": "local:///a=b", "PATH": os.environ["PATH"]}
    with subprocess.Popen(["cat"], env=env, stdin=subprocess.PIPE) as process:
        assert resolver.resolve(f"pid:{process.pid}").uri == "local:///a=b"
        assert resolver.resolve(f"pid:{process.pid}?remote").scheme == "ssh"
    text = "doesn't seem to have a FLUX_URI"
    outside = subprocess.Popen(["cat"], env={}, stdin=subprocess.PIPE)
    with outside as process, pytest.raises(ValueError, match=text):
        resolver.resolve(f"pid:{process.pid}")
    with pytest.raises(ValueError, match="no process id"):
        resolver.resolve("pid:x")
    with pytest.raises(FileNotFoundError):
        resolver.resolve(f"pid:{1 << 22}1")


def test_of_a_job(broker: Broker, jobspec: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUX_URI", broker.uri)
    resolver = FluxURIResolver()
    with broker.handle() as handle:
        here = handle.attr_get("local-uri")
        assert resolver.resolve("jobid:").uri == here
        assert resolver.resolve("/").uri == here
        assert resolver.resolve("..").uri == here
        jobid = flux.job.submit(handle, jobspec("sleep", "inf"))
        flux.job.event_wait(handle, jobid, "start")
        with pytest.raises(ValueError, match="URI not found for job"):
            resolver.resolve(jobid.f58)
        memo = {"id": int(jobid), "memo": {"uri": "ssh://there/tmp/x"}}
        handle.rpc("job-manager.memo", memo).get()
        assert resolver.resolve(f"{jobid.f58}?wait").uri == "ssh://there/tmp/x"
        assert resolver.resolve(f"{jobid.f58}?wait&local").uri == "local:///tmp/x"
        flux.job.cancel(handle, jobid)
        flux.job.event_wait(handle, jobid, "clean", raiseJobException=False)
    with pytest.raises(ValueError, match="not found"):
        resolver.resolve("jobid:123")
    with pytest.raises(ValueError, match="not a valid jobid"):
        resolver.resolve("jobid:what")


def test_of_a_slurm_job(commands: Callable[[str, str], None]) -> None:
    cat = subprocess.Popen(["/bin/cat"], env={"FLUX_URI": "local:///tmp/x"}, stdin=subprocess.PIPE)
    with cat as process:
        header = "PID JOBID STEPID LOCALID GLOBALID"
        rows = f"{header}\\n1 42 0 1 1\\n{process.pid} 42 0 0 0"
        commands("scontrol", f"sys.exit(1) if sys.argv[2] != '42' else print('{rows}')")
        resolver = FluxURIResolver()
        assert resolver.resolve("slurm:42").remote == f"ssh://{os.uname().nodename}/tmp/x"
        commands("squeue", "print('n[3-5]')")
        commands("srun", "print('ssh://' + sys.argv[sys.argv.index('-w') + 1] + '/tmp/y')")
        assert resolver.resolve("slurm:43").uri == "ssh://n3/tmp/y"
        commands("squeue", "sys.exit(1)")
        with pytest.raises(ValueError, match="unable to query nodelist for Slurm job 43"):
            resolver.resolve("slurm:43")


def test_time_left_of_a_slurm_job(commands: Callable[[str, str], None]) -> None:
    with pytest.raises(RuntimeError, match="squeue not found"):
        slurm_timeleft(1)
    commands("squeue", "print(sys.argv[2].removeprefix('--job='))")
    for text, seconds in (
        ("1-02:03:04", 93784),
        ("02:03:04", 7384),
        ("0:59", 59),
        ("UNLIMITED", None),
        ("a:bc", None),
        ("1:2:3:4", None),
    ):
        assert slurm_timeleft(text) == seconds
    commands("squeue", "sys.exit('no such job')")
    with pytest.raises(RuntimeError, match="squeue failed: no such job"):
        slurm_timeleft(1)


def test_of_an_lsf_job(
    commands: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CSM_ALLOCATION_QUERY", str(tmp_path / "query"))
    commands("query", "print('compute_nodes: n[7,2]')")
    commands("ssh", "print('ssh://' + sys.argv[1] + '/tmp/' + sys.argv[-1])")
    resolver = FluxURIResolver()
    assert resolver.resolve("lsf:5").uri == "ssh://n2/tmp/lsf:5?is_compute"
    commands("query", "sys.exit(1)")
    with pytest.raises(ValueError, match="no compute node of LSF job 5"):
        resolver.resolve("lsf:5")
    with pytest.raises(ValueError, match="no broker of LSF job 5"):
        resolver.resolve("lsf:5?is_compute")
