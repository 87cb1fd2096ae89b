"""What goes out next: urgent messages, live readings, the backlog, and repeats.

Used by the network thread only. It reads from the store in chunks, keeps the window of what
is on its way, and takes out of the store what was delivered: on a receipt where the dialect
has them, otherwise on the broker's PUBACK.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mooring_device import ranges as r
from mooring_device.errors import InvalidReading
from mooring_device.outbox import Outbox
from mooring_device.pace import LIVE, Bucket, plan
from mooring_device.receipts import Receipt, Skip, answer_rerequest, settle
from mooring_device.store import Store
from mooring_device.tables import Held, Tables
from mooring_device.window import Window

__all__ = ["Counters", "Lane", "Sender"]

log = logging.getLogger("mooring_device")

CHUNK = 200  # readings fetched from the store at once
TELL = 500  # ranges in one message about what is lost


@dataclass
class Counters:
    """What the sender did since the start."""

    sent: int = 0
    resent: int = 0
    delivered: int = 0
    receipts: int = 0
    undeliverable: int = 0


class Lane:
    """The messages of one class between two numbers, read in chunks, in order."""

    def __init__(self, store: Store, first: int, last: int, *, urgent: bool = False) -> None:
        self._store = store
        self._next = first
        self.last = last
        self._urgent = urgent
        self._chunk: deque[Held] = deque()

    @property
    def waiting(self) -> int:
        """At most how many are left; 0 is certain."""
        return len(self._chunk) + max(0, self.last - self._next + 1)

    @property
    def position(self) -> int:
        """Everything of this lane below has been taken."""
        return self._chunk[0].seq if self._chunk else self._next

    def take(self, number: int) -> list[Held]:
        """The next ones, at most ``number``."""
        taken: list[Held] = []
        while len(taken) < number:
            if not self._chunk and not self._fill():
                break
            taken.append(self._chunk.popleft())
        return taken

    def _fill(self) -> bool:
        if self._next > self.last:
            return False
        first, last, urgent = self._next, self.last, self._urgent
        rows = self._store.run(lambda tables: tables.read(first, last, CHUNK, urgent=urgent))
        self._chunk.extend(rows)
        self._next = rows[-1].seq + 1 if len(rows) == CHUNK else last + 1
        return bool(rows)


class Sender:
    """Decides what is sent and what is done with; ``put`` does the sending.

    Args:
        store: the queue.
        outbox: makes the message that says what is gone.
        receipts: whether the platform gives receipts; otherwise PUBACK counts.
        window, bucket, per_live: see ``mooring_device.window`` and ``.pace``.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        *,
        receipts: bool,
        window: Window,
        bucket: Bucket,
        per_live: int,
    ) -> None:
        self.counters = Counters()
        self._store = store
        self._outbox = outbox
        self.by_receipt = receipts
        self._window = window
        self._bucket = bucket
        self._per_live = per_live
        self._packets: dict[int, int] = {}
        self._ever_sent: r.Ranges = ()
        self.begin()

    def begin(self) -> None:
        """A new connection: everything that is still held is to be sent."""
        last = self._store.last_seq
        self._window.clear()
        self._packets.clear()
        self._urgent = Lane(self._store, 1, last, urgent=True)
        self._backlog = Lane(self._store, 1, last)
        self._live = Lane(self._store, last + 1, last)

    # ------------------------------------------------------------------ out

    def pump(self, now: float, put: Callable[[Held], int]) -> None:
        """Send what may go now. ``put`` sends one and answers with its packet id."""
        for held in self.batch(now, self._window.size):
            try:
                self._packets[put(held)] = held.seq
            except InvalidReading as exc:  # noqa: PERF203  one message does not stop the others
                self.drop(held, exc)

    def drop(self, held: Held, why: InvalidReading) -> None:
        """Take out a message that cannot be sent any more: the device has lost its channel."""
        log.warning("A message of the queue is dropped: %s", why)
        self.counters.undeliverable += 1
        gone = ((held.seq, held.seq),)
        self._window.release(gone)
        self._store.post(lambda tables: tables.delete(gone))

    def batch(self, now: float, most: int, *, urgent: bool = True) -> list[Held]:
        """The next messages in order, at most ``most``, noted as sent.

        ``urgent``: also messages that are not telemetry.
        """
        # Repeats come first and need no room: they have theirs already.
        repeats = self._repeats(now, most)
        fresh = self._fresh(now, min(most - len(repeats), self._window.room), urgent)
        for held in (*repeats, *fresh):
            self._window.sent(held.seq, now)
        if fresh:
            self._ever_sent = r.normal(
                [*self._ever_sent, *r.compress(sorted(h.seq for h in fresh))]
            )
        self.counters.resent += len(repeats)
        self.counters.sent += len(fresh)
        return repeats + fresh

    def _repeats(self, now: float, most: int) -> list[Held]:
        due = self._window.due(now)[:most] if self.by_receipt else []
        if not due:
            return []
        found = self._store.run(lambda tables: tables.read_some(due))
        self._window.forget(set(due) - {held.seq for held in found})  # dropped meanwhile
        return found

    def _fresh(self, now: float, room: int, with_urgent: bool) -> list[Held]:
        if room <= 0:
            return []
        self._live.last = self._urgent.last = self._store.last_seq
        urgent = self._urgent.take(room) if with_urgent and self._urgent.waiting else []
        shares = plan(
            live=self._live.waiting,
            backlog=self._backlog.waiting,
            room=room - len(urgent),
            allowance=self._bucket.available(now),
            per_live=self._per_live,
        )
        live = deque(self._live.take(shares.live))
        backlog = deque(self._backlog.take(shares.backlog))
        self._bucket.take(len(backlog))
        rows = urgent
        for turn in shares.turns:
            lane = live if turn is LIVE else backlog
            if lane:
                rows.append(lane.popleft())
        return rows

    def wait(self) -> float:
        """Seconds until there may be something to send without anything arriving."""
        if self._window.room and self._backlog.waiting:
            return min(1.0, max(0.005, self._bucket.wait()))
        return 1.0

    # ------------------------------------------------------------------ back

    def acked(self, packet_ids: list[int]) -> None:
        """The broker has these."""
        seqs = [self._packets.pop(i) for i in packet_ids if i in self._packets]
        if seqs and not self.by_receipt:
            self._delivered(r.compress(sorted(seqs)))

    def receipts(self, receipts: Sequence[Receipt]) -> None:
        """The platform has what these say; several are taken as one."""
        if not receipts:
            return
        self.counters.receipts += len(receipts)
        upto = max(receipt.upto for receipt in receipts)
        also = r.normal(pair for receipt in receipts for pair in receipt.also)
        decision = settle(Receipt(upto, also), sent=self._ever_sent, last_seq=self._store.last_seq)
        self._delivered(decision.ranges)
        self._ever_sent = r.subtract(self._ever_sent, decision.ranges)
        if isinstance(decision, Skip):
            self._skip(decision.beyond)

    def rerequest(self, missing: r.Ranges) -> None:
        """The platform asks for these again."""
        unsent = self._unsent()
        last_seq = self._store.last_seq

        def look(tables: Tables) -> r.Ranges:
            return tables.held(missing)

        held = self._store.run(look)
        answer = answer_rerequest(missing, held=held, unsent=unsent, last_seq=last_seq)
        self._window.ask(answer.resend)
        if answer.lost:
            self._store.run(lambda tables: self._tell_lost(tables, answer.lost))
        if answer.skip_beyond:
            self._skip(answer.skip_beyond)

    def _tell_lost(self, tables: Tables, lost: r.Ranges) -> None:
        for i in range(0, len(lost), TELL):
            pairs = [list(pair) for pair in lost[i : i + TELL]]
            self._outbox.queue(tables, "event", {"lost": pairs})

    def _delivered(self, ranges: r.Ranges) -> None:
        if not ranges:
            return
        gone = self._window.release(ranges)
        self.counters.delivered += len(gone)
        self._store.post(lambda tables: tables.delete(ranges))

    def _unsent(self) -> r.Ranges:
        """What has not been sent on this connection yet, and will be."""
        lanes = (self._backlog, self._live, self._urgent)
        todo = r.normal([(lane.position, lane.last) for lane in lanes])
        return r.subtract(todo, self._window.ranges)

    def _skip(self, beyond: int) -> None:
        log.warning(
            "The platform knows numbers up to %d of this device, and its store counts only to %d "
            "(was it replaced?): going on above.",
            beyond,
            self._store.last_seq,
        )
        self._store.run(lambda tables: tables.renumber(beyond))
        self._ever_sent = ()
        self.begin()
