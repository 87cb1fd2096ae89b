"""Commands: taken in durably, carried out once, answered.

A command is in the store before the broker gets its PUBACK, and marked as started before the
handler runs; the reply is queued in the transaction that marks it as done. So neither a power
cut nor a repeat loses one or carries it out twice (``mooring_device.dedupe`` has the rule).
"""

from __future__ import annotations

import inspect
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from mooring_device.dedupe import Action, State, command_key, decide, recover
from mooring_device.errors import Cancelled, DeviceError, InvalidReading, Rejected
from mooring_device.link import Arrived
from mooring_device.orders import MAX_WORDS, Order, Outcome, reply_to
from mooring_device.outbox import Outbox, now_ms
from mooring_device.shapes import dump
from mooring_device.store import Store
from mooring_device.tables import Command, Tables

__all__ = ["KEEP", "Commands", "Handler", "Job", "parameters_of", "words_of"]

log = logging.getLogger("mooring_device")

Handler = Callable[..., Any]

KEEP = 1_000  # finished commands remembered, to recognise repeats

CANCELLED = Outcome("cancelled", ok=False, error="The command was cancelled.")
INTERRUPTED = Outcome("failed", ok=False, error="The device restarted while it ran.")
TOO_LATE = Outcome("expired", ok=False, error="It came to its turn too late.")
FULL = Outcome("rejected", ok=False, error="Too many commands wait on this device.")
NOT_JSON = Outcome("failed", ok=False, error="The command ran; its result is not JSON.")
TOO_LARGE = Outcome("failed", ok=False, error="The command ran; its result is too large.")


class Job:
    """A command that runs, for handlers that take a second argument. Safe to use from any thread.

    Attributes:
        id: of the command, or ``None``.
        name: of the command.
    """

    def __init__(self, command: Command, running: Callable[[], None]) -> None:
        self.id = command.id
        self.name = command.name
        self._running = running
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants it cancelled. Raise ``Cancelled`` when it has stopped."""
        return self._cancelled.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait, at most this long, for a cancellation; whether there is one."""
        return self._cancelled.wait(seconds)

    def running(self) -> None:
        """Report that the command is being carried out."""
        self._running()

    def cancel(self) -> None:
        self._cancelled.set()


class Commands:
    """The device's commands.

    Args:
        store: where they are kept.
        outbox: makes the replies.
        submit: gives work to the thread of the callbacks.
        most: how many may wait; further ones are rejected.
        running_after: seconds until a command that still runs is reported as running; 0: never.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        submit: Callable[[Callable[[], None]], None],
        *,
        most: int = 100,
        running_after: float = 0.0,
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        self._store = store
        self._outbox = outbox
        self._submit = submit
        self._most = most
        self._running_after = running_after
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    # ------------------------------------------------------------------ in the network's thread

    def take(self, order: Order, message: Arrived, done: Outcome | None = None) -> bool:
        """Take in a command; durable on return. False when it is a repeat.

        ``done``: its outcome, for a command that the SDK has carried out itself; its arguments
        are then not kept.
        """
        key = command_key(order.id, message.topic, message.payload, message.packet_id)
        new = Command(
            key,
            order.id,
            order.name,
            dump(_kept(order) if done is None else {"id_at": order.id_at}),
            State.RECEIVED,
            None,
        )

        def keep(tables: Tables) -> Action:
            known = tables.command(key)
            action = decide(
                known.state if known else None,
                identified=order.id is not None,
                repeat=message.repeat,
            )
            if action is Action.REPLY_AGAIN and known is not None:
                self._repeat(tables, known)
            elif action is Action.RUN and done is not None:
                self._end(tables, new, done)
            elif action is Action.RUN and tables.waiting() >= self._most:
                tables.add("commands_rejected", 1)
                self._end(tables, new, FULL)
                action = Action.IGNORE
            elif action is Action.RUN:
                tables.put_command(new, now_ms())
            return action

        action = self._store.run(keep)
        if action is Action.RUN and done is None:
            self._submit(lambda: self.carry_out(new))
        return action is Action.RUN

    def cancel(self, id_: str, id_at: list[str]) -> None:
        """Cancel a command; durable on return. One that has not begun is not carried out, also
        if it comes later; the handler of one that runs is notified; of one that is over the reply
        is repeated."""
        key = command_key(id_, "", b"", 0)

        def keep(tables: Tables) -> None:
            known = tables.command(key)
            if known is not None and known.state is State.DONE:
                self._repeat(tables, known)
            elif known is None or known.state is State.RECEIVED:
                at = dump({"id_at": id_at})
                new = known or Command(key, id_, "", at, State.RECEIVED, None)
                self._end(tables, new, CANCELLED)

        self._store.run(keep)
        with self._lock:
            job = self._jobs.get(key)
        if job is not None:
            job.cancel()

    # ------------------------------------------------------------------ in the callbacks' thread

    def recover(self) -> None:
        """After a start: run what was taken in, answer for what was interrupted."""
        for command in self._store.run(lambda tables: tables.unfinished()):
            if recover(command.state) is Action.RUN:
                self._submit(lambda command=command: self.carry_out(command))  # type: ignore[misc]
            else:
                self._finish(command, INTERRUPTED)

    def carry_out(self, command: Command) -> None:
        """Run a command's handler and queue the reply. In the thread of the callbacks."""
        started = command._replace(state=State.STARTED)
        job = Job(started, lambda: self._report_running(started))

        def begin(tables: Tables) -> bool:
            known = tables.command(command.key)
            if known is None or known.state is not State.RECEIVED:
                return False  # cancelled while it waited
            tables.put_command(started, now_ms())
            return True

        with self._lock:  # before it is marked: a cancellation finds it either way
            self._jobs[command.key] = job
        try:
            if self._store.run(begin):
                self._finish(started, self._watched(started, job))
        finally:
            with self._lock:
                del self._jobs[command.key]

    def _watched(self, command: Command, job: Job) -> Outcome:
        if not self._running_after:
            return self._call(command, job)
        timer = threading.Timer(self._running_after, job.running)
        timer.daemon = True
        timer.start()
        try:
            return self._call(command, job)
        finally:
            timer.cancel()

    def _call(self, command: Command, job: Job) -> Outcome:
        kept = json.loads(command.args)
        name, args = command.name, kept["args"]
        if name not in self.handlers and kept.get("channel") in self.handlers:
            # A channel for one command, whose payload is a bare text or names nothing.
            name, args = kept["channel"], args or {"value": name}
        handler = self.handlers.get(name)
        if handler is None:
            return Outcome("rejected", ok=False, error=f"This device has no command {name!r}.")
        if kept.get("until") is not None and now_ms() > kept["until"]:
            return TOO_LATE
        try:
            result = handler(*(args, job)[: parameters_of(handler)])
        except BaseException as exc:  # noqa: BLE001  SystemExit would end the callbacks' thread
            return _failure(exc, command.name)
        try:
            dump({"result": result})
        except InvalidReading:
            return NOT_JSON
        return Outcome("done", ok=True, result=result)

    def _report_running(self, command: Command) -> None:
        """Unless it is over."""

        def keep(tables: Tables) -> None:
            known = tables.command(command.key)
            if known is not None and known.state is State.STARTED:
                self._queue(tables, command, Outcome("running", ok=None))

        self._store.run(keep)

    def _finish(self, command: Command, outcome: Outcome) -> None:
        try:
            self._store.run(lambda tables: self._end(tables, command, outcome))
        except InvalidReading as exc:
            log.warning("The reply to the command %s cannot be sent: %s", command.name, exc)
            self._store.run(lambda tables: self._end(tables, command, TOO_LARGE))

    # ------------------------------------------------------------------ in a transaction

    def _end(self, tables: Tables, command: Command, outcome: Outcome) -> None:
        reply = self._queue(tables, command, outcome)
        at = dump({"id_at": _id_at(command)})
        done = command._replace(state=State.DONE, reply=reply, args=at)
        tables.put_command(done, now_ms())
        tables.forget_commands(KEEP)

    def _queue(self, tables: Tables, command: Command, outcome: Outcome) -> str | None:
        """Queue a reply, where the dialect can say this; answers with the reply."""
        kind = _reply_kind(self._outbox, command.name)
        channel = self._outbox.dialect.up(kind)
        if command.id is None or channel is None:
            return None
        reply = reply_to(channel, command.id, _id_at(command), outcome)
        if reply is None:
            return None
        self._outbox.queue(tables, kind, reply)
        return dump(reply)

    def _repeat(self, tables: Tables, command: Command) -> None:
        if command.reply:
            kind = _reply_kind(self._outbox, command.name)
            self._outbox.queue(tables, kind, json.loads(command.reply))


def _failure(error: BaseException, name: str) -> Outcome:
    words = {Rejected: "rejected", Cancelled: "cancelled"}
    word = next((words[kind] for kind in words if isinstance(error, kind)), "failed")
    if word == "failed":
        log.error("The command %s failed.", name, exc_info=error)
    return Outcome(word, ok=False, error=words_of(error))


def _reply_kind(outbox: Outbox, name: str) -> str:
    """Rotations have a channel of their own in some dialects."""
    rotation = name.lower() == "rotate_credentials"
    return "rotation_reply" if rotation and outbox.dialect.up("rotation_reply") else "reply"


def _kept(order: Order) -> dict[str, Any]:
    """What is stored of a command until it is carried out."""
    until = None if order.lasts is None else now_ms() + order.lasts
    return {"args": order.args, "id_at": order.id_at, "until": until, "channel": order.channel}


def _id_at(command: Command) -> list[str]:
    """Where the id was; version 0.1.0 kept a single key."""
    kept = json.loads(command.args)
    found: list[str] = kept.get("id_at") or [kept.get("id_key", "id")]
    return found


def parameters_of(handler: Handler) -> int:
    """How many arguments a handler wants: none, the arguments, and what runs."""
    try:
        wanted = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return 1  # a builtin without a signature
    if any(p.kind is p.VAR_POSITIONAL for p in wanted):
        return 1
    return min(2, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in wanted))


def words_of(error: BaseException) -> str:
    """An exception as a text that can be sent."""
    words = error.message if isinstance(error, DeviceError) else f"{type(error).__name__}: {error}"
    words = words.replace("\0", " ").encode("utf-8", "replace").decode()
    return words if len(words) <= MAX_WORDS else words[: MAX_WORDS - 1] + "…"
