"""Backups of an installation, and their return."""
