"""Devices that are not known: a list of them, and what is decided about each."""
