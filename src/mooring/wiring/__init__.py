"""A broker that Mooring runs: its configuration and accounts, what it receives and what it reports.

``mooring up`` does all of this in parallel with its processes (``mooring.run``)."""
