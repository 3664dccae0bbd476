"""Elections by majorities, in terms."""
