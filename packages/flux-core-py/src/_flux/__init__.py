"""Private parts of the Flux bindings; see `_flux._core`."""
