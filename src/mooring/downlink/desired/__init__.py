"""Retained documents that the database owns and the broker is to have."""
