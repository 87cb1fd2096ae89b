"""Alerts that the platform raises itself, about devices and about itself."""
