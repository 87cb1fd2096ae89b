"""Which metrics a device may have: as many as the limit says, the rest rejected and named.

A name that changes with every message would otherwise make tables, indexes and the keeper's
memory grow indefinitely. Names are noted before the roll-ups that use them, in a transaction of
their own: a name without a value does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mooring.rollups import metrics
from mooring.rollups.model import NAME_MAX, Summary
from mooring.store.engine import Database

__all__ = ["Names", "Refused"]

log = logging.getLogger(__name__)

REMEMBERED = 200_000  # names, and devices, kept in memory


@dataclass(frozen=True, slots=True)
class Refused:
    """Values of one device that no roll-up takes."""

    device: int
    values: int
    example: str


class Names:
    """The numbers of metrics, and who has which.

    Args:
        limit: metrics a device may have.
    """

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._numbers: dict[str, int] = {}
        self._of_device: dict[int, frozenset[int]] = {}
        self._alike: dict[frozenset[int], frozenset[int]] = {}  # one object for equal devices
        self._warned: set[int] = set()

    def number(
        self, found: Mapping[tuple[int, int, int], Mapping[str, Summary]]
    ) -> tuple[dict[tuple[int, int, int], dict[int, Summary]], list[Refused]]:
        """Puts numbers instead of names; what goes over the limit is left out.

        Args:
            found: (device, channel, minute) → metric's name → summary.
        """
        self._learn(found)
        numbered: dict[tuple[int, int, int], dict[int, Summary]] = {}
        refused: dict[int, Refused] = {}
        for key, by_name in found.items():
            mine = self._of_device[key[0]]
            row: dict[int, Summary] = {}
            for name, summary in by_name.items():
                number = self._numbers.get(name)
                if number is not None and number in mine:
                    row[number] = summary
                else:
                    before = refused.get(key[0])
                    values = summary.count + (before.values if before else 0)
                    refused[key[0]] = Refused(key[0], values, name[:NAME_MAX])
            if row:
                numbered[key] = row
        for one in refused.values():
            self._warn(one)
        return numbered, list(refused.values())

    # ------------------------------------------------------------------ inside

    def _learn(self, found: Mapping[tuple[int, int, int], Mapping[str, Summary]]) -> None:
        if len(self._numbers) > REMEMBERED or len(self._of_device) > REMEMBERED:
            self._numbers, self._of_device, self._alike = {}, {}, {}
        devices = {key[0] for key in found} - self._of_device.keys()
        said: dict[int, dict[str, None]] = {}
        for key, by_name in found.items():
            said.setdefault(key[0], {}).update(dict.fromkeys(by_name))
        unknown = {name for names in said.values() for name in names} - self._numbers.keys()
        if devices or unknown:
            with self._database.read() as connection:
                for device, ids in metrics.device_metric_ids(connection, devices).items():
                    self._keep(device, frozenset(ids))
                self._numbers.update(metrics.metric_numbers(connection, _usable(unknown)))
        new = [
            (device, name) for device, names in said.items() for name in self._new(device, names)
        ]
        if not new:
            return
        with self._database.write() as connection:
            numbers = metrics.enlist(connection, new)
        self._numbers.update(numbers)
        more: dict[int, set[int]] = {}
        for device, name in new:
            more.setdefault(device, set()).add(numbers[name])
        for device, ids in more.items():
            self._keep(device, self._of_device[device] | ids)

    def _new(self, device: int, names: Iterable[str]) -> list[str]:
        """Those of these names the device has not had, as long as the limit allows."""
        mine = self._of_device[device]
        free = self._limit - len(mine)
        found: list[str] = []
        for name in names:
            if len(found) >= free:
                break
            number = self._numbers.get(name)
            if (number is None or number not in mine) and len(name) <= NAME_MAX:
                found.append(name)
        return found

    def _keep(self, device: int, ids: frozenset[int]) -> None:
        self._of_device[device] = self._alike.setdefault(ids, ids)

    def _warn(self, refused: Refused) -> None:
        if refused.device not in self._warned and len(self._warned) < REMEMBERED:
            self._warned.add(refused.device)
            log.warning(
                "device number %d has more than %d metrics; further ones are not rolled up, for "
                "example %s",
                refused.device,
                self._limit,
                ascii(refused.example[:64]),
            )


def _usable(names: Iterable[str]) -> list[str]:
    return [name for name in names if len(name) <= NAME_MAX]
