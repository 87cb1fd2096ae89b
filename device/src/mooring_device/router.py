"""From a message's topic to the part of the SDK that handles it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mooring_device.commands import Commands, words_of
from mooring_device.configs import Configs
from mooring_device.credentials import Credentials
from mooring_device.dialect import Dialect, Found
from mooring_device.errors import InvalidReading, StoreUnavailable
from mooring_device.firmware import Updates
from mooring_device.link import Arrived
from mooring_device.messages import Messages
from mooring_device.orders import Order, Outcome, parse_order
from mooring_device.receipts import Receipt, parse_receipt, parse_rerequest
from mooring_device.rotation import offered
from mooring_device.sender import Sender
from mooring_device.vault import Vault

__all__ = ["ROTATE", "Router"]

log = logging.getLogger("mooring_device")

ROTATE = "rotate_credentials"  # the command that the SDK carries out itself


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
        messages: Messages,
        sender: Sender,
        vault: Vault,
        reconnect: Callable[[], None],
    ) -> None:
        self._commands = commands
        self._configs = configs
        self._updates = updates
        self._messages = messages
        self._sender = sender
        self._vault = vault
        self._reconnect = reconnect

    def route(self, message: Arrived, credentials: Credentials, dialect: Dialect) -> Receipt | None:
        """Handle one message; a receipt is handed back, so that many can be taken as one.
        A bad message is logged; it never stops the stream.

        Args:
            credentials, dialect: those of the connection that the message came over.

        Raises:
            StoreUnavailable: it could not be kept; it is not to be acknowledged.
        """
        found = dialect.find(message.topic)
        if found is None:
            log.info("A message on %s is for nobody here.", message.topic)
            return None
        kind = found.channel.kind
        try:
            if kind == "receipt":
                return parse_receipt(message.payload)
            self._handle(found, message, credentials)
        except StoreUnavailable:
            raise
        except (ValueError, RecursionError, InvalidReading) as exc:
            log.warning("Not a valid message of the kind %s, ignored: %s.", kind, exc)
        except Exception:
            # The broker would send it again at each connection, and the device would never
            # come to the messages behind it.
            log.exception("A message of the kind %s could not be handled; ignored.", kind)
        return None

    def _handle(self, found: Found, message: Arrived, credentials: Credentials) -> None:
        channel = found.channel
        kind = channel.kind
        if kind == "rerequest":
            self._sender.rerequest(parse_rerequest(message.payload))
        elif kind == "config":
            self._configs.arrived(message.payload, channel.payload)
        elif kind == "firmware":
            self._updates.arrived(message, channel.payload)
        elif kind not in ("command", "fleet_command", "cancel"):
            self._messages.arrived(channel, message)
        elif message.retained:
            # It would be carried out again at each connection, however old it is.
            log.warning("A retained command on %s is ignored.", message.topic)
        else:
            order = parse_order(found, message.payload)
            if kind == "cancel":
                if order.id is not None and not self._updates.cancel(order.id):
                    self._commands.cancel(order.id, order.id_at)
            elif order.name.lower() == ROTATE:
                self._rotate(order, message, credentials)
            else:
                self._take(order, message)

    def _take(self, order: Order, message: Arrived) -> None:
        try:
            self._commands.take(order, message)
        except InvalidReading as exc:
            refusal = Outcome("rejected", ok=False, error=words_of(exc))
            self._commands.take(order, message, done=refusal)

    def _rotate(self, order: Order, message: Arrived, credentials: Credentials) -> None:
        # The dialect's place for the id is that of the rotation, where it is not an argument.
        password, rotation = order.args.get("password"), order.args.get("rotation", order.id)
        if not isinstance(password, str) or not password or "\0" in password:
            refusal = Outcome("failed", ok=False, error="A rotation needs a password.")
            self._commands.take(order, message, done=refusal)
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
        self._commands.take(order, message, done=Outcome("done", ok=True))
        if after.try_pending and after != before:
            log.info("A new password was stored in addition to the old one; reconnecting with it.")
            self._reconnect()
