"""Engines: interpreters of the effects of a node."""
