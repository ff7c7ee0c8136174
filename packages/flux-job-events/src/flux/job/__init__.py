"""Flux jobs: their ids, eventlogs and journal."""
