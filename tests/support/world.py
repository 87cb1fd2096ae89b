"""A platform with something of everything, put straight into its database: for pages."""

from __future__ import annotations

import json
import math

import sqlalchemy as sa

from mooring.alerts.changes import apply
from mooring.alerts.model import Bounds, Raise, Severity, Source
from mooring.alerts.rules.service import Rules
from mooring.app import App
from mooring.commands.model import NewCommand
from mooring.commands.service import Commands
from mooring.credentials.claims.model import NewClaim
from mooring.device_settings.levels import SettingsLevels
from mooring.device_settings.model import Change, Level
from mooring.device_settings.service import DeviceSettings
from mooring.devices.model import Device, NewDevice
from mooring.discovery.model import Action, NewRule
from mooring.discovery.service import Discovery
from mooring.groups.model import NewGroup
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM, Role
from mooring.jobs.model import NewJob
from mooring.jobs.selection import selector
from mooring.jobs.service import Jobs
from mooring.ota.releases.model import NewRelease
from mooring.ota.releases.service import Releases
from mooring.ota.rollouts.model import NewRollout, Rollout
from mooring.ota.rollouts.service import Rollouts
from mooring.people.model import NewKey, NewUser
from mooring.presence.states.machine import Record, State
from mooring.store.engine import now_ms
from mooring.store.schema import (
    broker_events,
    devices,
    firmware_releases,
    messages,
    presence,
    rollup_queue,
    traffic,
)
from tests.integration.http.rows import channel_id, say, seen, spoil, stranger, tally

__all__ = ["fill", "history", "hostile", "passed", "placed"]


def _event(  # noqa: PLR0917 - a row
    platform: App, at: int, event: str, username: str, address: str, detail: str
) -> None:
    with platform.database.write() as connection:
        connection.execute(
            sa.insert(broker_events).values(
                at=at, event=event, username=username, address=address, detail=detail
            )
        )


def add(
    platform: App, name: str, tenant: str, word: str, dialect: str = "smarthome", **more: str
) -> Device:
    """A device with readings, a state and a presence."""
    new = NewDevice(name, dialect, tenant, label=f"{word} {name}"[:200], **more)  # type: ignore[arg-type]
    return platform.devices.add(SYSTEM, new)[0].device


def fill(platform: App, tenant: str, word: str, *, number: int = 6) -> list[Device]:
    """Everything of one tenant; its texts contain ``word``."""
    at = now_ms()
    found = []
    for n in range(number):
        # The last one can be offered firmware: what the others accept is too short for it.
        dialect = "mooring" if n == number - 1 else "smarthome"
        device = add(platform, f"{tenant}-sensor-{n:03}", tenant, word, dialect)
        found.append(device)
        say(platform.database, device, at - 5_000 * n, {"temperature": 20.5 + n, "note": word})
        seen(
            platform.database,
            device,
            last_seen_at=at - 5_000 * n,
            online=n % 3 != 1,
            connected=n % 3 != 1,
            connected_at=at - 3_600_000,
            firmware=f"1.4.{n % 3}",
            address=f"10.4.2.{n}",
        )
        with platform.database.write() as connection:
            state = ("online", "offline", "silent")[n % 3]
            connection.execute(
                sa.insert(presence).values(
                    device_id=device.id,
                    state=state,
                    record=json.dumps([*Record(State(state), at - 60_000)]),
                    interval_ms=10_000,
                )
            )
    first = found[0]
    _event(platform, at - 700_000, "connected", first.username, "10.4.2.1", "")
    _event(platform, at - 600_000, "refused", found[1].username, "10.4.2.17", "wrong_password")
    _event(
        platform,
        at - 60_000,
        "refused",
        found[1].username,
        "10.4.2.17",
        "wrong_password (37 times)",
    )
    spoil(platform.database, at - 50_000, word.encode(), device=first)
    spoil(platform.database, at - 40_000, word.encode(), device=first, reason="denied")
    stranger(platform.database, f"{tenant}-stranger", at - 30_000, tenant=tenant)
    platform.people.add(SYSTEM, NewUser(f"{tenant}-user", Role.OPERATOR, tenant))
    platform.people.add_key(SYSTEM, NewKey(f"{tenant}-key", Role.VIEWER, tenant))
    # One of them accepts packets that are large enough for an offer of firmware.
    told = {"room": word[:200], "max_packet": 2048}
    platform.attributes.change(SYSTEM, first.username, told)
    commands = platform.service(Commands)
    for name in ("reboot", word[:12]):
        commands.send(SYSTEM, first.reference, NewCommand(name))
    new = NewJob("command", {"name": "reboot"}, selector(tenant, everyone=True))
    platform.service(Jobs).start(SYSTEM, new)
    rollout(platform, tenant, word)
    platform.service(DeviceSettings).change(SYSTEM, first.reference, Change({"note": word}))
    levels = platform.service(SettingsLevels)
    levels.change(SYSTEM, tenant, Level.TENANT, tenant, Change({"interval": 30}))
    groups = platform.service(Groups)
    groups.create(SYSTEM, NewGroup(f"{tenant}-dynamic", tenant, "room = *", word[:200]))
    groups.create(SYSTEM, NewGroup(f"{tenant}-static", tenant, None, word[:200]))
    rule = {"terms": [{"metric": "temperature", "operator": ">", "value": 25}]}
    platform.service(Rules).add(SYSTEM, f"{tenant} too warm", rule, tenant=tenant)
    raised = Raise(
        f"x:{first.id}", tenant, first.id, Source.DEVICE, word[:60], Severity.ERROR, at - 60_000
    )
    with platform.database.write() as connection:
        apply(connection, [raised], Bounds())
    platform.claims.new(SYSTEM, NewClaim("smarthome", tenant, word[:200]))
    discovery = platform.service(Discovery)
    discovery.add_rule(SYSTEM, NewRule("smarthome", f"{tenant}-x-*", Action.REFUSE, tenant))
    return found


def rollout(platform: App, tenant: str, word: str) -> Rollout:
    """A rollout of a release to every device of the tenant, as it was just started."""
    releases = platform.service(Releases)
    made = releases.create(SYSTEM, NewRelease(f"{tenant}-oven", "1.5.0", tenant))
    with releases.files.receive(1 << 20) as incoming:
        incoming.write(b"\x55" * 100)
        releases.add_file(SYSTEM, str(made.id), "app.bin", incoming)
    with platform.database.write() as connection:  # whatever the settings say of signatures
        connection.execute(
            sa.update(firmware_releases)
            .where(firmware_releases.c.id == made.id)
            .values(state="published", published_at=now_ms())
        )
    devices = selector(tenant, everyone=True)
    new = NewRollout(str(made.id), devices, reason=word[:200] if word.isprintable() else "")
    return platform.service(Rollouts).create(SYSTEM, new)


def hostile(platform: App, tenant: str, text: str, n: int) -> Device:
    """A device with a hostile text wherever somebody may choose one; rejected values stay out."""
    # A label that cannot be printed is rejected.
    device = add(platform, f"h{n}", tenant, text if text.isprintable() else "label")
    at = now_ms()
    say(platform.database, device, at, {text: text, "value": text})
    seen(platform.database, device, last_seen_at=at, firmware=text[:128], address=text[:64])
    spoil(platform.database, at, text.encode(), device=device, reason="denied")
    stranger(platform.database, text[:300], at, tenant=tenant)
    _event(platform, at, "refused", device.username, text[:64], text)
    return device


def counters(platform: App) -> None:
    """The platform's own."""
    tally(platform.database, messages_stored=123_456, messages_duplicate=3)


PLACES = ((52.52, 13.41), (53.55, 9.99), (48.14, 11.58), (50.94, 6.96), (59.33, 18.07))
"""Berlin, Hamburg, Munich, Cologne, Stockholm."""


def placed(platform: App, device: Device, number: int) -> None:
    """Gives the device a position; the first ones are in different towns."""
    lat, lon = PLACES[number % len(PLACES)]
    at = {"lat": lat + 0.02 * (number // len(PLACES)), "lon": lon}
    platform.attributes.change(SYSTEM, device.username, {"position": at})


def history(platform: App, tenant: str, name: str) -> Device:
    """A device with a day of readings: one each five minutes, a peak, and an hour without any."""
    new = NewDevice(name, "mooring", tenant, label="Kiln 2, hall 3")
    device = platform.devices.add(SYSTEM, new)[0].device
    end = now_ms()
    rows: list[dict[str, object]] = []
    for n in range(288):
        if 130 <= n < 142:
            continue
        ts = end - (287 - n) * 300_000
        heat = 21.0 + 6 * math.sin(n / 40) + 0.6 * math.sin(n * 1.7)
        values = {"temperature": round(heat + (19 if n == 200 else 0), 1)}
        values["humidity"] = round(48 - 9 * math.sin(n / 40) + 1.2 * math.cos(n * 2.3), 1)
        values["power"] = round(1.2 + 0.9 * max(0.0, math.sin(n / 9)), 2)
        body = json.dumps({"ts": ts, "seq": n, "values": values})
        rows.append({"ts": ts, "received_at": ts + 40, "seq": n, "fingerprint": n, "payload": body})
    say(platform.database, device, end, json.loads(str(rows[-1]["payload"])))
    with platform.database.write() as connection:
        number = channel_id(connection, device.dialect, "telemetry", "telemetry")
        common = {"device_id": device.id, "channel_id": number, "time_source": 0}
        connection.execute(sa.insert(messages), [common | row for row in rows])
        added = sa.update(devices).where(devices.c.id == device.id)
        connection.execute(added.values(created_at=end - 40 * 86_400_000))
        m = messages.c
        first, last = connection.execute(
            sa.select(sa.func.min(m.id), sa.func.max(m.id)).where(m.device_id == device.id)
        ).one()
        span = {"first_id": first, "last_id": last, "first_ts": rows[0]["ts"], "last_ts": end}
        connection.execute(sa.insert(rollup_queue).values(**span, claimed=False))
    seen(
        platform.database,
        device,
        last_seen_at=end,
        online=True,
        connected=True,
        connected_at=end - 90_000_000,
        firmware="1.4.2",
        address="10.4.2.40",
    )
    record = json.dumps([*Record(State("online"), end - 90_000_000)])
    with platform.database.write() as connection:
        said = {"device_id": device.id, "state": "online", "record": record}
        connection.execute(sa.insert(presence).values(**said, interval_ms=300_000))
    return device


def passed(platform: App) -> None:
    """Messages of the last day, as if the platform had counted them: less at night."""
    now = now_ms() // 60_000 * 60_000
    received = sent = rejected = 0
    rows = []
    for n in range(1, 1441):  # back from now, so that what is counted from now on goes on rising
        hour = (now - n * 60_000) / 3_600_000 % 24
        received -= round(700 - 260 * math.cos(hour / 24 * 2 * math.pi) + 40 * math.sin(n * 1.3))
        sent -= 24 if n % 240 < 20 else 2
        rejected -= 30 if 610 < n < 650 else n % 37 == 0
        counted = {"received": received, "sent": sent, "rejected": rejected}
        rows.append({"at": now - n * 60_000, **counted})
    with platform.database.write() as connection:
        kept = sa.delete(traffic).where(traffic.c.at <= now)
        connection.execute(kept)
        connection.execute(sa.insert(traffic), rows)
