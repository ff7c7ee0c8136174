"""What the integration tests need beside pytest: cells of the matrix, brokers, results.

A *cell* is a kind of broker together with a connector and a Python.  The scenarios know it only as
a `harness.cell.Cell`.
"""
