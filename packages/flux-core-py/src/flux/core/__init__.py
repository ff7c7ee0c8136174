"""The handle, the reactor and its watchers."""
