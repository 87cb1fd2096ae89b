"""Commands: taken in durably, carried out once, answered.

A command is in the store before the broker gets its PUBACK, and marked as started before the
handler runs; the reply is queued in the transaction that marks it as done. So neither a power
cut nor a repeat loses one or carries it out twice (``mooring_device.dedupe`` has the rule).
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from mooring_device.dedupe import Action, State, command_key, decide, recover
from mooring_device.errors import DeviceError, InvalidReading
from mooring_device.link import Arrived
from mooring_device.outbox import Outbox, now_ms
from mooring_device.shapes import dump
from mooring_device.store import Store
from mooring_device.tables import Command, Tables

__all__ = ["KEEP", "Commands", "Handler", "Order", "parse_order"]

log = logging.getLogger("mooring_device")

Handler = Callable[..., Any]

KEEP = 1_000  # finished commands remembered, to recognise repeats

# Where the dialects put a command's id, name and arguments; the first that is there counts.
_ID = ("id", "commandId", "command_id", "correlationId", "request_id", "requestId")
_NAME = ("name", "command", "type", "action", "cmd")
_ARGS = ("args", "payload", "parameters", "params")


class Order:
    """A command as it arrived: id (and the key it came under), name, arguments.

    ``lasts``: milliseconds from when the platform sent it until it must not be carried out any
    more; ``None``: it does not say.
    """

    def __init__(
        self,
        id_: str | None,
        id_key: str,
        name: str,
        args: dict[str, Any],
        lasts: int | None = None,
    ) -> None:
        self.id = id_
        self.id_key = id_key
        self.name = name
        self.args = args
        self.lasts = lasts


def parse_order(topic: str, payload: bytes, *, named_by_topic: bool) -> Order:
    """Read a command in any dialect.

    Raises:
        ValueError: it has no name, or is not JSON object.
    """
    body: Any = json.loads(payload) if payload.strip() else {}
    if not isinstance(body, dict):
        raise ValueError("a command is a JSON object")  # noqa: TRY004  one error for bad input
    id_key = next((key for key in _ID if body.get(key) not in (None, "")), "id")
    id_ = body.get(id_key)
    name = topic.rsplit("/", 1)[-1] if named_by_topic else ""
    name = name or next((body[k] for k in _NAME if isinstance(body.get(k), str)), "")
    if not name:
        raise ValueError("a command needs a name")
    args: Any = next((body[k] for k in _ARGS if body.get(k) is not None), {})
    if not isinstance(args, dict):
        args = {"value": args}
    lasts = _lasts(body.get("ts"), body.get("expires"))
    return Order(None if id_ in (None, "") else str(id_), id_key, name, args, lasts)


def _lasts(sent: object, expires: object) -> int | None:
    """A duration of the platform's clock: this device's own may be wrong."""
    if type(sent) is not int or type(expires) is not int:
        return None
    return max(0, expires - sent)


class Commands:
    """The device's commands.

    Args:
        store: where they are kept.
        outbox: makes the replies.
        submit: gives work to the thread of the callbacks.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        submit: Callable[[Callable[[], None]], None],
    ) -> None:
        self.handlers: dict[str, Handler] = {}
        self._store = store
        self._outbox = outbox
        self._submit = submit

    def take(self, order: Order, message: Arrived, done: Mapping[str, Any] | None = None) -> bool:
        """Take in a command; durable on return. False when it is a repeat.

        ``done``: its reply, for a command that the SDK has carried out itself; its arguments
        are then not kept.
        """
        key = command_key(order.id, message.topic, message.payload, message.packet_id)
        reply = None if done is None else dump({order.id_key: order.id, **done})
        new = Command(
            key,
            order.id,
            order.name,
            "{}" if done is not None else dump(_kept(order)),
            State.RECEIVED if done is None else State.DONE,
            reply,
        )

        def keep(tables: Tables) -> tuple[Action, Command | None]:
            known = tables.command(key)
            action = decide(
                known.state if known else None,
                identified=order.id is not None,
                repeat=message.repeat,
            )
            if action is Action.RUN:
                tables.put_command(new, now_ms())
                if reply is not None:
                    self._outbox.queue(tables, "reply", json.loads(reply))
            elif action is Action.REPLY_AGAIN and known is not None and known.reply:
                self._outbox.queue(tables, "reply", json.loads(known.reply))
            return action, known

        action, _ = self._store.run(keep)
        if action is Action.RUN and done is None:
            self._submit(lambda: self.carry_out(new))
        return action is Action.RUN

    def recover(self) -> None:
        """After a start: run what was taken in, answer for what was interrupted."""
        for command in self._store.run(lambda tables: tables.unfinished()):
            if recover(command.state) is Action.RUN:
                self._submit(lambda command=command: self.carry_out(command))  # type: ignore[misc]
            else:
                self._finish(command, {"ok": False, "error": "The device restarted while it ran."})

    def carry_out(self, command: Command) -> None:
        """Run a command's handler and queue the reply. In the thread of the callbacks."""
        started = command._replace(state=State.STARTED)
        self._store.run(lambda tables: tables.put_command(started, now_ms()))
        self._finish(started, self._call(started))

    def _call(self, command: Command) -> dict[str, Any]:
        handler = self.handlers.get(command.name)
        if handler is None:
            return {"ok": False, "error": f"This device has no command {command.name!r}."}
        kept = json.loads(command.args)
        if kept.get("until") is not None and now_ms() > kept["until"]:
            return {"ok": False, "status": "expired", "error": "It came to its turn too late."}
        args = kept["args"]
        try:
            result = handler(args) if takes_arguments(handler) else handler()
            dump({"result": result})
        except InvalidReading:
            return {"ok": False, "error": "The command ran; its result is not JSON."}
        except Exception as exc:
            log.exception("The command %s failed.", command.name)
            words = exc.message if isinstance(exc, DeviceError) else f"{type(exc).__name__}: {exc}"
            return {"ok": False, "error": words}
        return {"ok": True} if result is None else {"ok": True, "result": result}

    def _finish(self, command: Command, answer: dict[str, Any]) -> None:
        id_key = json.loads(command.args).get("id_key", "id")
        reply = dump({id_key: command.id, **answer})
        done = command._replace(state=State.DONE, reply=reply, args="{}")

        def keep(tables: Tables) -> None:
            tables.put_command(done, now_ms())
            tables.forget_commands(KEEP)
            if command.id is not None:
                self._outbox.queue(tables, "reply", json.loads(reply))

        self._store.run(keep)


def _kept(order: Order) -> dict[str, Any]:
    """What is stored of a command until it is carried out."""
    until = None if order.lasts is None else now_ms() + order.lasts
    return {"args": order.args, "id_key": order.id_key, "until": until}


def takes_arguments(handler: Handler) -> bool:
    """Whether a handler wants the command's arguments."""
    try:
        return bool(inspect.signature(handler).parameters)
    except (TypeError, ValueError):
        return True  # a builtin without a signature
