"""The harness: engines, sweeps, stored results and what is read from them."""

__version__ = "0.1.0"
