"""What devices do over hawkBit's DDI: ask, describe themselves, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy.engine import Connection

from mooring.devices.attributes import store as attribute_store
from mooring.devices.attributes.merge import Room, merge
from mooring.devices.attributes.model import Source
from mooring.devices.model import Device
from mooring.errors import Gone, NotFound
from mooring.identity.actor import SYSTEM
from mooring.ota.ddi import store
from mooring.ota.ddi.feedback import Config, Feedback, is_repeated, said_of
from mooring.ota.ddi.model import Asked, is_stopped
from mooring.ota.releases import store as release_store
from mooring.ota.releases.model import Artifact, Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.updates import evidence, rules
from mooring.ota.updates import store as update_store
from mooring.ota.updates.model import INSTALL_BEGUN, Kind, Seen, State, Step, Update, Way
from mooring.ota.updates.moving import record
from mooring.ota.updates.rules import Event, Said
from mooring.ota.updates.waits import Waits, deadline
from mooring.presence.reported import REFUSED
from mooring.store.engine import Database, now_ms
from mooring.store.tally import add_to_counter

__all__ = ["Ddi", "Offered", "Polled"]

CONFIG_MS = 86_400_000
"""How often a device is asked to describe itself."""
_INSTALLED = frozenset({State.INSTALLED, State.CONFIRMED, State.UNPROVED})
_OFFERED = (ReleaseState.PUBLISHED, ReleaseState.DEPRECATED)


class Polled(NamedTuple):
    """What a poll finds.

    Attributes:
        config: whether the device is asked to describe itself.
        deployed: what it is to install; cancelled: what it is to stop; installed: what it has.
    """

    config: bool
    deployed: Asked | None
    cancelled: Asked | None
    installed: Asked | None


class Offered(NamedTuple):
    """An update with what is offered."""

    update: Asked
    release: Release
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class Ddi:
    """See the module."""

    database: Database
    waits: Waits
    room: Room

    # ------------------------------------------------------------------ asking

    def poll(self, device: Device) -> Polled:
        """What there is to do for a device. The database is only written when an update gets
        further."""
        at = now_ms()
        with self.database.read() as connection:
            known = store.controller(connection, device.id)
            found = store.updates(connection, device.id)
        for place, update in enumerate(found):
            if update.state is State.INSTALLED and update.session_at is None:
                after = self._change(update.id, lambda one, now: rules.polled(one, now, self.waits))
                found[place] = Asked.of(after)
        open_ones = [one for one in found if not one.over]
        cancelled = next((one for one in open_ones if one.stopped), None)
        deployed = next(
            (one for one in open_ones if one.state is not State.INSTALLED and one is not cancelled),
            None,
        )
        installed = next((one for one in reversed(found) if one.state in _INSTALLED), None)
        return Polled(_describes(known, open_ones, at), deployed, cancelled, installed)

    def deployment(self, device: Device, action: int) -> Offered:
        """What a device is to install. That it asks is its receipt of the offer.

        Raises:
            NotFound: ``ddi_action_not_found``.
            Gone: ``update_over``.
        """
        with self.database.read() as connection:
            update = self._of_device(connection, device, action)
            offered = self._offered(connection, Asked.of(update))
        if update.over or _is_stopped(update) or offered.release.state not in _OFFERED:
            raise _gone()
        if update.state is State.WAITING:
            update = self._change(
                action, lambda one, now: rules.taken(one, now, self.waits, "It asked for it.")
            )
        return offered._replace(update=Asked.of(update))

    def cancellation(self, device: Device, action: int) -> Update:
        """The action that a device is to stop.

        Raises:
            NotFound: ``ddi_action_not_found``; it is not to be stopped.
            Gone: ``update_over``.
        """
        with self.database.read() as connection:
            update = self._of_device(connection, device, action)
        if update.over:
            raise _gone()
        if not _is_stopped(update):
            raise _no_action(action)
        return update

    def installed(self, device: Device, action: int) -> Offered:
        """What a device has installed.

        Raises:
            NotFound: ``ddi_action_not_found``; it has not installed that.
        """
        with self.database.read() as connection:
            update = self._of_device(connection, device, action)
            if update.state not in _INSTALLED:
                raise _no_action(action)
            return self._offered(connection, Asked.of(update))

    def files(self, device: Device, module: int) -> list[Offered]:
        """The files of a release that a device is to install.

        Raises:
            NotFound: ``ddi_file_not_found``.
            Gone: ``update_over``.
        """
        with self.database.read() as connection:
            mine = [one for one in store.updates(connection, device.id) if one.release_id == module]
            found = [
                self._offered(connection, one) for one in mine if not one.over and not one.stopped
            ]
        found = [one for one in found if one.release.state in _OFFERED]
        if found:
            return found
        if mine:
            raise _gone()
        raise NotFound(
            "There is no such software module for this device.",
            hint="Use the links of the deployment.",
            code="ddi_file_not_found",
        )

    # ------------------------------------------------------------------ reporting

    def feedback(self, device: Device, action: int, given: Feedback) -> Update:
        """A report of a device about its action. What is known already is accepted again.

        Raises:
            NotFound: ``ddi_action_not_found``.
            Gone: ``update_over``.
        """

        def reported(update: Update, at: int) -> Update | None:
            said = said_of(given, update)
            return None if said is None else rules.report(update, said, at, self.waits)

        with self.database.read() as connection:
            before = self._of_device(connection, device, action)
        if not before.over:
            return self._change(action, reported)
        if is_repeated(given, before):
            return before
        raise _gone()

    def cancel_feedback(self, device: Device, action: int, given: Feedback) -> Update:
        """What a device answers to a cancellation: it has stopped, or it continues.

        Raises:
            NotFound: ``ddi_action_not_found``.
            Gone: ``update_over``.
        """
        with self.database.read() as connection:
            before = self._of_device(connection, device, action)
        if before.over:
            if before.state is State.CANCELLED:
                return before  # its answer was lost
            raise _gone()
        if not _is_stopped(before):
            raise _no_action(action)

        def answered(update: Update, at: int) -> Update | None:
            if given.execution == "rejected" or (given.closed and given.failed):
                return self._goes_on(update, at, given.words)
            if given.closed or given.execution in ("canceled", "cancelled"):
                said = Said(Event.CANCELLED, words=given.words)
                return rules.report(update, said, at, self.waits)
            return None

        return self._change(action, answered)

    def _goes_on(self, update: Update, at: int, words: str) -> Update | None:
        if update.asked_at is None:
            return None
        step = Step(at, update.state, "cancel rejected", words[:300])
        history = (*update.history, step)[-rules.HISTORY_MAX :]
        after = replace(update, asked_at=None, history=history)
        return replace(after, due_at=deadline(after, self.waits))

    def describe(self, device: Device, config: Config) -> None:
        """A device describes itself: its attributes, and the version that it runs."""
        at = now_ms()
        refused = config.refused
        with self.database.write() as connection:
            tenants = attribute_store.lock(connection, [device.id])
            if device.id not in tenants:
                return  # removed meanwhile
            before = attribute_store.of_device(connection, device.id)
            gone = config.gone(
                name for name, held in before.items() if held.source is Source.DEVICE
            )
            kept = {name: held for name, held in before.items() if name not in gone}
            merged = merge(
                kept, config.values, Source.DEVICE, at, actor=device.name, room=self.room
            )
            refused += len(merged.beyond)
            names = tuple(sorted({*merged.changed, *gone}))
            if names:
                change = attribute_store.Change(device.id, device.tenant, names, merged.held)
                attribute_store.write(connection, [change])
            if refused:
                add_to_counter(connection, REFUSED, refused)
            known = store.controller(connection, device.id)
            version = config.version_after("" if known is None else known.version)
            store.described(connection, device.id, at, version)
            if config.version:
                self._named(connection, device, config.version, at)

    def _named(self, connection: Connection, device: Device, version: str, at: int) -> None:
        changes = []
        for update, _ in update_store.watched(connection, [device.id]):
            if update.kind is not Kind.FIRMWARE:
                continue
            seen = evidence.seen(update, version)
            after = rules.named(update, seen, at, at, self.waits)
            if after is not None:
                changes.append((update, after))
        record(connection, changes)

    # ------------------------------------------------------------------ helpers

    def _change(self, number: int, decide: Callable[[Update, int], Update | None]) -> Update:
        """One update, decided again while nobody else changes it."""
        with self.database.write() as connection:
            before = update_store.one(connection, number, lock=True)
            if before is None:
                raise _no_action(number)
            after = decide(before, now_ms())
            if after is not None and after != before:
                record(connection, [(before, after)])
            return after or before

    def _of_device(self, connection: Connection, device: Device, action: int) -> Update:
        found = update_store.one(connection, action)
        if found is None or found.device_id != device.id or found.way is not Way.DDI:
            raise _no_action(action)
        return found

    def _offered(self, connection: Connection, update: Asked) -> Offered:
        (release,) = release_store.find(connection, SYSTEM, number=update.release_id)
        file = next(one for one in release.artifacts if one.id == update.artifact_id)
        return Offered(update, release, file)


def _is_stopped(update: Update) -> bool:
    return is_stopped(update.state, update.asked_at)


def _describes(known: store.Controller | None, updates: list[Asked], at: int) -> bool:
    """Whether a device is asked to describe itself: once a day, and after an install until it
    names the new version."""
    if known is None or known.config_at is None or at - known.config_at >= CONFIG_MS:
        return True
    return any(one.state in INSTALL_BEGUN and one.seen is not Seen.NEW for one in updates)


def _gone() -> Gone:
    return Gone("The update is over.", hint="Delete the download.", code="update_over")


def _no_action(action: int) -> NotFound:
    return NotFound(
        f"There is no action {action} of this device.",
        hint="Use the links of the controller's own answer.",
        code="ddi_action_not_found",
    )
