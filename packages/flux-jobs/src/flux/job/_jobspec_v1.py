"""`JobspecV1`: jobspecs of version 1 (RFC 25), from commands and scripts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from flux.job._batch_config import as_config
from flux.job._jobspec import Jobspec, resource, slot
from flux.job._jobspec_check import check_v1

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["JobspecV1"]

_Path = Union[str, "os.PathLike[str]"]

#: Where output may go that is no file.
_NO_FILE = ("none", "kvs")


def _count(value: Any, name: str, least: int = 1) -> Any:
    """Return an argument that is None or a number of things."""
    if value is not None and (not isinstance(value, int) or value < least):
        raise ValueError(f"{name} must be an integer >= {least}, not {value!r}")
    return value


class JobspecV1(Jobspec):
    """What a job needs, runs and is called, of version 1 (RFC 25).

    Args:
        resources: The tree of resources.
        tasks: The tasks to run on them.
        attributes: Everything else; ``system.duration`` must be there.
        version: 1.

    Raises:
        TypeError: As `Jobspec`.
        ValueError: As `Jobspec`.
    """

    def __init__(
        self,
        resources: Sequence[Mapping[str, Any]],
        tasks: Sequence[Mapping[str, Any]],
        attributes: Mapping[str, Any],
        version: int = 1,
    ) -> None:
        if version != 1:
            raise ValueError(f"version must be 1, not {version!r}")
        super().__init__(resources, tasks, attributes, version)
        check_v1(tasks, resources, attributes)

    @classmethod
    def _of(
        cls, command: Iterable[str], resources: dict[str, Any], count: dict[str, int], options: Any
    ) -> Self:
        command = command if isinstance(command, (str, bytes)) else list(command)
        tasks = [{"command": command, "slot": "task", "count": count}]
        return cls([resources], tasks, {"system": {"duration": 0}})._with(**options)

    def _with(
        self,
        duration: Any = None,
        environment: Mapping[str, str] | None = None,
        env_expand: Mapping[str, str] | None = None,
        cwd: _Path | None = None,
        rlimits: Mapping[str, int] | None = None,
        name: str | None = None,
        input: _Path | None = None,  # noqa: A002 - the name of the option
        output: _Path | None = None,
        error: _Path | None = None,
        label_io: bool = False,
        unbuffered: bool = False,
        queue: str | None = None,
        bank: str | None = None,
    ) -> Self:
        """Set what every kind of job may have; the arguments are those of `from_command`."""
        if duration is not None:
            self.duration = duration
        self.environment = dict(os.environ) if environment is None else environment
        for option, value in (("env-expand", env_expand), ("rlimit", rlimits)):
            if value is not None:
                if not isinstance(value, Mapping):
                    raise ValueError(f"{option} must be a mapping, not {value!r}")
                self.setattr_shell_option(option, value)
        if cwd is not None:
            self.cwd = cwd
        if input is not None:
            self.stdin = input
        for stream, path in (("stdout", output), ("stderr", error)):
            if path is not None and path not in _NO_FILE:
                setattr(self, stream, path)
                if label_io:
                    self.setattr_shell_option(f"output.{stream}.label", True)
        if unbuffered:
            self.unbuffered = True
        for key, text in (("job.name", name), ("queue", queue), ("bank", bank)):
            if text is not None:
                self.setattr(f"system.{key}", text)
        return self

    @classmethod
    def from_command(
        cls,
        command: Iterable[str],
        num_tasks: int = 1,
        cores_per_task: int = 1,
        gpus_per_task: int | None = None,
        num_nodes: int | None = None,
        exclusive: bool = False,
        duration: Any = None,
        environment: Mapping[str, str] | None = None,
        env_expand: Mapping[str, str] | None = None,
        cwd: _Path | None = None,
        rlimits: Mapping[str, int] | None = None,
        name: str | None = None,
        input: _Path | None = None,  # noqa: A002 - the name of the option
        output: _Path | None = None,
        error: _Path | None = None,
        label_io: bool = False,
        unbuffered: bool = False,
        queue: str | None = None,
        bank: str | None = None,
    ) -> Self:
        """Describe a job that runs a command.

        Args:
            command: The command and its arguments.
            num_tasks: How many times to run it at once.
            cores_per_task: Cores for each.
            gpus_per_task: GPUs for each.
            num_nodes: Spread the tasks evenly over so many nodes.
            exclusive: Have these nodes for the job alone.
            duration: Its time limit; see `Jobspec.duration`.
            environment: Its environment; None: that of this process.
            env_expand: More variables, in whose values the job shell replaces ``{{id}}`` and such.
            cwd: The directory that it runs in.
            rlimits: Its limits on resources, by their names in lower case without ``RLIMIT_``.
            name: Its name.
            input: A file for its standard input.
            output: A file for its standard output, and errors where ``error`` is not given.
            error: A file for its standard error.
            label_io: Begin each line in these files with the task's number.
            unbuffered: Pass output on at once.
            queue: The queue that it is for.
            bank: Whom it is charged to.

        Raises:
            ValueError: A number is out of range, or ``exclusive`` is without nodes.
            TypeError: The command is no list of strings, or empty.
        """
        _count(cores_per_task, "cores_per_task")
        children = [resource("core", cores_per_task)]
        if _count(gpus_per_task, "gpus_per_task", 0):
            children.append(resource("gpu", gpus_per_task or 0))
        _count(num_tasks, "num_tasks")
        count = {"per_slot": 1}
        if _count(num_nodes, "num_nodes") is None:
            if exclusive:
                raise ValueError("exclusive can only be set with a node count")
            resources = slot(num_tasks, children)
        else:
            nodes = num_nodes or 1
            if nodes > num_tasks:
                raise ValueError("node count must not be greater than task count")
            each, rest = divmod(num_tasks, nodes)
            if rest:
                # Some slots of the last nodes stay empty.
                count, each = {"total": num_tasks}, each + 1
            resources = resource("node", nodes, [slot(each, children)], exclusive)
        options = {
            "duration": duration,
            "environment": environment,
            "env_expand": env_expand,
            "cwd": cwd,
            "rlimits": rlimits,
            "name": name,
            "input": input,
            "output": output,
            "error": error,
            "label_io": label_io,
            "unbuffered": unbuffered,
            "queue": queue,
            "bank": bank,
        }
        return cls._of(command, resources, count, options)

    @classmethod
    def per_resource(
        cls,
        command: Iterable[str],
        ncores: int | None = None,
        nnodes: int | None = None,
        per_resource_type: str | None = None,
        per_resource_count: int | None = None,
        gpus_per_node: int | None = None,
        exclusive: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Describe a job by its nodes or cores, with so many tasks on each of them.

        Args:
            command: The command and its arguments.
            ncores: Cores in all.
            nnodes: Nodes; then cores are as many on each.
            per_resource_type: ``node`` or ``core``: what tasks are counted by.
            per_resource_count: Tasks on each of these.
            gpus_per_node: GPUs on each node.
            exclusive: Have the nodes for the job alone.
            **kwargs: What else `from_command` takes.

        Raises:
            ValueError: A number is out of range, or the arguments do not go together.
            TypeError: As `from_command`.
        """
        per_resource = None
        if (per_resource_type is None) != (per_resource_count is None):
            missing = "count" if per_resource_count is None else "type"
            given = "type" if per_resource_count is None else "count"
            raise ValueError(f"must specify a per_resource_{missing} with per_resource_{given}")
        if per_resource_type is not None:
            if per_resource_type not in ("node", "core"):
                raise ValueError(
                    f"per_resource_type must be 'node' or 'core', not {per_resource_type!r}"
                )
            _count(per_resource_count, "per_resource_count")
            per_resource = {"type": per_resource_type, "count": per_resource_count}
        _count(ncores, "ncores")
        _count(nnodes, "nnodes")
        if _count(gpus_per_node, "gpus_per_node", 0) is not None and nnodes is None:
            raise ValueError("gpus_per_node must be specified with nnodes")
        if exclusive and nnodes is None:
            raise ValueError("exclusive can only be set with a node count")
        if nnodes is None:
            if ncores is None:
                raise ValueError("must specify node or core count with per_resource")
            resources = slot(ncores, [resource("core", 1)])
        else:
            if ncores is None and not exclusive:
                raise ValueError("nnodes also requires ncores or exclusive")
            cores, rest = divmod(nnodes if ncores is None else ncores, nnodes)
            if rest or not cores:
                raise ValueError(
                    f"number of cores must be evenly divisible by node count: {ncores} on {nnodes}"
                )
            children = [resource("core", cores)]
            if gpus_per_node:
                children.append(resource("gpu", gpus_per_node))
            resources = resource("node", nnodes, [slot(1, children)], exclusive)
        jobspec = cls._of(command, resources, {"per_slot": 1}, kwargs)
        if per_resource:
            jobspec.setattr_shell_option("per-resource", per_resource)
        return jobspec

    @classmethod
    def from_nest_command(
        cls,
        command: Iterable[str],
        num_slots: int = 1,
        cores_per_slot: int = 1,
        gpus_per_slot: int | None = None,
        num_nodes: int | None = None,
        broker_opts: Iterable[str] | None = None,
        exclusive: bool = False,
        conf: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Describe a job that is a Flux instance, with a command as its initial program.

        Args:
            command: The command and its arguments.
            num_slots: Parts of the resources, of equal size.
            cores_per_slot: Cores in each.
            gpus_per_slot: GPUs in each.
            num_nodes: Spread the slots evenly over so many nodes.
            broker_opts: Options of the instance's brokers.
            exclusive: Have the nodes for the job alone.
            conf: The configuration of the instance's brokers.
            **kwargs: What else `from_command` takes.

        Raises:
            ValueError: As `from_command`.
            TypeError: As `from_command`.
        """
        options = list(broker_opts or ())
        if conf is not None:
            options.append("-c{{tmpdir}}/conf.json")
        jobspec = cls.from_command(
            ["flux", "broker", *options, *command],
            num_slots,
            cores_per_slot,
            gpus_per_slot,
            num_nodes,
            exclusive,
            **kwargs,
        )
        # One broker a node, which starts MPI programs itself, and outlives what it runs.
        jobspec.setattr_shell_option("per-resource.type", "node")
        jobspec.setattr_shell_option("mpi", "none")
        jobspec.setattr_shell_option("exit-timeout", "none")
        if conf is not None:
            jobspec.add_file("conf.json", conf)
        return jobspec

    @classmethod
    def from_batch_command(
        cls,
        script: str,
        jobname: str,
        args: Iterable[str] | None = None,
        num_slots: int = 1,
        cores_per_slot: int = 1,
        gpus_per_slot: int | None = None,
        num_nodes: int | None = None,
        broker_opts: Iterable[str] | None = None,
        exclusive: bool = False,
        conf: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Describe a job that is a Flux instance, with a script as its initial program.

        Args:
            script: The text of the script, whose first line is ``#!`` and an interpreter.
            jobname: The job's name.
            args: Arguments of the script.
            num_slots: As for `from_nest_command`, and so are the others.
            cores_per_slot: See there.
            gpus_per_slot: See there.
            num_nodes: See there.
            broker_opts: See there.
            exclusive: See there.
            conf: See there.
            **kwargs: What else `from_command` takes.

        Raises:
            ValueError: As `from_command`; or the script does not begin with ``#!``.
            TypeError: As `from_command`.
        """
        if not script.startswith("#!"):
            raise ValueError(
                f"{jobname} does not appear to start with '#!': a batch script names its "
                "interpreter in its first line, such as #!/bin/sh"
            )
        jobspec = cls.from_nest_command(
            ["{{tmpdir}}/script", *(args or ())],
            num_slots,
            cores_per_slot,
            gpus_per_slot,
            num_nodes,
            broker_opts,
            exclusive,
            conf,
            name=jobname,
            **kwargs,
        )
        jobspec.add_file("script", script, perms=0o700, encoding="utf-8")
        return jobspec

    @classmethod
    def from_submit(
        cls,
        command: Iterable[str],
        *,
        ntasks: int = 1,
        nodes: int | None = None,
        cores_per_task: int = 1,
        gpus_per_task: int | None = None,
        exclusive: bool = False,
        name: str | None = None,
        queue: str | None = None,
        bank: str | None = None,
        cwd: _Path | None = None,
        output: _Path | None = None,
        error: _Path | None = None,
        input: _Path | None = None,  # noqa: A002 - the name of the option
        label_io: bool = False,
        unbuffered: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Describe a job as flux-submit(1) does: `from_command`, then `apply_options`.

        Args:
            command: The command and its arguments.
            ntasks: The ``num_tasks`` of `from_command`; what else has another name there follows.
            nodes: The ``num_nodes``.
            cores_per_task: See there.
            gpus_per_task: See there.
            exclusive: See there.
            name: See there.
            queue: See there.
            bank: See there.
            cwd: See there.
            output: See there.
            error: See there.
            input: See there.
            label_io: See there.
            unbuffered: See there.
            **kwargs: What `apply_options` takes, options of plugins among it.  The environment and
                the limits of this process are passed on where ``env`` and ``rlimit`` are not given.

        Raises:
            ValueError: As `from_command` and `apply_options`.
            TypeError: As `from_command` and `apply_options`.
        """
        jobspec = cls.from_command(
            command,
            ntasks,
            cores_per_task,
            gpus_per_task,
            nodes,
            exclusive,
            name=name,
            queue=queue,
            bank=bank,
            cwd=cwd,
            output=output,
            error=error,
            input=input,
            label_io=label_io,
            unbuffered=unbuffered,
        )
        return jobspec.apply_options(prog="submit", **{"env": [], "rlimit": [], **kwargs})

    @classmethod
    def from_alloc(
        cls,
        *,
        nslots: int | None = None,
        nodes: int | None = None,
        cores_per_slot: int = 1,
        gpus_per_slot: int | None = None,
        exclusive: bool = False,
        broker_opts: Iterable[str] | None = None,
        conf: Any = None,
        bg: bool = False,
        name: str | None = None,
        queue: str | None = None,
        bank: str | None = None,
        cwd: _Path | None = None,
        output: _Path | None = None,
        error: _Path | None = None,
        input: _Path | None = None,  # noqa: A002 - the name of the option
        label_io: bool = False,
        unbuffered: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Describe a Flux instance as flux-alloc(1) does, without an initial program.

        Args:
            nslots: The ``num_slots`` of `from_nest_command`; if None, one for each node.
            nodes: The ``num_nodes``; without ``nslots``, for the job alone.
            cores_per_slot: See there.
            gpus_per_slot: See there.
            exclusive: See there.
            broker_opts: See there.
            conf: A dict, a `BatchConfig` or text for one.
            bg: Have the instance run until it is shut down, and keep its terminal's output.
            name: As for `from_command`, and so are the others.
            queue: See there.
            bank: See there.
            cwd: See there; if None, the current directory.
            output: See there.
            error: See there.
            input: See there.
            label_io: See there.
            unbuffered: See there.
            **kwargs: As for `from_submit`.

        Raises:
            ValueError: As `from_submit`; or neither ``nslots`` nor ``nodes`` is given.
            TypeError: As `from_submit`.
        """
        if nslots is None:
            if nodes is None:
                raise ValueError("from_alloc() requires nslots or nodes")
            nslots, exclusive = nodes, True
        options = list(broker_opts or ())
        if bg:
            options.append("-Sbroker.rc2_none=1")
        jobspec = cls.from_nest_command(
            [],
            nslots,
            cores_per_slot,
            gpus_per_slot,
            nodes,
            options,
            exclusive,
            as_config(conf),
            name=name,
            queue=queue,
            bank=bank,
            cwd=os.getcwd() if cwd is None else cwd,
            output=output,
            error=error,
            input=input,
            label_io=label_io,
            unbuffered=unbuffered,
        )
        if bg:
            jobspec.setattr_shell_option("pty.capture", 1)
        return jobspec.apply_options(prog="alloc", **{"env": [], "rlimit": [], **kwargs})

    @classmethod
    def from_batch(
        cls,
        script: _Path | None = None,
        *,
        content: str | None = None,
        nslots: int | None = None,
        nodes: int | None = None,
        cores_per_slot: int = 1,
        gpus_per_slot: int | None = None,
        exclusive: bool = False,
        broker_opts: Iterable[str] | None = None,
        conf: Any = None,
        wrap: bool = False,
        name: str | None = None,
        queue: str | None = None,
        bank: str | None = None,
        cwd: _Path | None = None,
        output: _Path | None = None,
        error: _Path | None = None,
        input: _Path | None = None,  # noqa: A002 - the name of the option
        label_io: bool = False,
        unbuffered: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Describe a batch job as flux-batch(1) does.

        Args:
            script: The path of the script.
            content: Or its text.
            nslots: The ``num_slots`` of `from_batch_command`; if None, one, or one a node.
            nodes: The ``num_nodes``; without ``nslots``, for the job alone.
            cores_per_slot: See there.
            gpus_per_slot: See there.
            exclusive: See there.
            broker_opts: See there.
            conf: A dict, a `BatchConfig` or text for one.
            wrap: Put ``#!/bin/sh`` before a script that names no interpreter.
            name: The job's name; if None, that of the script, or ``batch``.
            queue: As for `from_command`, and so are the others.
            bank: See there.
            cwd: See there; if None, the current directory.
            output: See there; if None, ``flux-JOBID.out``.
            error: See there.
            input: See there.
            label_io: See there.
            unbuffered: See there.
            **kwargs: As for `from_submit`.

        Raises:
            TypeError: As `from_submit`; or not just one of ``script`` and ``content`` is given.
            ValueError: As `from_submit` and `from_batch_command`.
            OSError: The script cannot be read.
        """
        if (script is None) == (content is None):
            raise TypeError("from_batch() takes either script, a path, or content, a text")
        if script is not None:
            content = Path(script).read_text(encoding="utf-8")
            name = Path(script).name if name is None else name
        text = content or ""
        if wrap and not text.startswith("#!"):
            text = f"#!/bin/sh\n{text}"
        if nslots is None:
            nslots, exclusive = (1, exclusive) if nodes is None else (nodes, True)
        jobspec = cls.from_batch_command(
            text,
            "batch" if name is None else name,
            None,
            nslots,
            cores_per_slot,
            gpus_per_slot,
            nodes,
            broker_opts,
            exclusive,
            as_config(conf),
            queue=queue,
            bank=bank,
            cwd=os.getcwd() if cwd is None else cwd,
            output="flux-{{id}}.out" if output is None else output,
            error=error,
            input=input,
            label_io=label_io,
            unbuffered=unbuffered,
        )
        return jobspec.apply_options(prog="batch", **{"env": [], "rlimit": [], **kwargs})

    def apply_options(
        self,
        args: Any = None,
        *,
        prog: str | None = None,
        _preinit: bool = True,
        env: Any = None,
        rlimit: Any = None,
        signal: str | None = None,
        taskmap: str | None = None,
        dependency: Any = None,
        requires: Any = None,
        shell_options: Mapping[str, Any] | None = None,
        time_limit: Any = None,
        attributes: Mapping[str, Any] | None = None,
        add_file: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Change the jobspec by options of flux-submit(1).

        Args:
            args: An object whose attributes are options, as of argparse; what is given by name
                counts before it.  ``setopt`` and ``setattr``, lists of ``KEY=VALUE``, only come
                this way.
            prog: The command whose plugins are to change the jobspec, too; None: no plugins.
            env: Rules for the environment, see ``--env``; an empty list passes that of this
                process on.  Without them, and without ``args``, the environment stays.
            rlimit: Rules for the limits, see ``--rlimit``; likewise.
            signal: ``[SIGNAL][@TIME]``: a signal before the time limit.
            taskmap: How tasks are laid out, such as ``cyclic``.
            dependency: URIs of what the job waits for, such as ``afterok:JOBID``.
            requires: What the nodes must have, such as ``host:NAMES`` or a property.
            shell_options: Options of the job shell, by dotted path.
            time_limit: Seconds, or text as RFC 23 has it.
            attributes: Attributes by dotted path, from ``system`` on; with a dot before it, from
                ``attributes`` on.
            add_file: Files, ``[NAME[:PERMISSIONS]=]PATH`` or ``NAME[:PERMISSIONS]=TEXT`` with a
                newline in it.
            **kwargs: Options of plugins.

        Returns:
            The jobspec.

        Raises:
            TypeError: There is no such option, or an attribute is set in what is no mapping.
            ValueError: An option's text is malformed.
        """
        from flux.job._apply_options import apply_options

        named = {
            "env": env,
            "rlimit": rlimit,
            "signal": signal,
            "taskmap": taskmap,
            "dependency": dependency,
            "requires": requires,
            "shell_options": shell_options,
            "time_limit": time_limit,
            "attributes": attributes,
            "add_file": add_file,
        }
        apply_options(self, args, prog, _preinit, named, kwargs)
        return self
