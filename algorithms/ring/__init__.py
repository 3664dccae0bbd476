"""Elections on a ring."""
