"""Makes notifications of the outbox and sends them: one process at a time, which holds the lease.

Attempts run next to one another, so a receiver that hangs delays nobody else. An attempt is
counted before it is made: a process that is killed in the middle leaves a notification that is
sent again with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import time

from mooring.errors import DatabaseUnavailable, MooringError
from mooring.notify import group_store, store
from mooring.notify.channels import Channels, Parcel
from mooring.notify.model import State
from mooring.notify.planner import Planner
from mooring.notify.retries import Answer, Outcome, after
from mooring.notify.turns import Due, Places, choose
from mooring.secrets.instance import Instance
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms
from mooring.store.leases import Lease
from mooring.store.lookout import Lookout
from mooring.store.tally import add_to_counter
from mooring.store.wake import Waker

__all__ = ["CLAIM_MS", "LEASE", "Notifier"]

log = logging.getLogger(__name__)

LEASE = "notifications"
CLAIM_MS = 60_000
"""After so long a notification whose process was killed is sent again. Longer than an attempt."""

POLL_SECONDS = 0.1
LOOK_SECONDS = 0.5  # between two looks when nobody commits
RENEW_SECONDS = 4.0
ERROR_LENGTH = 300


class Notifier:
    """See the module.

    Args:
        channels: how attempts are made; by default as the settings say.
    """

    def __init__(
        self,
        database: Database,
        instance: Instance,
        settings: Settings,
        *,
        channels: Channels | None = None,
        places: Places | None = None,
    ) -> None:
        self._database = database
        self._instance = instance
        self._settings = settings
        self._channels = channels
        self._places = places or Places()
        self._lease = Lease(database, LEASE)
        self.planner = Planner(
            database, waiting_max=settings.notifications_waiting_max_per_recipient
        )
        self._running: dict[asyncio.Task[None], Due] = {}
        self._next_due: int | None = None
        self._ended = False
        self._waker: Waker | None = None

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            OSError: the file of certificate authorities cannot be used.
        """
        if self._settings.notify_ca_file is not None:  # else they are made for the first attempt
            await self._open_channels()
        lookout = Lookout(self._database)
        waker = self._waker = Waker(self._database.wake_folder)
        ask_at = renew_at = 0.0
        try:
            while True:
                monotonic = time.monotonic()
                always = monotonic >= ask_at or self._ended
                if monotonic >= renew_at or await self._is_needed(lookout, always=always):
                    await self._work_off()
                    renew_at = time.monotonic() + RENEW_SECONDS
                    await self._is_needed(lookout, always=True)
                    always = True
                wait = self._until_due()
                if always:
                    ask_at = time.monotonic() + wait
                await waker.wait(min(wait, POLL_SECONDS), asleep=wait)
        finally:
            waker.close()
            lookout.close()
            for task in list(self._running):
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            await asyncio.to_thread(self._release)

    async def _is_needed(self, lookout: Lookout, *, always: bool) -> bool:
        if lookout.waits and not always:
            return False
        found = await lookout.look(group_store.WORK, always=always)
        if found is None:
            return False
        times = [one for one in found if one is not None]
        self._next_due = min(times, default=None)
        return self._next_due is not None and self._next_due <= now_ms()

    def _until_due(self) -> float:
        """Seconds until something is due by time alone. What is due and has no place, or has
        failed, waits as well."""
        if self._next_due is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(POLL_SECONDS, (self._next_due - now_ms()) / 1000))

    async def _work_off(self) -> None:
        while True:
            if not await self.step():
                return

    async def step(self) -> bool:
        """Looks at what is due and starts attempts; whether there may be more to do now.

        Raises:
            DatabaseUnavailable: nothing is lost; call again.
        """
        self._ended = False
        if not await asyncio.to_thread(self._lease.held, after_dead=True):
            return False
        looked = await asyncio.to_thread(self.planner.turn, now_ms())
        started = await self._start()
        return looked or started

    async def settle(self) -> None:
        """Waits until no attempt is under way."""
        while self._running:
            await asyncio.gather(*self._running)

    # ------------------------------------------------------------------ attempts

    async def _start(self) -> bool:
        now = now_ms()
        chosen = await asyncio.to_thread(self._claim, now)
        for one in chosen:
            task = asyncio.create_task(self._send(one), name=f"notification {one.notification}")
            self._running[task] = one
            task.add_done_callback(self._over)
        return bool(chosen)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._ended = True
        if self._waker is not None:
            self._waker.wake()

    def _claim(self, now: int) -> list[Due]:
        with self._database.read() as connection:
            found = store.due(connection, now)
        faults = self.planner.faults
        found = [one for one in found if not faults.postponed(("send", one.notification))]
        chosen = choose(found, list(self._running.values()), self._places)
        if not chosen:
            return []
        numbers = [one.notification for one in chosen]
        with self._database.write(news=False) as connection:
            mine = store.claim(connection, numbers, now, now + CLAIM_MS)
        return [one for one in chosen if one.notification in mine]

    async def _send(self, one: Due) -> None:
        """One attempt. A failure concerns this notification alone."""
        try:
            with self.planner.faults.isolated(("send", one.notification)):
                await self._attempt(one)
        except DatabaseUnavailable as exc:
            log.warning("what became of notification %s is unknown: %s", one.notification, exc)

    async def _open_channels(self) -> Channels:
        """Reads certificate authorities once, which takes time and memory."""
        if self._channels is None:
            settings = self._settings
            self._channels = await asyncio.to_thread(
                Channels.of, settings.notify_ca_file, settings.notify_schemes
            )
        return self._channels

    async def _attempt(self, one: Due) -> None:
        channels = await self._open_channels()
        parcel = await asyncio.to_thread(self._parcel, one.notification)
        if parcel is None:
            return
        answer = await channels.send(parcel)
        await asyncio.to_thread(self._finish, one, answer)

    def _parcel(self, number: int) -> Parcel | None:
        with self._database.read() as connection:
            return store.parcel(connection, number, self._instance)

    def _finish(self, one: Due, answer: Answer) -> None:
        now = now_ms()
        error = answer.error[:ERROR_LENGTH]
        accepted = answer.outcome is Outcome.ACCEPTED
        with self._database.write() as connection:
            counts = store.attempts_of(connection, one.notification)
            if counts is None:
                return
            attempts, unanswered, routine = counts
            unanswered += answer.outcome is Outcome.UNANSWERED
            step = after(answer, attempts=attempts, unanswered=unanswered, now=now, routine=routine)
            values = {"state": str(step.state), "next_at": step.next_at, "unanswered": unanswered}
            if not accepted:
                values["last_error"] = error
            if step.state is not State.WAITING:
                values |= {"finished_at": now, "body": ""}
            if accepted and routine:
                store.remove_notification(connection, one.notification)
            else:
                store.finish(connection, one.notification, values)
            if accepted:
                store.note_success(connection, one.recipient, now)
                add_to_counter(connection, "notifications_sent", 1)
            else:
                store.note_failure(connection, one.recipient, now, error)
                add_to_counter(connection, "notification_attempts_failed", 1)
            if step.state is State.FAILED:
                add_to_counter(connection, "notifications_given_up", 1)
            if answer.outcome is Outcome.GONE:
                store.change(connection, one.recipient, {"enabled": False, "why_off": error})
                store.forget(connection, one.recipient)
            if step.state is not State.WAITING:
                kept = self._settings.notifications_kept_per_recipient
                store.trim(connection, one.recipient, kept)

    def _release(self) -> None:
        try:
            self._lease.release()
        except MooringError as exc:
            log.warning("the lease of notifications was not released: %s", exc)
