"""A broker that Mooring runs: its configuration and accounts, what it is told and what it tells.

``mooring up`` does all of this beside its processes (``mooring.run``)."""
