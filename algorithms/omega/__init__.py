"""Eventual leadership: there is one leader in the end."""
