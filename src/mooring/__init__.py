"""Mooring: the device side of an IoT product in one command."""

__all__ = ["__version__"]

__version__ = "0.1.0"
