"""Short links under which devices download firmware."""
