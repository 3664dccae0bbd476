"""Elections on any connected graph."""
