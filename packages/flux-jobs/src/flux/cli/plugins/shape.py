"""The options ``--resources-shape`` and ``--resources-json`` of flux-submit(1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flux.cli.plugin import CLIPlugin
from flux.shape.parser import ShapeParser

if TYPE_CHECKING:
    from flux.job._jobspec import Jobspec


class ShapePlugin(CLIPlugin):
    """Resources of a job as a shape (RFC 46), or from a file in JSON.

    They take the place of all other options for resources.
    """

    def __init__(self, prog: str, prefix: str | None = "resources") -> None:
        super().__init__(prog, prefix=prefix)
        self.add_option(
            "--shape",
            metavar="SHAPE",
            help="Give the resources as a shape (RFC 46), whatever other options say of them.",
        )
        self.add_option(
            "--json",
            metavar="FILE",
            help="Take the resources of a jobspec from a file in JSON.",
        )

    def preinit(self, args: Any) -> None:
        """Give the command a number of nodes, which it needs and which does not count."""
        if getattr(args, "shape", None) or getattr(args, "json", None):
            args.nodes = 1

    def modify_jobspec(self, args: Any, jobspec: Jobspec) -> None:
        """Put the resources into the jobspec.

        Raises:
            ValueError: Both options are given, or the file is no JSON.
            OSError: The file cannot be read.
            flux.shape.parser.ShapeSyntaxError: The shape is malformed.
        """
        shape, path = getattr(args, "shape", None), getattr(args, "json", None)
        if shape and path:
            raise ValueError(
                "--resources-shape and --resources-json are mutually exclusive: use only one"
            )
        if shape:
            jobspec.jobspec["resources"] = ShapeParser().parse(shape)
        elif path:
            with open(path, encoding="utf-8") as file:
                resources = json.load(file)
            if isinstance(resources, dict):
                resources = resources["resources"]
            jobspec.jobspec["resources"] = resources
