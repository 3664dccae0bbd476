"""How fast the suite is (one table beside peers and limits), and how far it goes (`scale`)."""
