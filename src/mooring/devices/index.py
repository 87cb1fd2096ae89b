"""Every device in memory, by what topics call it, and kept up to date change by change.

Made for a process that looks devices up for each message. Pure: ``mooring.devices.following``
reads what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from mooring.devices.model import Device
from mooring.devices.reference import DeviceRef
from mooring.dialects import Catalogue, normal_mac
from mooring.dialects.model import Attribute, Dialect
from mooring.errors import Invalid

__all__ = ["DeviceIndex"]

Key = tuple[str, str | None, str]  # dialect, tenant where topics name it, word
OnChange = Callable[[Sequence[str]], object]


class DeviceIndex:
    """Devices of known dialects. It belongs to one thread at a time.

    Args:
        catalogue: the dialects; replaced by ``use``.
        on_change: called with the words by which topics call a device that was added, changed or
            removed: what was worked out from them may be different now.
    """

    def __init__(self, catalogue: Catalogue, on_change: OnChange = lambda _: None) -> None:
        self.version = -1  # up to which it follows the database
        self.on_change = on_change
        self._dialects = {dialect.name: dialect for dialect in catalogue.all()}
        self._devices: dict[int, Device] = {}  # also those of unknown dialects
        self._refs: dict[int, DeviceRef] = {}
        self._by_word: dict[Key, DeviceRef] = {}

    @classmethod
    def of(cls, devices: Iterable[Device], catalogue: Catalogue) -> DeviceIndex:
        """An index of these devices that follows no database."""
        index = cls(catalogue)
        for device in devices:
            index.put(device)
        return index

    def __len__(self) -> int:
        return len(self._refs)

    # ------------------------------------------------------------------ asking

    def by_id(self, number: int) -> DeviceRef | None:
        return self._refs.get(number)

    def find(self, dialect: Dialect, values: Mapping[Attribute, str]) -> DeviceRef | None:
        """The device that a topic names by these placeholders."""
        word = self.word(values)
        if word is None:
            return None
        scope = values.get(Attribute.TENANT) if dialect.tenanted else None
        return self._by_word.get((dialect.name, scope, word))

    @staticmethod
    def word(values: Mapping[Attribute, str]) -> str | None:
        """The word by which a topic calls its device; ``None`` where it names none."""
        name = values.get(Attribute.DEVICE)
        if name is not None:
            return name
        mac = values.get(Attribute.MAC)
        try:
            return None if mac is None else _mac_word(mac)
        except Invalid:
            return None

    # ------------------------------------------------------------------ following

    def use(self, catalogue: Catalogue) -> None:
        """Follows changed dialects. Devices of dialects that stayed the same cost nothing."""
        before = self._dialects
        self._dialects = {dialect.name: dialect for dialect in catalogue.all()}
        changed = {
            name
            for name in before.keys() | self._dialects.keys()
            if before.get(name) is not self._dialects.get(name)
        }
        for device in list(self._devices.values()):
            if device.dialect in changed:
                self.put(device)

    def put(self, device: Device) -> None:
        """Adds a device, or what is new of it."""
        known, ref = self._devices.get(device.id), self._refs.get(device.id)
        dialect = self._dialects.get(device.dialect)
        same = known is not None and (known.identity, known.dialect) == (
            device.identity,
            device.dialect,
        )
        if same and (ref.dialect if ref else None) is dialect:
            self._devices[device.id] = device
            return
        if known is not None:
            self.drop(device.id)
        self._devices[device.id] = device
        if dialect is not None:
            ref = self._refs[device.id] = DeviceRef.of(device, dialect)
            for key in _keys(ref):
                self._by_word[key] = ref
        self.on_change(_words(device))

    def drop(self, number: int) -> None:
        """Forgets a device."""
        device, ref = self._devices.pop(number, None), self._refs.pop(number, None)
        if ref is not None:
            for key in _keys(ref):
                if self._by_word.get(key) is ref:
                    del self._by_word[key]
        if device is not None:
            self.on_change(_words(device))

    def numbers(self, first: int = 1, last: int | None = None) -> list[int]:
        """Numbers of the devices that are known, from one to another."""
        if last is not None and last - first < len(self._devices):
            return [number for number in range(first, last + 1) if number in self._devices]
        return [
            number
            for number in self._devices
            if first <= number and (last is None or number <= last)
        ]


def _mac_word(mac: str) -> str:
    """Apart from any name: a device may be called like another's MAC address."""
    return "\0" + normal_mac(mac)


def _words(device: Device) -> list[str]:
    return [device.name, *([_mac_word(device.mac)] if device.mac else [])]


def _keys(ref: DeviceRef) -> list[Key]:
    scope = ref.tenant if ref.dialect.tenanted else None
    words = [ref.name, *([_mac_word(ref.identity.mac)] if ref.identity.mac else [])]
    return [(ref.dialect.name, scope, word) for word in words]
