"""Stands in for PyGObject, which pip cannot install without a compiler and system libraries."""
