"""Constraints: conditions on resources and jobs (RFC 31)."""
