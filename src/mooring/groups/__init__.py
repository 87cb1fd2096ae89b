"""Groups of devices: static ones with members, and dynamic ones by a query."""
