"""From a message of the stream to values and rows of a page. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mooring.dashboard.live.sources import metric_values
from mooring.dialects.times import parse_time
from mooring.stream.model import PRESENCE

__all__ = ["TEXT_MAX", "fits", "stream_row", "stream_values", "wanted_filter"]

TEXT_MAX = 200  # characters of a message in a row


def stream_values(item: Mapping[str, Any]) -> dict[str, Any]:
    """Values of one device's page."""
    at = parse_time(item["at"]) or 0
    if item["kind"] == PRESENCE:
        return {"state": item["values"].get("state", "unknown"),
                "reason": item["values"].get("reason", "")}  # fmt: skip
    return {"seen": at, **metric_values(item["values"], at)}


def wanted_filter(argument: str) -> dict[str, str]:
    """``device=x&kind=y`` of a topic's argument; only what a row can be filtered by."""
    pairs = (one.partition("=") for one in argument.split("&") if one)
    return {key: value for key, _, value in pairs if key in ("device", "kind", "channel")}


def fits(item: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a message is one of those that a list is about; see ``wanted_filter``."""
    if item["kind"] == PRESENCE:
        return False  # said by the platform, not by the device
    return all(not value or str(item[key]) == value for key, value in wanted.items())


def stream_row(item: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the list of messages."""
    reference = item["device"]
    if item["tenant"] != "default":
        reference = f"{item['tenant']}:{item['device']}"
    said = ", ".join(f"{name} {value}" for name, value in item["values"].items())
    if item.get("name"):
        said = f"{item['name']}: {said}" if said else item["name"]
    if len(said) > TEXT_MAX:
        said = f"{said[: TEXT_MAX - 1]}…"
    return {
        "cells": [
            {"at": parse_time(item["at"]) or 0},
            {"text": reference, "href": f"/devices/{quote(reference, safe='')}", "class": "tight"},
            {"text": item["kind"].replace("_", " "), "class": "tight"},
            {"text": item["channel"], "class": "tight"},
            {"text": said, "class": "said"},
        ]
    }
