"""Releases of firmware: what can be installed, and who vouches for it."""
