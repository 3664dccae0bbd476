"""The harness: engines, sweeps, stored results and what is read from them."""

__version__ = "0.1.0"


class BadInput(Exception):
    """What the user asked for is wrong; the message is one line that names the option and what would be accepted."""
