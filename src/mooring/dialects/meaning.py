"""What a decoded payload says: readings, metadata, firmware version, presence, answers.

Called for the last message of a device in a batch, not for every message, so these are
plain walks over the body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mooring.dialects.model import Path, PayloadShape
from mooring.dialects.payload import PayloadLimits, look_up

__all__ = [
    "Scalar",
    "error",
    "firmware",
    "flatten",
    "identifier",
    "metadata",
    "name",
    "online",
    "online_text",
    "online_word",
    "outcome",
    "readings",
    "reply_to",
]

Scalar = str | int | float | bool

_MAX_TEXT = 500  # characters of the reason that a device gives
_MAX_WORD = 128  # characters of a version or an id; more is not one
_ONLINE = frozenset({"online", "connected", "up", "true", "1", "yes", "on", "alive"})
_OFFLINE = frozenset({"offline", "disconnected", "down", "false", "0", "no", "off", "lost"})


def readings(
    shape: PayloadShape,
    body: object,
    limits: PayloadLimits | None = None,
    *,
    on_drop: Callable[[int], object] | None = None,
) -> dict[str, Scalar]:
    """Metric name → value: nested keys joined with ``.``, array items by their index.

    ``null`` is not a reading. At most ``limits.max_metrics`` are taken; ``on_drop`` is called with
    how
    many were left out.
    """
    return _take(shape, body, shape.values, limits or PayloadLimits(), on_drop)


def metadata(
    shape: PayloadShape,
    body: object,
    limits: PayloadLimits | None = None,
    *,
    on_drop: Callable[[int], object] | None = None,
) -> dict[str, Scalar]:
    """What the device reports of itself (signal, battery, memory), flattened like readings."""
    if shape.metadata is None:
        return {}
    return _take(shape, body, shape.metadata, limits or PayloadLimits(), on_drop)


def firmware(shape: PayloadShape, body: object) -> str | None:
    """The firmware version the payload names."""
    for path in shape.firmware:
        value = look_up(body, path)
        found = None if value is None else _word(value)
        if found:
            return found
    return None


def online(shape: PayloadShape, body: object) -> bool | None:
    """Whether the device reports it is there; ``None`` when it says neither."""
    for path in shape.online:
        found = online_word(look_up(body, path))
        if found is not None:
            return found
    return None


def online_word(value: object) -> bool | None:
    """A boolean, 0 or 1, or a word such as ``online`` or ``offline``, in any case."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _ONLINE:
        return True
    return False if word in _OFFLINE else None


def online_text(text: str) -> bool | None:
    """The same for a payload that is not an object: ``offline``, ``"offline"``, ``true``, ``0``."""
    return online_word(text.strip().strip('"'))


def reply_to(shape: PayloadShape, body: object) -> str | None:
    """Which command (or which config version) this message answers."""
    return _word(look_up(body, shape.reply_to)) if shape.reply_to else None


def outcome(shape: PayloadShape, body: object) -> bool | str | None:
    """In a reply, whether the command worked: a boolean, or a word in lower case."""
    for path in shape.outcome:
        found = look_up(body, path)
        if isinstance(found, bool):
            return found
        word = _word(found)
        if word is not None:
            return word.lower()
    return None


def error(shape: PayloadShape, body: object) -> str:
    """In a reply or in reported settings, why it did not work, in the device's words; empty
    where it does not say."""
    for path in shape.error:
        found = look_up(body, path)
        if isinstance(found, str) and found.strip():
            return found.strip()[:_MAX_TEXT]
    return ""


def identifier(shape: PayloadShape, body: object) -> str | None:
    """The id the message itself carries."""
    return _word(look_up(body, shape.identifier)) if shape.identifier else None


def name(shape: PayloadShape, body: object) -> str | None:
    """The name in the payload: of a command, an alert, an event."""
    return _word(look_up(body, shape.name)) if shape.name else None


def flatten(
    value: object, *, skip: frozenset[Path] = frozenset(), limit: int = 256
) -> tuple[dict[str, Scalar], int]:
    """Every scalar below ``value`` by its joined path, and how many were left out.

    Where a dot in a key makes two paths the same text, the dots in the keys of one of them are
    written ``\\.``, as in a dialect, so that neither hides the other.
    """
    plain = _flat(value, skip, limit)
    if plain is not None:
        return plain, 0
    named = _Named()
    dropped = 0
    pending: list[tuple[Path, Any]] = [((), value)]
    while pending:
        path, item = pending.pop()
        if path in skip or item is None:
            continue
        if isinstance(item, dict):
            pending.extend(((*path, key), below) for key, below in reversed(item.items()))
        elif isinstance(item, list):
            numbered = list(enumerate(item))
            pending.extend(((*path, str(index)), below) for index, below in reversed(numbered))
        elif len(named.found) >= limit or not named.add(path, item):
            dropped += 1
    return named.found, dropped


class _Named:
    """Readings by their names, of which no two are the same."""

    def __init__(self) -> None:
        self.found: dict[str, Scalar] = {}
        self._dotted: dict[
            str, str
        ] = {}  # names that hold a key's dot, and the other way to say it

    def add(self, path: Path, item: Scalar) -> bool:
        """Whether a name was found for it."""
        name = ".".join(path)
        if name.count(".") >= len(path):  # a dot in a key
            escaped = _escaped(path)
            if name in self.found:
                name = escaped
            else:
                self._dotted[name] = escaped
        elif name in self._dotted:
            other = self._dotted.pop(name)
            if other in self.found:
                return False
            self.found[other] = self.found.pop(name)
        if name in self.found:
            return False
        self.found[name] = item
        return True


def _escaped(path: Path) -> str:
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") for key in path)


def _flat(value: object, skip: frozenset[Path], limit: int) -> dict[str, Scalar] | None:
    """The same for an object without others in it, as most payloads are; ``None`` for any
    other value. A quarter of the time, which counts where thousands of devices are listed."""
    if type(value) is not dict or len(value) > limit or () in skip:
        return None
    found: dict[str, Scalar] = {}
    for key, item in value.items():
        if item is None or (skip and (key,) in skip):
            continue
        if isinstance(item, _NESTED):
            return None
        found[key] = item
    return found


_NESTED = (dict, list)


def _take(
    shape: PayloadShape,
    body: object,
    root: Path,
    limits: PayloadLimits,
    on_drop: Callable[[int], object] | None,
) -> dict[str, Scalar]:
    start = look_up(body, root)
    if not isinstance(start, dict | list):
        return {}
    found, dropped = flatten(start, skip=_other_meanings(shape, root), limit=limits.max_metrics)
    if dropped and on_drop is not None:
        on_drop(dropped)
    return found


# A shape belongs to a channel of a loaded dialect and lives as long as that. Found by identity:
# hashing a shape costs more than what is remembered here. The shape is kept next to the answer,
# so that no other one gets its identity.
_SKIPS: dict[tuple[int, Path], tuple[PayloadShape, frozenset[Path]]] = {}
_SKIPS_MAX = 10_000


def _other_meanings(shape: PayloadShape, root: Path) -> frozenset[Path]:
    """The paths below ``root`` that are not readings, because they mean something else."""
    known = _SKIPS.get((id(shape), root))
    if known is None:
        if len(_SKIPS) >= _SKIPS_MAX:
            _SKIPS.clear()
        known = _SKIPS[id(shape), root] = (shape, _find_other_meanings(shape, root))
    return known[1]


def _find_other_meanings(shape: PayloadShape, root: Path) -> frozenset[Path]:
    single = (
        shape.sequence,
        shape.device,
        shape.identifier,
        shape.correlation,
        shape.expires,
        shape.guard,
        shape.secrets,
        shape.name,
        shape.reply_to,
    )
    paths = {*shape.time, *shape.firmware, *shape.online, *shape.outcome, *shape.error}
    paths.update(path for path in single if path)
    if shape.metadata and shape.metadata != root:
        paths.add(shape.metadata)
    if root == shape.metadata and shape.values:
        paths.add(shape.values)
    return frozenset(
        path[len(root) :] for path in paths if len(path) > len(root) and path[: len(root)] == root
    )


def _word(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return text if 0 < len(text) <= _MAX_WORD else None
