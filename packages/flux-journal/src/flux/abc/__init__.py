"""Consumers of the journals that Flux services publish."""
