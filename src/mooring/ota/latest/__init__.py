"""Releases that are announced to every device of a dialect, on one retained topic."""
