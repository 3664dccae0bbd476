"""Elections on a complete graph."""
