"""Live values of open pages: what a tab watches, and the one collector of a process that asks."""
