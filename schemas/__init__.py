"""What rows mean: typed rows, table schemas, identifiers and configuration.

This package imports nothing from the other three, so that a reader of a lake needs
only this folder to know what every column holds.
"""
