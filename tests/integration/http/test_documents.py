"""What the command line prints with ``--json`` is what HTTP answers, for each noun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mooring.alerts.changes import apply
from mooring.alerts.model import Bounds, Raise, Severity, Source
from mooring.alerts.rules.service import Rules
from mooring.app import App
from mooring.commands.model import NewCommand
from mooring.commands.service import Commands
from mooring.credentials.claims.model import NewClaim
from mooring.device_settings.model import Change
from mooring.device_settings.service import DeviceSettings
from mooring.discovery.model import Action, NewRule
from mooring.discovery.service import Discovery
from mooring.groups.model import NewGroup
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM
from mooring.jobs.model import NewJob
from mooring.jobs.selection import selector
from mooring.jobs.service import Jobs
from mooring.notify.model import Kind
from mooring.notify.service import Recipients
from mooring.ota.releases.keys import Keys as FirmwareKeys
from mooring.ota.releases.model import NewRelease
from mooring.ota.releases.service import Releases
from mooring.people.model import NewUser
from mooring.sequences.numbers import pack_ranges
from mooring.store.engine import now_ms
from mooring.store.schema import sequences
from tests.integration.http.rows import AddDevice, say, seen, spoil, stranger
from tests.unit.cli.conftest import Mooring

DEVICE = "a:lamp"
Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Noun:
    """One document: the words and the address that show it, and where in the answers it is.

    ``here``: keys that only the command line has. ``codes``: exit codes it may have.
    """

    words: str
    place: Keys
    address: str
    there: Keys = ()
    here: frozenset[str] = frozenset()
    codes: tuple[int, ...] = (0,)


FIRST: Keys = ("items", 0)
NOUNS = {
    "device": Noun(
        f"device show {DEVICE}",
        (),
        f"devices/{DEVICE}",
        here=frozenset({"settings"}),  # HTTP has them at an address of their own
    ),
    "device in a list": Noun("device list", ("devices", 0), "devices", FIRST),
    "count of devices": Noun("device count --by dialect", (), "device-counts?by=dialect"),
    "unknown device": Noun("device unknown", ("strangers", 0), "strangers", FIRST),
    "topics": Noun(f"device topics {DEVICE}", (), f"devices/{DEVICE}/topics"),
    "access": Noun(
        f"device can {DEVICE} publish x/y",
        (),
        f"devices/{DEVICE}/can?action=publish&topic=x/y",
        codes=(1,),
    ),
    "diagnosis": Noun(f"device why {DEVICE}", (), f"devices/{DEVICE}/why", codes=(0, 1)),
    "limits of a device": Noun(f"device limits {DEVICE}", (), f"devices/{DEVICE}/limits"),
    "limits of a tenant": Noun("tenant limits a", (), "tenants/a/limits"),
    "numbers": Noun(f"device gaps {DEVICE}", ("devices", 0), f"devices/{DEVICE}/gaps"),
    "numbers in a list": Noun("device gaps", ("devices", 0), "gaps", FIRST),
    "presence": Noun(f"device presence {DEVICE}", (), f"devices/{DEVICE}/presence"),
    "downlink": Noun(
        f"device downlinks {DEVICE}", ("downlinks", 0), f"devices/{DEVICE}/downlinks", FIRST
    ),
    "rotation": Noun(
        f"device rotate {DEVICE} --wait 0s", (), f"devices/{DEVICE}/rotation", codes=(0, 1)
    ),
    "settings of a device": Noun(
        f"device settings show {DEVICE}",
        (),
        f"devices/{DEVICE}/settings",
        here=frozenset({"if_version"}),  # HTTP has it in the header ETag
    ),
    "version of settings": Noun(
        f"device settings history {DEVICE}",
        ("versions", 0),
        f"devices/{DEVICE}/settings/history",
        FIRST,
    ),
    "command": Noun("command show 1", (), "commands/1"),
    "command in a list": Noun("command list", ("commands", 0), "commands", FIRST),
    "claim code": Noun("claim list", ("claims", 0), "claim-codes", FIRST),
    "certificate": Noun(
        f"cert list {DEVICE}", ("certificates", 0), f"devices/{DEVICE}/certificates", FIRST
    ),
    "user": Noun("user list", ("users", 0), "users", FIRST),
    "API key": Noun("key list", ("keys", 0), "api-keys", FIRST),
    "limits and usage of a tenant": Noun("tenant show a", (), "tenants/a"),
    "tenant": Noun("tenant list", ("tenants", 0), "tenants", FIRST),
    "entry of the audit": Noun("audit list", ("audit", 0), "audit", FIRST),
    "latest of a device": Noun(f"telemetry latest {DEVICE}", (), f"devices/{DEVICE}/latest"),
    "latest in a list": Noun("telemetry latest --all", ("devices", 0), "latest", FIRST),
    "message": Noun(
        f"telemetry history {DEVICE}", ("messages", 0), f"devices/{DEVICE}/history", FIRST
    ),
    "value of a metric": Noun(
        f"telemetry history {DEVICE} --metric t",
        ("points", 0),
        f"devices/{DEVICE}/history?metric=t",
        FIRST,
    ),
    "chart": Noun(
        f"telemetry chart {DEVICE} --metric t --from 2026-01-01 --to 2026-01-02",
        (),
        f"devices/{DEVICE}/chart?metric=t&from=2026-01-01&to=2026-01-02",
    ),
    "job": Noun("job show 1", (), "jobs/1", here=frozenset({"devices"})),
    "job in a list": Noun("job list", ("jobs", 0), "jobs", FIRST),
    "group": Noun("group show lamps --tenant a", (), "groups/lamps?tenant=a"),
    "group in a list": Noun("group list --tenant a", ("groups", 0), "groups?tenant=a", FIRST),
    "newcomer": Noun("discovery show nobody", (), "discovery/nobody"),
    "newcomer in a list": Noun("discovery list", ("unknown", 0), "discovery", FIRST),
    "rule about newcomers": Noun("discovery rule list", ("rules", 0), "discovery-rules", FIRST),
    "rule": Noun("rule show hot", (), "rules/hot"),
    "rule in a list": Noun("rule list", ("rules", 0), "rules", FIRST),
    "alert": Noun("alert show 1", (), "alerts/1"),
    "alert in a list": Noun("alert list", ("alerts", 0), "alerts", FIRST),
    "recipient": Noun("notify show team --tenant a", (), "recipients/team?tenant=a"),
    "recipient in a list": Noun("notify list", ("recipients", 0), "recipients", FIRST),
    "notification": Noun(
        "notify history team --tenant a",
        ("notifications", 0),
        "recipients/team/notifications?tenant=a",
        FIRST,
    ),
    "release of firmware": Noun(
        "firmware show 1", (), "firmware/1", here=frozenset({"devices_running"})
    ),
    "release in a list": Noun("firmware list", ("releases", 0), "firmware", FIRST),
    "key that signs firmware": Noun("firmware key list", ("keys", 0), "firmware-keys", FIRST),
    "dead letter": Noun("dead-letter list", ("dead_letters", 0), "dead-letters", FIRST),
    "dialect": Noun("dialect show mooring", (), "dialects/mooring", here=frozenset({"source"})),
    "dialect in a list": Noun(
        "dialect list", ("dialects", 0), "dialects", FIRST, here=frozenset({"source"})
    ),
}


@pytest.fixture
def any_database_url(new_sqlite_url: str) -> str:
    """What differs between the databases is no document."""
    return new_sqlite_url


@pytest.fixture
def mooring(platform: App, any_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Mooring:
    """The command line, on the platform that is served."""
    for name in os.environ:
        if name.startswith(("MOORING_", "MQTT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MOORING_DATA_DIR", str(platform.settings.data_dir))
    monkeypatch.setenv("MOORING_DATABASE_URL", any_database_url)
    return Mooring(platform.settings.data_dir)


@pytest.fixture
def world(platform: App, add_device: AddDevice, mooring: Mooring, tmp_path: Path) -> App:
    """One of everything."""
    database, now = platform.database, now_ms()
    lamp = add_device("lamp", dialect="mooring", groups=("g",))
    platform.attributes.change(SYSTEM, lamp.username, {"room": "kitchen"})
    say(database, lamp, now, {"values": {"t": 1.5}}, seq=7)
    seen(database, lamp, online=True, online_at=now, firmware="1.0", last_seen_at=now)
    spoil(database, now, b"\xff", device=lamp)
    stranger(database, "nobody", now)
    with database.write() as connection:
        gaps = {"upto": 3, "above": pack_ranges(((5, 7),)), "lost": 0}
        connection.execute(
            sa.insert(sequences).values(device_id=lamp.id, gap_since=now, asked_at=now, **gaps)
        )
    platform.people.add(SYSTEM, NewUser("ada"))
    platform.claims.new(SYSTEM, NewClaim("mooring", "a", "a label"))
    platform.service(Commands).send(SYSTEM, lamp.reference, NewCommand("blink"))
    platform.service(DeviceSettings).change(SYSTEM, lamp.reference, Change({"interval": 5}))
    new = NewJob("command", {"name": "blink"}, selector("a", everyone=True))
    platform.service(Jobs).start(SYSTEM, new)
    platform.service(Groups).create(SYSTEM, NewGroup("lamps", "a", "room = kitchen", "Lamps."))
    rule = {"terms": [{"metric": "t", "operator": ">", "value": 1}]}
    platform.service(Rules).add(SYSTEM, "hot", rule, tenant="a")
    found = Raise(f"x:{lamp.id}", "a", lamp.id, Source.DEVICE, "smoke", Severity.ERROR, now)
    with database.write() as connection:
        apply(connection, [found], Bounds())
    recipients = platform.service(Recipients)
    target = "https://example.org/hook"
    recipients.add(SYSTEM, "team", Kind.WEBHOOK, target, tenant="a")
    recipients.test(SYSTEM, "team", tenant="a")
    platform.service(Releases).create(SYSTEM, NewRelease("lamp", "1.0.0", "a"))
    public = Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    platform.service(FirmwareKeys).add(SYSTEM, "a", "build", pem)
    newcomers = NewRule("smarthome", "x-*", Action.REFUSE, "a")
    platform.service(Discovery).add_rule(SYSTEM, newcomers)
    platform.rotations.start(SYSTEM, lamp, reason="test")
    mooring("cert", "init")
    mooring("cert", "device", DEVICE, "--out", tmp_path / "certificate")
    return platform


def at(document: Any, keys: Keys) -> Any:
    for key in keys:
        document = document[key]
    return document


def shape(value: Any) -> Any:
    """The keys at every depth."""
    if isinstance(value, Mapping):
        return {key: shape(one) for key, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else None


def test_command_line_and_http_answer_the_same(
    world: App, mooring: Mooring, admin: httpx.Client
) -> None:
    different = {}
    for noun, asked in NOUNS.items():
        said = mooring(*asked.words.split(), "--json", code=None)
        assert said.code in asked.codes, f"{noun}: {said}"
        printed = at(said.json(), asked.place)
        answer = admin.get(f"/api/v1/{asked.address}")
        assert answer.status_code == 200, f"{noun}: {answer.text}"
        answered = at(answer.json(), asked.there)
        assert asked.here <= printed.keys()
        printed = {key: value for key, value in printed.items() if key not in asked.here}
        if noun == "diagnosis":  # tells how long ago
            printed, answered = shape(printed), shape(answered)
        if printed != answered:
            different[noun] = (printed, answered)
    assert different == {}
