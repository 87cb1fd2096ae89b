"""Accounts in and out."""

import typer

__all__ = ["declare"]


def declare(app: typer.Typer) -> None:
    """Adds."""
