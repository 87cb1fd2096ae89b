"""Who an unknown username may be: a device of a dialect that nobody added. Pure."""

from __future__ import annotations

import re

from mooring.dialects import Catalogue, check_word, normal_mac
from mooring.dialects.model import Dialect
from mooring.errors import Invalid

__all__ = ["unknown_device"]

DEFAULT_TENANT = "default"
_PLACE = re.compile(r"\{(tenant|device|mac)\}")


def unknown_device(catalogue: Catalogue, username: str) -> tuple[str, str, str] | None:
    """(dialect, tenant, name) of the device that logs in under this username.

    The dialect with the most particular form of username counts. ``None`` where no dialect
    makes such a username, or several do that are equally particular.
    """
    found: dict[tuple[int, int], list[tuple[str, str, str]]] = {}
    for dialect in catalogue.all():
        one = _read(dialect, username)
        if one is not None:
            found.setdefault(_particular(dialect.username), []).append(one)
    best = found[max(found)] if found else []
    return best[0] if len(best) == 1 else None


def _particular(form: str) -> tuple[int, int]:
    places = [place[1] for place in _PLACE.finditer(form)]
    return len(places) + ("mac" in places), len(_PLACE.sub("", form))


def _read(dialect: Dialect, username: str) -> tuple[str, str, str] | None:
    pattern, at, seen = "", 0, set[str]()
    for place in _PLACE.finditer(dialect.username):
        word = place[1]
        pattern += re.escape(dialect.username[at : place.start()])
        pattern += f"(?P={word})" if word in seen else f"(?P<{word}>.+)"
        seen.add(word)
        at = place.end()
    match = re.fullmatch(pattern + re.escape(dialect.username[at:]), username)
    if match is None:
        return None
    words = match.groupdict()
    name = words.get("device") or words.get("mac") or ""
    tenant = words.get("tenant") or DEFAULT_TENANT
    try:
        if "device" in words:
            check_word(name, "device name")
        else:
            normal_mac(name)
        check_word(tenant, "tenant")
    except Invalid:
        return None
    return dialect.name, tenant, name
