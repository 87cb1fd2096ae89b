"""Nothing crosses between tenants: two of them, and every route there is.

The routes are read from the application itself, so a new one is in this test before anybody
thinks of it. Everything that belongs to tenant ``b`` carries a word that no answer to
somebody of tenant ``a`` may contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
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
from mooring.devices.model import Device
from mooring.discovery.model import Action, NewRule
from mooring.discovery.service import Discovery
from mooring.groups.model import NewGroup
from mooring.groups.service import Groups
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.jobs.model import NewJob
from mooring.jobs.selection import selector
from mooring.jobs.service import Jobs
from mooring.notify.model import Kind
from mooring.notify.service import Recipients
from mooring.ota.releases import manifest
from mooring.ota.releases.keys import Keys
from mooring.ota.releases.model import Kind as Of
from mooring.ota.releases.model import NewRelease
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.rollouts.model import NewRollout
from mooring.ota.rollouts.service import Rollouts
from mooring.ota.updates import store as update_store
from mooring.ota.updates.model import State as UpdateState
from mooring.ota.updates.model import Update
from mooring.people.model import NewKey, NewUser
from mooring.store.engine import Database
from mooring.store.schema import firmware_artifacts, metadata
from tests.integration.http.conftest import ClientOf
from tests.integration.http.rows import AddDevice, say, seen, spoil, stranger, tally
from tests.support.openapi import document
from tests.support.postgres import Postgres

T0 = 1_771_000_000_000
SECRET = "quokka"  # everything of tenant b is named after it
OF_DEVICES = {"/api/v1/devices/{device}/shape"}  # a person's login opens none of them
PRIVATE = manifest.generate("ed25519")
SIGN_IN = {
    f"/api/v1/oidc/{one}" for one in ("start", "callback", "logout")
}  # nobody has a login yet
DDI = "/{tenant}/controller/v1/{controller}"  # opened by the device's password or a gateway's key
LINKS = {"/f/{token}"}  # 128 random bits are the permission: tests/integration/http/test_links.py
OPEN = {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/docs"}


@pytest.fixture
def any_database_url(postgres_server: Postgres, migrated_postgres: str) -> str:
    """PostgreSQL alone: it is the stricter one."""
    postgres_server.empty_tables(migrated_postgres)
    return migrated_postgres


@pytest.fixture
def world(platform: App, add_device: AddDevice) -> Iterator[App]:
    """Two tenants with one of everything each."""
    database, people = platform.database, platform.people
    for tenant, word in (("a", "alpaca"), (SECRET, SECRET)):
        device = add_device(f"{word}-1", tenant=tenant, dialect="pulse", groups=(f"{word}-g",))
        said = {"room": f"{word}-room", "tags": [word]}
        platform.attributes.change(SYSTEM, device.username, said)
        add_device(f"{word}-2", tenant=tenant, dialect="iotflow", groups=("shared",))
        say(database, device, T0, {"temperature": 1, "note": word})
        seen(database, device, online=True, firmware=word)
        spoil(database, T0, word.encode(), device=device)
        stranger(database, f"{word}-stranger", T0, tenant=tenant)
        people.add(SYSTEM, NewUser(f"{word}-user", tenant=tenant))
        people.add_key(SYSTEM, NewKey(f"{word}-key", tenant=tenant))
        platform.service(Commands).send(SYSTEM, device.reference, NewCommand(f"{word}-do"))
        new = NewJob("command", {"name": f"{word}-do"}, selector(tenant, everyone=True))
        platform.service(Jobs).start(SYSTEM, new)
        change = Change({"note": word})
        platform.service(DeviceSettings).change(SYSTEM, f"{tenant}:{word}-1", change)
        levels = platform.service(SettingsLevels)
        levels.change(SYSTEM, tenant, Level.TENANT, tenant, change)
        schema = f'{{"title":"{word}"}}'.encode()
        levels.set_schema(SYSTEM, tenant, Level.TENANT, tenant, schema)
        dynamic = NewGroup(f"{word}-q", tenant, f"room = {word}-room", f"{word} by query")
        platform.service(Groups).create(SYSTEM, dynamic)
        rule = {"terms": [{"metric": f"{word}-metric", "operator": ">", "value": 1}]}
        platform.service(Rules).add(SYSTEM, f"{word}-rule", rule, tenant=tenant)
        hook = f"https://{word}.example.org/{word}"
        recipients = platform.service(Recipients)
        recipients.add(SYSTEM, f"{word}-ops", Kind.WEBHOOK, hook, tenant=tenant)
        recipients.test(SYSTEM, f"{word}-ops", tenant=tenant)
        found = Raise(f"x:{device.id}", tenant, device.id, Source.DEVICE, word, Severity.ERROR, T0)
        with database.write() as connection:
            apply(connection, [found], Bounds())
        made = platform.service(Releases).create(SYSTEM, NewRelease(f"{word}-product", "1", tenant))
        with platform.service(Releases).files.receive(100) as incoming:
            incoming.write(word.encode())
            platform.service(Releases).add_file(SYSTEM, str(made.id), f"{word}.bin", incoming)
        offered = platform.service(Releases).create(
            SYSTEM, NewRelease(f"{word}-offered", "1", tenant)
        )
        with platform.service(Releases).files.receive(100) as incoming:
            incoming.write(f"{word}-offered".encode())
            platform.service(Releases).add_file(SYSTEM, str(offered.id), "app.bin", incoming)
        update(database, offered.id, device)
        pem = manifest.public_pem(PRIVATE.public_key())
        platform.service(Keys).add(SYSTEM, tenant, f"{word}-key", pem)
        platform.claims.new(SYSTEM, NewClaim("pulse", tenant, f"{word}-label"))
        unknown = platform.service(Discovery)
        unknown.add_rule(SYSTEM, NewRule("pulse", f"{word}-*", Action.REFUSE, tenant))
    for tenant, word in (("a", "alpaca"), (SECRET, SECRET)):
        roll_out(platform, tenant, word)
    spoil(database, T0, SECRET.encode(), reason="unknown_topic")  # whose it is is not known
    tally(database, messages_stored=7)
    yield platform


def update(database: Database, release: int, device: Device) -> None:
    """A firmware update of a device that waits for it."""
    artifact = sa.select(firmware_artifacts.c.id).where(firmware_artifacts.c.release_id == release)
    with database.write() as connection:
        made = Update(
            id=0,
            tenant=device.tenant,
            device_id=device.id,
            device=device.name,
            release_id=release,
            artifact_id=connection.execute(artifact).scalar_one(),
            kind=Of.FIRMWARE,
            version="1",
            from_version=device.name,
            size=1,
            created_at=T0,
            expires_at=2 * T0,
            state=UpdateState.WAITING,
            state_at=T0,
            due_at=2 * T0,
        )
        update_store.insert(connection, [made])


def roll_out(platform: App, tenant: str, word: str) -> None:
    """A published release, and a rollout of it."""
    releases = platform.service(Releases)
    made = releases.create(SYSTEM, NewRelease(f"{word}-rolled", "1", tenant))
    with releases.files.receive(100) as incoming:
        incoming.write(f"{word} rolled".encode())
        made = releases.add_file(SYSTEM, str(made.id), f"{word}.bin", incoming)
    signed = manifest.canonical(manifest.describe(made, made.artifacts[0]))
    releases.sign(SYSTEM, str(made.id), f"{word}.bin", manifest.sign(PRIVATE, signed))
    releases.step(SYSTEM, str(made.id), Step.PUBLISH)
    new = NewRollout(str(made.id), selector(tenant, everyone=True))
    platform.service(Rollouts).create(SYSTEM, new)


def fill(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", value)
    assert "{" not in path, f"{path}: say here what stands in its place"
    return path


OF_B = {
    "device": f"{SECRET}-1",
    "unknown": f"{SECRET}-stranger",
    "device_id": f"{SECRET}-1",
    "group_id": f"{SECRET}-g",
    "group": f"{SECRET}-g",
    "name": f"{SECRET}-user",
    "view": f"{SECRET}-view",
    "prefix": "00000000",
    "number": "2",
    "rollout": "4",
    "level": "tenant",
    "place": SECRET,
    "recipient": f"{SECRET}-ops",
    "rule": f"{SECRET}-rule",
    "release": f"{SECRET}-product:1",
    "file": f"{SECRET}.bin",
    "key": f"{SECRET}-key",
    "step": "publish",
    "serial": "0b0b",
    "fingerprint": "0" * 32,
    "tenant": SECRET,
    "token": "A" * 22,
    "controller": f"{SECRET}-1",
    "action": "1",
    "module": "1",
}
OF_A = {key: value.replace(SECRET, "alpaca") for key, value in OF_B.items()} | {
    "number": "1",
    "rollout": "3",
    "place": "a",
    "tenant": "a",
}


# What some routes cannot do without.
ASKED = {
    "metric": "temperature",
    "from": "2026-01-01",
    "action": "publish",
    "by": "tenant",
    "topic": "devices/x/telemetry",
}


def routes(*methods: str) -> list[tuple[str, str]]:
    """Methods and addresses; an address ends with the query its route asks for, if any."""
    return [
        (method.upper(), path + needed(operation))
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if method.upper() in methods and path not in OPEN
    ]


def needed(operation: dict[str, Any]) -> str:
    names = [
        one["name"]
        for one in operation.get("parameters", ())
        if one["in"] == "query" and one.get("required")
    ]
    return "?" + "&".join(f"{name}={ASKED[name]}" for name in names) if names else ""


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_no_get_shows_anything_of_another_tenant(
    world: App, client_of: ClientOf, role: str
) -> None:
    client = client_of(role, tenant="a")
    own_things = 0
    for _, path in routes("GET"):
        if path in OF_DEVICES:
            for name in ("alpaca-1", f"{SECRET}-1"):
                assert client.get(path.replace("{device}", name)).status_code == 401
            continue
        if path.startswith(DDI):
            for values in (OF_A, OF_B):
                assert client.get(fill(path, values)).status_code == 401
            continue
        for values in (OF_A, OF_B):
            queries = [
                "",
                f"tenant={SECRET}",
                f"device={SECRET}-1",
                "limit=500",
                f"search={SECRET}",
                "where=room%3D*&sort=-tag",
                "sort=-last_seen_at&total=true",
                "sort=presence&by=group",
            ]
            if path.endswith("/history"):
                queries += ["metric=temperature", "metric=note", "from=0"]
            for query in queries:
                address = f"{fill(path, values)}{'&' if '?' in path else '?'}{query}"
                answer = client.get(address)
                told = answer.text.replace(address.partition("?")[0], "")
                if answer.status_code == 404:  # repeats what was asked for and says no more
                    told = told.replace(f"{SECRET}-1", "").replace(f"{SECRET}-user", "")
                    told = told.replace(f"tenant {SECRET}.", "").replace(OF_B["unknown"], "")
                    told = told.replace(f"no group {SECRET}-g.", "")
                    told = told.replace(f"{SECRET}-rule", "").replace(f"{SECRET}-ops", "")
                    told = told.replace(f"{SECRET}-rule", "")
                    told = told.replace(f"no release {SECRET}-product:1.", "")
                assert SECRET not in told, address
                assert answer.status_code in {200, 403, 404}, f"{address}: {answer.text}"
                own_things += "alpaca-" in answer.text
    assert own_things > 10  # the same routes do show what is one's own


def test_a_missing_thing_and_another_tenants_look_the_same(world: App, client_of: ClientOf) -> None:
    client = client_of("admin", tenant="a")
    missing = {key: value.replace(SECRET, "nobody") for key, value in OF_B.items()}
    for _, path in routes("GET"):
        if "{" not in path or "dialects" in path or path in OF_DEVICES or path.startswith(DDI):
            continue
        theirs, none = client.get(fill(path, OF_B)), client.get(fill(path, missing))
        assert theirs.status_code == none.status_code == 404, path
        assert theirs.text.replace(SECRET, "nobody") == none.text


def rows(platform: App) -> dict[str, list[Any]]:
    """Everything that is stored, but the audit and what waits for the broker."""
    with platform.database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table))]
            for table in metadata.sorted_tables
            if table.name not in {"audit", "versions"}
        }


BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/dead-letters/resend": {"matching": {"device": f"{SECRET}-1"}},
    "/api/v1/claim-codes": {"dialect": "pulse", "tenant": SECRET},
    "/api/v1/devices/{device}/rotate-credentials": {},
    "/api/v1/devices/{device}/disable": {},
    "/api/v1/devices/{device}/enable": {},
    "/api/v1/devices/{device}/limits": {"messages": 1},
    "/api/v1/devices/{device}/attributes": {"room": "hall"},
    "/api/v1/tenants/{tenant}/limits": {"messages": 1},
    "/api/v1/devices/{device}/certificates": {"csr": "x"},
    "/api/v1/devices/{device}/keys": {"public_key": "x"},
    "/api/v1/devices/{device}/settings": {"x": 1},
    "/api/v1/devices/{device}/settings/adopt": {},
    "/api/v1/devices/{device}/settings/resend": {},
    "/api/v1/settings/{level}/{place}": {"x": 1},
    "/api/v1/settings/{level}/{place}/schema": {},
    "/api/v1/groups": {"name": "new", "tenant": SECRET},
    "/api/v1/firmware": {"product": "new", "version": "1", "tenant": SECRET},
    "/api/v1/firmware/{release}/{step}": {},
    "/api/v1/firmware/{release}/files/{file}": {},
    "/api/v1/firmware/{release}/files/{file}/signatures": {
        "key": "0" * 16,
        "algorithm": "ed25519",
        "value": "AAAA",
    },
    "/api/v1/firmware-updates": {
        "device": f"{SECRET}-1",
        "release": f"{SECRET}-product:1",
    },
    "/api/v1/firmware-updates/{number}/cancel": {},
    "/api/v1/firmware-keys": {
        "name": "new",
        "tenant": SECRET,
        "public_key": manifest.public_pem(manifest.generate("ed25519").public_key()),
    },
    "/api/v1/firmware-keys/{key}/retire": {},
    "/api/v1/firmware-keys/{key}/revoke": {"reason": "x"},
    "/api/v1/groups/{group}": {"priority": 1},
    "/api/v1/groups/{group}/members": {"all": True},
    "/api/v1/groups/{group}/members/remove": {"all": True},
    "/api/v1/devices": {"name": "new", "dialect": "pulse", "tenant": SECRET},
    "/api/v1/users": {"name": "new", "tenant": SECRET},
    "/api/v1/users/{name}": {"disabled": True},
    "/api/v1/users/{name}/password": {"password": "a long enough one"},
    "/api/v1/api-keys": {"name": "new", "tenant": SECRET},
    "/api/v1/tenants": {"name": "new"},
    "/api/v1/tenants/{tenant}": {"stored_bytes": 1},
    "/api/v1/devices/{device}/commands": {"name": "restart"},
    "/api/v1/commands/{number}/cancel": {},
    "/api/v1/discovery/{unknown}/accept": {},
    "/api/v1/discovery/{unknown}/refuse": {},
    "/api/v1/discovery-rules": {
        "dialect": "pulse",
        "pattern": "*",
        "action": "refuse",
        "tenant": SECRET,
    },
    "/api/v1/jobs": {
        "kind": "command",
        "what": {"name": "x"},
        "tenant": SECRET,
        "selection": {"all": True},
    },
    "/api/v1/jobs/{number}": {"stop_after": 5},
    "/api/v1/jobs/{number}/pause": {},
    "/api/v1/jobs/{number}/resume": {},
    "/api/v1/jobs/{number}/cancel": {},
    "/api/v1/jobs/{number}/retry": {},
    "/api/v1/rollouts": {
        "release": f"{SECRET}-product:1",
        "tenant": SECRET,
        "selection": {"all": True},
    },
    "/api/v1/rollouts/{rollout}": {"stop_after": 5},
    "/api/v1/rollouts/{rollout}/approve": {},
    "/api/v1/rollouts/{rollout}/pause": {},
    "/api/v1/rollouts/{rollout}/resume": {},
    "/api/v1/rollouts/{rollout}/cancel": {},
    "/api/v1/rollouts/{rollout}/retry": {},
    "/api/v1/rollouts/{rollout}/add": {},
    "/api/v1/rollouts/{rollout}/announce": {},
    "/api/v1/rollouts/{rollout}/retract": {},
    "/api/v1/mqtt/publish": {"topic": f"pulse/{SECRET}/{SECRET}-1/commands", "payload": "x"},
    "/api/v1/mqtt/device/{device_id}/command": {"command": "restart"},
    "/api/v1/mqtt/fleet/{group_id}/command": {"command": "restart"},
    "/api/v1/rules": {"name": "new", "tenant": SECRET, "rule": {}},
    "/api/v1/rules/{rule}": {"enabled": False},
    "/api/v1/recipients": {
        "name": "new",
        "kind": "webhook",
        "target": "https://example.org/",
        "tenant": SECRET,
    },
    "/api/v1/recipients/{recipient}": {"enabled": False},
    "/api/v1/recipients/{recipient}/test": {},
    "/api/v1/alerts/{number}/acknowledge": {},
    "/api/v1/alerts/{number}/clear": {},
    "/api/v1/alerts/{number}/snooze": {"seconds": 60},
    "/api/v1/alerts/{number}/assign": {"assignee": "eve"},
    "/api/v1/alerts/{number}/severity": {"severity": "info"},
    "/api/v1/alerts/{number}/comments": {"text": "x"},
}
HARMLESS = {
    "/api/v1/login",
    "/api/v1/login/refresh",
    "/api/v1/logout",  # of one's own
    "/api/v1/me/password",
    "/api/v1/device-views",  # of one's own
    "/api/v1/device-views/{view}",
    "/api/v1/mqtt/topics/validate",
    "/api/v1/mqtt/subscribe",  # an address
    "/api/v1/claims",  # a device's, with a claim code
    "/api/v1/devices/{device}/recover",  # a device's, with its own credentials
    "/api/v1/devices/{device}/telemetry",
    "/api/v1/devices/{device}/token",
    "/api/v1/rules/trial",  # changes nothing, and reads one's own
}


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_no_change_reaches_another_tenant(world: App, client_of: ClientOf, role: str) -> None:
    client = client_of(role, tenant="a")
    before = rows(world)
    (key,) = [k.prefix for _, k in world.people.keys(Actor("b", Role.ADMIN, SECRET))]
    for method, path in routes("POST", "PUT", "PATCH", "DELETE"):
        if path in HARMLESS or path.startswith(DDI):
            continue
        body = None if method == "DELETE" else BODIES[path]
        address = fill(path, {**OF_B, "prefix": key})
        answer = client.request(method, address, json=body)
        assert answer.status_code in {403, 404}, f"{method} {address}: {answer.text}"
    assert rows(world) == before


def test_without_a_login_there_is_nothing(world: App, nobody: httpx.Client) -> None:
    for method, path in routes("GET", "POST", "PUT", "PATCH", "DELETE"):
        if path in {"/api/v1/login", "/api/v1/login/refresh", "/api/v1/claims", *SIGN_IN, *LINKS}:
            continue
        answer = nobody.request(method, fill(path, OF_A), json=BODIES.get(path))
        assert answer.status_code == 401, f"{method} {path}: {answer.text}"
        assert "alpaca-1" not in answer.text.replace(fill(path, OF_A).partition("?")[0], "")


def test_a_viewer_changes_nothing(world: App, client_of: ClientOf) -> None:
    """Not even of its own tenant, nor of the whole installation."""
    before_keys = [client_of("viewer", tenant="a"), client_of("viewer")]
    before = rows(world)
    for client in before_keys:
        for method, path in routes("POST", "PUT", "PATCH", "DELETE"):
            if path in HARMLESS or path.startswith(DDI):
                continue
            body = None if method == "DELETE" else dict(BODIES[path])
            if body and "tenant" in body:
                body["tenant"] = "a"
            answer = client.request(method, fill(path, OF_A), json=body)
            assert answer.status_code == 403, f"{method} {path}: {answer.text}"
    assert rows(world) == before
