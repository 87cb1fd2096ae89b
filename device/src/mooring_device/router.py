"""From a message's topic to who handles it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from paho.mqtt.client import topic_matches_sub

from mooring_device.commands import Commands, Order, parse_order
from mooring_device.configs import Configs
from mooring_device.credentials import Credentials
from mooring_device.firmware import Updates
from mooring_device.link import Arrived
from mooring_device.receipts import Receipt, parse_receipt, parse_rerequest
from mooring_device.rotation import offered
from mooring_device.sender import Sender
from mooring_device.vault import Vault

__all__ = ["ROTATE", "Router"]

log = logging.getLogger("mooring_device")

ROTATE = "rotate_credentials"  # the command that the SDK carries out itself


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic is one of a filter's [MQTT-4.7]."""
    if "+" not in topic_filter and "#" not in topic_filter:
        return topic == topic_filter  # nearly always, and much quicker
    return topic_matches_sub(topic_filter, topic)


class Router:
    """Hands each message to its part of the SDK; everything is durable when it returns.

    Args:
        reconnect: called when a new password is to be tried.
    """

    def __init__(
        self,
        *,
        commands: Commands,
        configs: Configs,
        updates: Updates,
        sender: Sender,
        vault: Vault,
        reconnect: Callable[[], None],
    ) -> None:
        self._commands = commands
        self._configs = configs
        self._updates = updates
        self._sender = sender
        self._vault = vault
        self._reconnect = reconnect

    def route(self, message: Arrived, credentials: Credentials) -> Receipt | None:
        """Handle one message; a receipt is handed back, so that many can be taken as one.
        A bad message is logged; it never stops the stream.

        Args:
            credentials: those of the connection that the message came over.
        """
        for kind, topic in credentials.downs.items():
            if matches(topic, message.topic):
                try:
                    if kind == "receipt":
                        return parse_receipt(message.payload)
                    self._handle(kind, message, credentials, named=topic.endswith("/+"))
                except ValueError as exc:
                    log.warning("Not a %s, ignored: %s.", kind, exc)
                return None
        log.info("A message on %s is for nobody here.", message.topic)
        return None

    def _handle(
        self, kind: str, message: Arrived, credentials: Credentials, *, named: bool
    ) -> None:
        if kind == "rerequest":
            self._sender.rerequest(parse_rerequest(message.payload))
        elif kind == "config":
            self._configs.arrived(message.payload)
        elif kind == "firmware":
            self._updates.arrived(message)
        elif message.retained:
            # It would be carried out again at each connection, however old it is.
            log.warning("A retained command on %s is ignored.", message.topic)
        else:
            order = parse_order(message.topic, message.payload, named_by_topic=named)
            if order.name == ROTATE:
                self._rotate(order, message, credentials)
            else:
                self._commands.take(order, message)

    def _rotate(self, order: Order, message: Arrived, credentials: Credentials) -> None:
        password, rotation = order.args.get("password"), order.args.get("rotation")
        if not isinstance(password, str) or not password or "\0" in password:
            reply = {"ok": False, "error": "A rotation needs a password."}
            self._commands.take(order, message, done=reply)
            return
        before = self._vault.passwords
        after = offered(
            before,
            password,
            None if rotation is None else str(rotation),
            credentials.password,
        )
        # To disk before the reply: the platform acts on the reply.
        self._vault.settle(after)
        self._commands.take(order, message, done={"ok": True})
        if after.try_pending and after != before:
            log.info("A new password was stored in addition to the old one; reconnecting with it.")
            self._reconnect()
