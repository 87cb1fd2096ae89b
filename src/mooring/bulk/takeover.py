"""What importing another broker's accounts would do, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mooring.broker.foreign import Takeover
from mooring.broker.users import BrokerUser, check_new
from mooring.bulk.matching import Becomes, match
from mooring.bulk.model import Checked, Entry, Wrong
from mooring.devices.model import NewDevice
from mooring.dialects.model import Dialect
from mooring.errors import Invalid
from mooring.identity.account import Account

__all__ = ["Plan", "Row", "plan"]

NOTE = "imported"


@dataclass(frozen=True, slots=True)
class Row:
    """One account in the table.

    Attributes:
        what: ``device``, ``user`` or ``skipped``.
        becomes: in words.
        password: ``kept`` or ``new one needed``.
    """

    username: str
    what: str
    becomes: str
    password: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Devices and users ready for ``Bulk.store``, and a row for every account."""

    devices: list[Checked]
    users: list[tuple[BrokerUser, str | None]]
    rows: list[Row]

    @property
    def size(self) -> int:
        return len(self.devices) + len(self.users)

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(row.what for row in self.rows)
        return {
            "device": counted["device"],
            "user": counted["user"],
            "skipped": counted["skipped"],
            "needs_password": sum(
                1
                for row in self.rows
                if row.what != "skipped" and row.password != "kept"  # noqa: S105
            ),
        }


def plan(
    found: Takeover,
    dialect: Dialect,
    check: Callable[[Sequence[Entry]], tuple[list[Checked], list[Wrong]]],
    *,
    existing: Mapping[str, Account],
    tenant: str | None = None,
    named: Mapping[str, str] | None = None,
    service: Iterable[str] = (),
) -> Plan:
    """Looks at every account; nothing is changed.

    Args:
        check: which of the devices can be added, and why the others cannot.
        existing: what Mooring has already: such accounts are left alone.
        service: the platform's own usernames.

    Raises:
        Invalid: ``named`` has a username that does not exist.
    """
    unknown = set(named or ()) - {one.username for one in found.accounts}
    if unknown:
        raise Invalid(
            f"The account {min(unknown)!a} to map does not exist.",
            hint="`--dry-run --all` lists every account.",
            code="wrong_map",
        )
    made = match(
        found.accounts, dialect, tenant=tenant, named=named, rights_known=found.rights_known
    )
    rows: list[Row] = []
    users: list[tuple[BrokerUser, str | None]] = []
    entries: list[Entry] = []
    wanted: list[Becomes] = []
    for becomes in made:
        skipped = becomes.skipped or _existing(becomes, existing)
        if skipped:
            rows.append(_row(becomes, "skipped", "left out", (skipped,)))
        elif becomes.identity is not None:
            identity = becomes.identity
            device = NewDevice(identity.device, dialect.name, identity.tenant, "", identity.mac)
            entry = Entry(len(wanted), device, becomes.found.username, becomes.found.verifier)
            entries.append(entry)
            wanted.append(becomes)
        else:
            _user(becomes, service, users, rows)
    good, wrong = check(entries)
    problems = {one.line: one.why for one in wrong}
    devices = []
    checked = iter(good)
    for number, becomes in enumerate(wanted):
        if number in problems:
            rows.append(_row(becomes, "skipped", "left out", (problems[number],)))
            continue
        one = next(checked)
        devices.append(replace(one, device=replace(one.device, enabled=not becomes.found.disabled)))
        notes = [f"loses {topic}" for topic in becomes.loses]
        if becomes.found.disabled:
            notes.append("stays disabled")
        rows.append(_row(becomes, "device", f"device {one.device.reference}", tuple(notes)))
    return Plan(devices, users, sorted(rows, key=lambda row: row.username))


def _user(
    becomes: Becomes,
    service: Iterable[str],
    users: list[tuple[BrokerUser, str | None]],
    rows: list[Row],
) -> None:
    found = becomes.found
    user = BrokerUser(found.username, found.rights, NOTE)
    try:
        check_new(user, service=service)
    except Invalid as exc:
        rows.append(_row(becomes, "skipped", "left out", (exc.message,)))
        return
    if found.disabled:
        rows.append(_row(becomes, "skipped", "left out", ("is disabled there",)))
        return
    users.append((user, found.verifier))
    rows.append(_row(becomes, "user", "broker user", (becomes.why,) if becomes.why else ()))


def _existing(becomes: Becomes, existing: Mapping[str, Account]) -> str:
    there = existing.get(becomes.found.username)
    if there is None:
        return ""
    if there.verifier == becomes.found.verifier:
        return "already exists"
    return "already exists with another password, which is kept"


def _row(becomes: Becomes, what: str, words: str, notes: tuple[str, ...]) -> Row:
    kept = becomes.found.verifier is not None
    return Row(
        becomes.found.username,
        what,
        words,
        "kept" if kept else "new one needed",
        (*notes, *becomes.found.notes),
    )
