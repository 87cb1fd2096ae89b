"""Firmware over the air."""
