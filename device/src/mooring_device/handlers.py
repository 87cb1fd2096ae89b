"""What an application registers with its device: handlers of commands, settings and messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mooring_device.commands import Commands
from mooring_device.configs import Configs
from mooring_device.downloaded import Firmware
from mooring_device.errors import InvalidSetting
from mooring_device.firmware import Updates
from mooring_device.messages import Messages
from mooring_device.offers import Offer
from mooring_device.router import ROTATE

__all__ = ["Handlers"]

F = TypeVar("F", bound=Callable[..., Any])


class Handlers:
    """Registration of handlers; part of ``Device``, which has the parts that call them."""

    _commands: Commands
    _configs: Configs
    _messages: Messages
    _updates: Updates

    def command(self, name: str) -> Callable[[F], F]:
        """Register a handler: ``@device.command("reboot")``.

        It gets the arguments as a dict, or nothing when it takes no parameter, and a ``Job`` as
        a second argument when it takes two. What it returns (JSON) is the reply's result, and an
        exception the reply's error; raise ``Rejected`` for a command that is not accepted.
        Handlers run one after the other, in a thread of their own. One that runs for longer than
        ``options.running_after`` seconds is reported as running, where the dialect can say so.

        Raises:
            InvalidSetting: the name is the SDK's own, or taken.
        """
        if name.lower() == ROTATE or name in self._commands.handlers:
            raise InvalidSetting(f"The command {name!r} has a handler already.")

        def register(handler: F) -> F:
            self._commands.handlers[name] = handler
            return handler

        return register

    def on_config(self, handler: F) -> F:
        """Register the handler for settings: it gets the settings as a dict, at the start the
        last ones and then every change. An exception reports them as not applied, with its
        words: raise ``Rejected`` to choose them.

        Guarded settings are kept only if the device connects again with them in time;
        otherwise the handler gets the former ones again."""
        self._configs.handler = handler
        return handler

    def on_message(self, channel: str) -> Callable[[F], F]:
        """Register a handler for a channel that the SDK has no part of its own for:
        ``@device.on_message("filesystem")``, by its kind or its name in the dialect.

        It gets the message (a dict, a text, or bytes, as the channel has them) and, when it takes
        two parameters, the topic.

        Raises:
            InvalidSetting: it has a handler already.
        """
        if channel in self._messages.handlers:
            raise InvalidSetting(f"The channel {channel!r} has a handler already.")

        def register(handler: F) -> F:
            self._messages.handlers[channel] = handler
            return handler

        return register

    def on_firmware(self, handler: Callable[[Firmware], Any]) -> Callable[[Firmware], Any]:
        """Register the handler that installs a downloaded, checked image. When it returns,
        the update is done; when it raises, it has failed; when it restarts the machine, the
        next start reports by the ``firmware`` version given to ``Device``. It may raise
        ``Rejected``, or call ``update.defer(seconds)``.

        What is accepted says ``Device(..., policy=FirmwarePolicy(...))``."""
        self._updates.handler = handler
        return handler

    def on_offer(self, handler: Callable[[Offer], Any]) -> Callable[[Offer], Any]:
        """Register a handler that is asked before an update is downloaded. It may raise
        ``Rejected``, or call ``offer.defer(seconds)``; the update continues when it returns."""
        self._updates.on_offer = handler
        return handler

    def on_roll_back(self, handler: Callable[[str], Any]) -> Callable[[str], Any]:
        """Register the handler that goes back to the former version, such as by switching slots
        and restarting the machine. It gets the reason. It is called when the new version was
        not confirmed: see ``FirmwarePolicy.confirm_within``."""
        self._updates.on_roll_back = handler
        return handler

    def confirm(self) -> bool:
        """Report that the new version works; whether an update was waiting for it. Call it at
        every start, after the application has checked itself.

        Raises:
            StoreUnavailable: it could not be written.
        """
        return self._updates.confirm()

    def roll_back(self, why: str) -> bool:
        """Report that the new version does not work, and go back to the former one; whether an
        update was waiting for its confirmation.

        Raises:
            StoreUnavailable: it could not be written.
        """
        return self._updates.roll_back(why)
