"""URIs of Flux instances, and how they are found: see `FluxURIResolver` and flux-uri(1)."""

from __future__ import annotations

import os
import platform
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from flux.importer import import_path, import_plugins

__all__ = ["URI", "FluxURIResolver", "JobURI", "URIResolverPlugin", "URIResolverURI"]


class URI:
    """The parts of a URI.

    Args:
        uri: The URI.

    Attributes:
        uri: The URI as it was given.
        scheme: What it begins with, before the colon.
        netloc: The host.
        path: The path.
        params: Parameters of the last segment of the path.
        query: The query.
        query_dict: The values of each key of the query, as lists.
        fragment: The fragment.
    """

    def __init__(self, uri: str) -> None:
        parts = urlparse(uri)
        self.uri = uri
        self.scheme = parts.scheme
        self.netloc = parts.netloc
        self.path = parts.path
        self.params = parts.params
        self.query = parts.query
        self.query_dict = parse_qs(parts.query, keep_blank_values=True)
        self.fragment = parts.fragment


class JobURI(URI):
    """The URI of a Flux instance, to be reached on its own host or from others.

    ``str()`` gives it as it is, or where the environment variable FLUX_URI_RESOLVE_LOCAL is set in
    its local form.

    Args:
        uri: The URI.
        remote_hostname: The instance's host, where the URI does not name it; this one if None.

    Attributes:
        force_local: Whether ``str()`` gives the local form.

    Raises:
        ValueError: The URI has no scheme.
    """

    force_local = bool(os.environ.get("FLUX_URI_RESOLVE_LOCAL", ""))

    def __init__(self, uri: str, remote_hostname: str | None = None) -> None:
        super().__init__(uri)
        if not self.scheme:
            raise ValueError(f"'{uri}' is no URI of a Flux instance: it has no scheme")
        self.path = re.sub("/+", "/", self.path)
        self.remote_hostname = remote_hostname

    @property
    def remote(self) -> str:
        """The URI for other hosts, with scheme ``ssh``.

        Raises:
            ValueError: There is none for the scheme.
        """
        if self.scheme == "local":
            return f"ssh://{self.remote_hostname or platform.node()}{self.path}"
        return self._if_scheme("ssh", "remote")

    @property
    def local(self) -> str:
        """The URI on its own host, with scheme ``local``.

        Raises:
            ValueError: There is none for the scheme.
        """
        if self.scheme == "ssh":
            return f"local://{self.path}"
        return self._if_scheme("local", "local")

    def _if_scheme(self, scheme: str, kind: str) -> str:
        if self.scheme != scheme:
            raise ValueError(f"a URI with scheme {self.scheme} has no {kind} form: '{self.uri}'")
        return self.uri

    def __str__(self) -> str:
        return self.local if self.force_local else self.uri


class URIResolverURI(URI):
    """What is to be resolved, ``SCHEME:PATH``; the path may be a number."""

    def __init__(self, uri: str) -> None:
        # What follows the colon may look like a port, after which there would be no scheme.
        scheme, colon, rest = uri.partition(":")
        super().__init__(f"{scheme}:-{rest}" if colon else uri)
        if colon:
            self.path = self.path[1:]
        self.uri = uri


class URIResolverPlugin(ABC):
    """Base class for resolvers of one scheme.

    A resolver of scheme NAME is class ``URIResolver`` of a module ``flux.uri.resolvers.NAME``,
    which another distribution may bring.
    """

    def __init__(self, *args: Any) -> None:  # noqa: B027 - what a resolver is given, if anything
        pass

    @abstractmethod
    def describe(self) -> str:
        """Return what it does, in a few words."""

    @abstractmethod
    def resolve(self, uri: URIResolverURI) -> str:
        """Return the URI of the Flux instance.

        Args:
            uri: What is to be resolved.

        Raises:
            ValueError: It does not lead to an instance; the text says why.
            OSError: What would tell cannot be asked.
        """


class FluxURIResolver:
    """Finds Flux instances: ``jobid:``, ``pid:``, ``slurm:``, ``lsf:`` and what plugins add.

    Example:
        >>> flux.Flux(str(FluxURIResolver().resolve("ƒ2oxf/ƒ3w")))

    Args:
        pluginpath: Directories with plugins, ``flux/uri/resolvers/NAME.py`` in each; they come
            before all others.

    Attributes:
        resolvers: The plugins by scheme.

    Raises:
        ImportError: A plugin cannot be imported; the text names it.
    """

    def __init__(self, pluginpath: Iterable[str] | None = None) -> None:
        found = import_plugins("flux.uri.resolvers")
        for directory in pluginpath or ():
            for path in sorted(Path(directory, "flux", "uri", "resolvers").glob("*.py")):
                found[path.stem] = import_path(path)
        self.resolvers: dict[str, URIResolverPlugin] = {
            scheme: module.URIResolver() for scheme, module in found.items()
        }

    def resolve(self, uri: str) -> JobURI:
        """Find an instance.

        Args:
            uri: What to find it by, ``jobid:`` if there is no scheme.  In its query, ``local``
                and ``remote`` say which form the result is to have, and ``jobid:`` also
                understands ``wait``: for the job to start.  What is a URI of an instance already
                is returned as it is.

        Raises:
            NotImplementedError: There is no plugin for the scheme.
            ValueError: It does not lead to an instance; the text says why.
            OSError: What would tell cannot be asked.
        """
        wanted = URIResolverURI(uri)
        if not wanted.scheme:
            wanted = URIResolverURI(f"jobid:{uri}")
        if wanted.scheme in ("ssh", "local"):
            return JobURI(uri)
        if wanted.scheme not in self.resolvers:
            known = ", ".join(sorted(self.resolvers))
            raise NotImplementedError(
                f"no plugin for URI scheme {wanted.scheme}: there are {known}"
            )
        forms = {"local", "remote"} & wanted.query_dict.keys()
        if len(forms) > 1:
            raise ValueError(f"only one of 'local' and 'remote' is allowed: '{uri}'")
        found = JobURI(self.resolvers[wanted.scheme].resolve(wanted))
        if not forms:
            return found
        return JobURI(found.local if "local" in forms else found.remote)

    def plugins(self) -> dict[str, str]:
        """Return what each plugin does, by scheme."""
        return {scheme: plugin.describe() for scheme, plugin in self.resolvers.items()}
