"""URIs of Flux instances, and finding them by what runs in them or what they run in."""

from __future__ import annotations

import flux._ours
from flux.uri.uri import URI, FluxURIResolver, JobURI, URIResolverPlugin, URIResolverURI

__all__ = ["URI", "FluxURIResolver", "JobURI", "URIResolverPlugin", "URIResolverURI"]

# Other distributions may add resolvers: installed editable, from a directory of their own.
__path__ = [*__path__, *(f"{path}/uri" for path in flux.__path__ if f"{path}/uri" not in __path__)]
