"""From a topic to the device and channel it belongs to, remembered per topic.

``RouteTable`` joins the index of devices with the router over the dialects. A changed device
costs its own topics; only when dialects change it is made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from xxhash import xxh3_64_intdigest

from mooring.devices.index import DeviceIndex
from mooring.devices.reference import DeviceRef
from mooring.dialects import Catalogue, Router
from mooring.dialects.ids import MAX_WORD_BYTES
from mooring.dialects.match import Match
from mooring.dialects.model import Attribute, Channel, Kind
from mooring.dialects.payload import Decoder, PayloadLimits, compile_decoder
from mooring.dialects.topics import topic_matches
from mooring.ingest.interest import NO_INTEREST, Each, Interest, Interests, Repeat

__all__ = ["Route", "RouteTable", "Unroutable"]

NONE: frozenset[int] = frozenset()
CACHE_LIMIT = 200_000  # topics remembered, about 0.3 kB each


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where the messages of one topic go. Compared by identity: one object per topic."""

    device: DeviceRef
    device_id: int
    channel_id: int
    kind: Kind
    channel: Channel
    decode: Decoder
    topic: str = ""
    seed: int = 0  # for fingerprints: the channel, and the free words of the topic
    word: str | None = None  # the free word of the topic: a command's or an alert's name
    interest: Interest = NO_INTEREST  # what projections want of its messages
    each: tuple[Each, ...] = ()  # ``interest.each``
    repeat: Repeat | None = None  # ``interest.repeat``
    # Where several subscriptions match: all but the oldest. What they bring, that one brings too.
    later: frozenset[int] = NONE


@dataclass(frozen=True, slots=True)
class Unroutable:
    """Why the messages of one topic belong to nobody.

    ``stranger`` is (dialect, tenant, name) when a device that is not known speaks; ``registers``:
    on the channel on which it asks to be registered.
    """

    reason: str
    detail: str
    tenant: str | None = None
    stranger: tuple[str, str, str] | None = None
    later: frozenset[int] = NONE
    declared: bool = True  # false: no dialect knows the topic
    ours: bool = False  # a topic on which the platform speaks
    registers: bool = False


class RouteTable:
    """Topic → ``Route`` or ``Unroutable``.

    Args:
        catalogue: the dialects, in the order in which candidates are tried.
        devices: those that are known. What is remembered of a topic is forgotten when a device
            that it may name changes.
        channel_ids: (dialect, channel) → the small number that message rows carry.
        limits: what a payload may be.
        filters: our subscriptions that overlap, and the number of each.
        interests: the projections.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        devices: DeviceIndex,
        channel_ids: Mapping[tuple[str, str], int],
        limits: PayloadLimits,
        filters: Mapping[str, int] = MappingProxyType({}),
        *,
        interests: Interests | None = None,
    ) -> None:
        self.projections = 0 if interests is None else len(interests)
        self._interests = interests
        self._filters = [(one, number) for one, number in filters.items()]
        self._catalogue = catalogue
        self._router = Router(catalogue.all(), cache_limit=1)
        self._devices = devices
        devices.on_change = self.forget
        self._topics: dict[str, set[str]] = {}  # word of a device → topics that hold it
        self._channel_ids = channel_ids
        self._limits = limits
        self._decoders: dict[tuple[str, str], tuple[Decoder, Interest]] = {}
        self._cache: dict[str, Route | Unroutable] = {}
        self.get = self._cache.get  # the hot path asks the dictionary itself

    def find(self, topic: str) -> Route | Unroutable:
        """Resolves a topic that the cache does not hold, and remembers it."""
        found = self._resolve(topic)
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
            self._topics.clear()
        self._cache[topic] = found
        return found

    def forget(self, words: Iterable[str]) -> None:
        """Topics that may name a device by one of these words are resolved again when they are
        used next."""
        for word in words:
            for topic in self._topics.pop(word, ()):
                self._cache.pop(topic, None)

    def down_topic(self, kind: Kind, device_id: int) -> str | None:
        """Where a device listens for receipts or for what is asked of it again; ``None`` where
        its dialect has no such channel."""
        device = self._devices.by_id(device_id)
        return None if device is None else device.down_topic(kind)

    def _resolve(self, topic: str) -> Route | Unroutable:
        matching = [number for one, number in self._filters if topic_matches(one, topic)]
        found = self._find_reader(topic)
        if len(matching) < 2:
            return found
        return replace(found, later=frozenset(matching) - {min(matching)})

    def _find_reader(self, topic: str) -> Route | Unroutable:
        candidates = self._router.match(topic)
        for match in candidates:
            word = self._devices.word(match.values)
            if word is not None:
                self._topics.setdefault(word, set()).add(topic)
        for match in candidates:
            device = self._devices.find(match.dialect, match.values)
            if device is not None:
                return self._route(topic, match, device)
        if not candidates:
            return Unroutable(
                "undeclared_topic",
                "No dialect declares this topic.",
                declared=False,
                ours=bool(self._router.match_any(topic)),
            )
        first = candidates[0]
        name = first.values.get(Attribute.DEVICE) or first.values.get(Attribute.MAC)
        if name is None:
            return Unroutable("no_device", "The topic does not identify the sending device.")
        tenant = first.values.get(Attribute.TENANT, "default")
        if max(len(name.encode()), len(tenant.encode())) > MAX_WORD_BYTES:
            # Nobody can be called that; it is not listed as an unknown device.
            return Unroutable("unknown_device", "The topic contains an invalid device name.")
        return Unroutable(
            "unknown_device",
            f"There is no device {name} of the dialect {first.dialect.name}"
            + (f" in the tenant {tenant}." if first.dialect.tenanted else "."),
            tenant if first.dialect.tenanted else None,
            (first.dialect.name, tenant, name),
            registers=first.channel.kind is Kind.REGISTER,
        )

    def _route(self, topic: str, match: Match, device: DeviceRef) -> Route:
        key = (match.dialect.name, match.channel.name)
        found = self._decoders.get(key)
        if found is None:
            decode = compile_decoder(match.channel.payload, self._limits)
            wanted = self._interests
            interest = NO_INTEREST if wanted is None else wanted.interest(match.channel)
            found = self._decoders[key] = (decode, interest)
        decode, interest = found
        number = self._channel_ids[key]
        words = "/".join(
            match.values[one] for one in (Attribute.GROUP, Attribute.NAME) if one in match.values
        )
        return Route(
            device=device,
            device_id=device.id,
            channel_id=number,
            kind=match.channel.kind,
            channel=match.channel,
            decode=decode,
            topic=topic,
            seed=xxh3_64_intdigest(words.encode(), number) if words else number,
            word=match.values.get(Attribute.NAME),
            interest=interest,
            each=interest.each,
            repeat=interest.repeat,
        )
