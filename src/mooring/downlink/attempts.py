"""Sends rows that are marked, and records what the broker answered.

One attempt each, all at the same time, and one transaction for their results. A row that cannot
be sent costs the others nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mqtt5 import PubAckReasonCode

from mooring.downlink import connecting, store
from mooring.downlink.model import Claimed
from mooring.downlink.protocol import Listening, LiveOwner, Taken
from mooring.downlink.rules import Answer, Event, answered, pause_ms
from mooring.errors import BrokerUnavailable
from mooring.link.connection import FAILURE, NeverSent
from mooring.link.mqtt import MqttLink
from mooring.secrets.instance import Instance
from mooring.store.engine import Database, now_ms

__all__ = ["ANSWER_SECONDS", "Attempts"]

log = logging.getLogger(__name__)

NOTHING: Mapping[int, Listening] = {}
UNHEARD = "No client is subscribed to its topic."
ANSWER_SECONDS = 10.0  # less than a lease lasts
LIVE_EXPIRY_MS = 60_000
"""For this long the broker keeps a live message that the device's connection lost. It must not
arrive when nobody expects it any more."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one attempt; ``broken``: why it can never be sent."""

    row: Claimed
    answer: Answer | None = None  # None: nothing was sent
    error: str = ""
    broken: bool = False


@dataclass
class Attempts:
    """See the module.

    Attributes:
        link: the connection; ``None`` while it is lost.
        live: the part that writes live messages.
        sent: how many messages went out.
    """

    database: Database
    instance: Instance
    link: Callable[[], MqttLink | None]
    live: LiveOwner | None
    sent: int = 0

    async def make(
        self, claimed: Sequence[Claimed], evidence: Mapping[int, Listening] = NOTHING
    ) -> int:
        """One attempt for each of these rows, recorded; how many.

        Args:
            evidence: of live messages, what is known of their devices.
        """
        if not claimed:
            return 0
        results = await asyncio.gather(*(self._attempt(row) for row in claimed))
        await asyncio.to_thread(self._record, results, evidence)
        self.sent += sum(1 for one in results if one.answer is not None)
        return len(results)

    async def _attempt(self, row: Claimed) -> _Result:
        try:
            payload = self.instance.unseal_bytes(row.payload) if row.sealed else row.payload
            code = await self._deliver(row, payload)
        except NeverSent:
            return _Result(row)
        except BrokerUnavailable as exc:
            return _Result(row, Answer(acknowledged=False), str(exc))
        except Exception as exc:  # noqa: BLE001 - of this row alone; it is recorded there
            log.warning("the downlink %d cannot be sent: %s", row.id, exc)
            return _Result(row, None, str(exc) or type(exc).__name__, broken=True)
        if code >= FAILURE:
            return _Result(row, Answer(acknowledged=True, refused=True), _refusal(code))
        heard = code != int(PubAckReasonCode.NO_MATCHING_SUBSCRIBERS)
        return _Result(row, Answer(acknowledged=True, heard=heard), "" if heard else UNHEARD)

    async def _deliver(self, row: Claimed, payload: bytes) -> int:
        """The broker's reason code for one message; see ``MqttLink.deliver``."""
        link = self.link()
        if link is None:
            raise NeverSent("There is no connection to the broker.")
        left_ms = row.expires_at - now_ms()
        if row.until.live:
            left_ms = min(left_ms, LIVE_EXPIRY_MS)
        left = max(1, left_ms // 1000)
        return int(
            await link.deliver(
                row.topic,
                payload,
                qos=row.qos,
                retain=row.retain,
                expires=left,
                within=ANSWER_SECONDS,
            )
        )

    def _record(self, results: Sequence[_Result], evidence: Mapping[int, Listening]) -> None:
        at = now_ms()
        unheard = [
            one.row.device_id
            for one in results
            if one.answer is not None and not one.answer.heard and one.row.device_id is not None
        ]
        connected: set[int] = set()
        if unheard:
            with self.database.read() as connection:
                connected = connecting.connected_now(connection, unheard)
        kinds: dict[tuple[Event, bool, bool, str], list[_Result]] = defaultdict(list)
        for one in results:
            answer = one.answer
            lost = answer is not None and not answer.acknowledged
            taken = answer is not None and answer.acknowledged and not answer.refused
            kinds[_event_of(one, connected), lost, taken, one.error].append(one)
        # Nothing waits for a command to be sent. The looks that follow commits cost each process.
        news = not all(one.row.until.live for one in results)
        # A power cut that loses this leaves rows that are marked as being sent: what was sent
        # counts as sent, or is sent again where that may be, as if the power had gone earlier.
        with self.database.write(news=news, lasting=False) as connection:
            for (event, lost, taken, error), some in kinds.items():
                store.finish_attempts(
                    connection,
                    event,
                    [(one.row.id, one.row.attempts, _next_at(one, at)) for one in some],
                    at,
                    lost=lost,
                    taken=taken,
                    error=error or None,
                )
                if event in (Event.ACCEPT, Event.ACCEPT_OPEN) and self.live is not None:
                    live = [_taken(one, evidence) for one in some if one.row.until.live]
                    if live:
                        self.live.taken(connection, live, at)


def _event_of(result: _Result, connected: set[int]) -> Event:
    row, answer = result.row, result.answer
    if result.broken:
        return Event.GIVE_UP
    if answer is None:
        return Event.PARK if row.until.live else Event.RETRY
    if not answer.heard:
        there = row.device_id is None or row.device_id in connected
        answer = Answer(acknowledged=True, heard=False, connected=there)
    return answered(row.until, row.losses, answer)


def _taken(result: _Result, evidence: Mapping[int, Listening]) -> Taken:
    known = evidence.get(result.row.id, Listening(""))
    acknowledged = result.answer is not None and result.answer.acknowledged
    said = "took it" if acknowledged else "did not answer; it may have arrived"
    words = f"The broker {said}. {known.evidence}".strip()
    device_id = result.row.device_id
    assert device_id is not None  # a live message goes to one device
    return Taken(result.row.id, device_id, result.row.sent_at, words, known.session)


def _next_at(result: _Result, at: int) -> int:
    """What the connection took with it is sent again as soon as there is one."""
    answered_at_all = result.answer is not None and result.answer.acknowledged
    return at + pause_ms(result.row.attempts) if answered_at_all else at


def _refusal(code: int) -> str:
    name = PubAckReasonCode(code).name.lower().replace("_", " ")
    return f"The broker rejected it: {name}."
