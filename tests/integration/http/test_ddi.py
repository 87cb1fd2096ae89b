"""hawkBit's DDI over HTTP: what devices get, what they report, and who they are."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.devices.attributes.service import Attributes
from mooring.devices.model import Credentials, NewDevice
from mooring.errors import Conflict
from mooring.identity.account import Quota
from mooring.identity.actor import SYSTEM, Role
from mooring.identity.scopes import Scope
from mooring.jobs.rules import Counts
from mooring.jobs.selection import selector
from mooring.jobs.worker import JobWorker
from mooring.ota.ddi import store as ddi_store
from mooring.ota.ddi.polls import Polls
from mooring.ota.ddi.service import Ddi
from mooring.ota.releases.model import NewRelease, Release
from mooring.ota.releases.service import Releases
from mooring.ota.releases.states import Step
from mooring.ota.rollouts.model import PLAN, NewRollout
from mooring.ota.rollouts.service import Rollouts
from mooring.ota.updates.model import Update
from mooring.ota.updates.service import Updates
from mooring.ota.updates.worker import UpdateKeeper
from mooring.people.model import NewKey
from mooring.settings import Settings
from mooring.store.engine import now_ms
from mooring.store.schema import (
    ddi_controllers,
    device_attributes,
    device_state,
    downlinks,
    firmware_updates,
    strangers,
)
from tests.support.ports import free_port
from tests.support.waiting import wait_until

IMAGE = secrets.token_bytes(200_000)
FILE = "gateway 2.swu"
SUCCESS = ("closed", "success")


@pytest.fixture
def settings(tmp_path: Path, any_database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=any_database_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        ddi_poll_seconds=1,
    )


@dataclass
class Client:
    """A device that speaks DDI."""

    http: httpx.Client
    made: Credentials
    tenant: str = "home"
    token: str = ""
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = {"Authorization": self.token or f"TargetToken {self.made.password}"}
        self.base = f"/{self.tenant}/controller/v1/{self.made.device.name}"

    def get(self, path: str = "", **more: Any) -> httpx.Response:
        headers = self.headers | more.pop("headers", {})
        place = urlsplit(path)
        path = place.path + (f"?{place.query}" if place.query else "")
        address = path if path.startswith(self.base) else self.base + path
        return self.http.get(address, headers=headers, **more)

    def poll(self) -> dict[str, Any]:
        answer = self.get()
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def links(self) -> dict[str, str]:
        return {name: one["href"] for name, one in self.poll()["_links"].items()}

    def report(
        self,
        action: int,
        execution: str = "proceeding",
        finished: str = "none",
        *details: str,
        where: str = "deploymentBase",
        **progress: int,
    ) -> httpx.Response:
        body = {
            "id": str(action),
            "time": "20140511T121314",
            "status": {
                "result": {"finished": finished, "progress": progress},
                "execution": execution,
                "details": list(details),
            },
        }
        return self.http.post(
            f"{self.base}/{where}/{action}/feedback", headers=self.headers, json=body
        )

    def describe(self, **data: Any) -> httpx.Response:
        body = {"id": "", "status": {"execution": "closed"}, "data": data}
        return self.http.put(f"{self.base}/configData", headers=self.headers, json=body)


@dataclass
class World:
    app: App
    mine: Credentials
    neighbour: Credentials
    foreign: Credentials

    def __post_init__(self) -> None:
        self.keeper = UpdateKeeper(self.app.service(Updates))

    def release(self, version: str = "2.0", name: str = FILE) -> Release:
        releases = self.app.service(Releases)
        made = releases.create(SYSTEM, NewRelease("gateway", version, "home"))
        with releases.files.receive(1 << 20) as incoming:
            incoming.write(IMAGE + version.encode())
            releases.add_file(SYSTEM, str(made.id), name, incoming)
        return releases.step(SYSTEM, str(made.id), Step.PUBLISH, unsigned=True)

    def offer(self, release: Release) -> Update:
        reference = self.mine.device.reference
        return self.app.service(Updates).offer(SYSTEM, reference, release.reference)

    def now(self, update: Update) -> Update:
        return self.app.service(Updates).get(SYSTEM, update.id)

    def state(self, update: Update) -> str:
        return str(self.now(update).state)

    def count(self, table: sa.Table) -> int:
        with self.app.database.read() as connection:
            statement = sa.select(sa.func.count()).select_from(table)
            return int(connection.execute(statement).scalar_one())

    def due(self, update: Update, **more: Any) -> str:
        """Its deadline passes."""
        with self.app.database.write() as connection:
            connection.execute(
                sa.update(firmware_updates)
                .where(firmware_updates.c.id == update.id)
                .values(due_at=1, **more)
            )
        while self.keeper.step():
            pass
        return self.state(update)


@pytest.fixture
def world(platform: App) -> World:
    def device(name: str, dialect: str, tenant: str) -> Credentials:
        return platform.devices.add(SYSTEM, NewDevice(name, dialect=dialect, tenant=tenant))[0]

    # Neither smarthome nor drivesafe has a channel for firmware.
    return World(
        platform,
        device("gw-1", "smarthome", "home"),
        device("gw-2", "drivesafe", "home"),
        device("gw-3", "pulse", "away"),
    )


@pytest.fixture
def gw(world: World, nobody: httpx.Client) -> Client:
    """A device that has polled."""
    client = Client(nobody, world.mine)
    client.poll()
    wait_until(lambda: world.count(ddi_controllers) == 1, "the poll is written")
    return client


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_device_without_a_firmware_channel_updates_over_http(world: World, gw: Client) -> None:
    release = world.release()
    assert (
        gw.describe(version="1.0", hw_revision="rev-b", serial="A77", tags="x").status_code == 200
    )
    update = world.offer(release)
    assert (update.way, update.from_version) == ("ddi", "1.0")
    assert world.count(downlinks) == 0

    found = gw.poll()
    assert found["config"] == {"polling": {"sleep": "00:00:01"}}
    href = found["_links"]["deploymentBase"]["href"]
    assert href.startswith("http://") and f"/deploymentBase/{update.id}?c=" in href
    deployment = gw.get(href).json()
    assert deployment["id"] == str(update.id)
    assert world.state(update) == "offered"
    (chunk,) = deployment["deployment"]["chunks"]
    assert (chunk["part"], chunk["name"], chunk["version"]) == ("os", "gateway", "2.0")
    (file,) = chunk["artifacts"]
    data = IMAGE + b"2.0"
    assert (file["filename"], file["size"]) == (FILE, len(data))
    assert file["hashes"] == {
        name: hashlib.new(name, data).hexdigest() for name in ("sha1", "md5", "sha256")
    }
    assert file["_links"]["download"] == file["_links"]["download-http"]

    part = gw.get(file["_links"]["download-http"]["href"], headers={"Range": "bytes=0-999"})
    assert (part.status_code, part.content) == (206, data[:1000])
    assert gw.report(update.id, "proceeding", percentage=10).status_code == 200
    assert (world.state(update), world.now(update).percent) == ("downloading", 10)
    whole = gw.get(file["_links"]["download"]["href"])
    assert whole.content == data
    md5 = gw.get(file["_links"]["md5sum"]["href"])
    assert md5.text == file["hashes"]["md5"] + f"  {FILE}\n"
    wait_until(lambda: world.state(update) == "installing", "the file is served")
    assert gw.report(update.id, "proceeding", "none", "Writing").status_code == 200
    assert world.state(update) == "installing"
    for _ in range(2):  # its answer may be lost
        answer = gw.report(update.id, *SUCCESS)
        assert (answer.status_code, answer.content) == (200, b"")
    assert world.state(update) == "installed"

    links = gw.links()
    assert "deploymentBase" not in links and "configData" in links
    assert gw.get(links["installedBase"]).json()["id"] == str(update.id)
    assert gw.describe(version="2.0").status_code == 200
    assert "configData" not in gw.links()
    since = world.now(update).seen_since
    assert since is not None
    long_ago = {"seen_since": since - 3_600_000, "session_at": since - 3_600_000}
    assert world.due(update, **long_ago) == "confirmed"
    assert gw.report(update.id, *SUCCESS).status_code == 200
    assert code(gw.report(update.id, "closed", "failure")) == (410, "update_over")
    assert code(gw.get(f"/deploymentBase/{update.id}")) == (410, "update_over")
    gw.describe(version="1.0")
    assert world.state(update) == "regressed"
    with world.app.database.read() as connection:
        columns = device_attributes.c.name, device_attributes.c.source
        held = {row.name: row.source for row in connection.execute(sa.select(*columns))}
    assert held == dict.fromkeys(("hw_revision", "serial", "hardware"), "device")


def test_a_device_that_never_asked_has_no_way(world: World) -> None:
    release = world.release()
    with pytest.raises(Conflict) as raised:
        world.app.service(Updates).offer(
            SYSTEM, world.neighbour.device.reference, release.reference
        )
    assert raised.value.context["cause"] == "no_channel"


def test_an_installed_version_that_no_one_names_is_unproved(world: World, gw: Client) -> None:
    update = world.offer(world.release())
    gw.get(gw.links()["deploymentBase"])
    assert gw.report(update.id, *SUCCESS).status_code == 200
    gw.poll()
    assert world.now(update).session_at is not None
    assert world.due(update, session_at=1) == "unproved"


@pytest.mark.parametrize(
    ("reports", "state", "failed"),
    [
        ([("closed", "failure", "No space left on device")], "failed", "no_space"),
        (
            [
                ("proceeding", "failure", "signature verification failed"),
                ("closed", "failure", "1"),
            ],
            "failed",
            "signature",
        ),
        ([("closed", "failure", "Checksum does not match")], "failed", "digest"),
        ([("rejected", "none", "not now")], "rejected", "refused"),
        ([("canceled", "none")], "cancelled", ""),
    ],
)
def test_reports_that_end_an_update(
    world: World, gw: Client, reports: list[tuple[str, ...]], state: str, failed: str
) -> None:
    update = world.offer(world.release())
    gw.get(gw.links()["deploymentBase"])
    for one in reports:
        assert gw.report(update.id, *one).status_code == 200
    now = world.now(update)
    assert (str(now.state), str(now.code)) == (state, failed)
    assert "deploymentBase" not in gw.links()


def test_a_cancelled_download_is_stopped_or_goes_on(world: World, gw: Client) -> None:
    update = world.offer(world.release())
    gw.get(gw.links()["deploymentBase"])
    assert code(gw.get(f"/cancelAction/{update.id}")) == (404, "ddi_action_not_found")
    gw.report(update.id, "proceeding")
    for answer, then in ((("rejected", "success"), "downloading"), (SUCCESS, "cancelled")):
        world.app.service(Updates).stop(SYSTEM, update.id)
        links = gw.links()
        assert "deploymentBase" not in links
        stopped = gw.get(links["cancelAction"]).json()
        assert stopped == {"id": str(update.id), "cancelAction": {"stopId": str(update.id)}}
        said = gw.report(update.id, *answer, where="cancelAction")
        assert said.status_code == 200
        assert world.state(update) == then
    assert gw.report(update.id, *SUCCESS, where="cancelAction").status_code == 200  # again
    assert code(gw.get(f"/cancelAction/{update.id}")) == (410, "update_over")
    module = update.release_id
    gone = gw.get(f"/softwaremodules/{module}/artifacts/{FILE}")
    assert code(gone) == (410, "update_over")


def test_a_withdrawn_release_is_no_longer_given(world: World, gw: Client) -> None:
    release = world.release()
    update = world.offer(release)
    gw.get(gw.links()["deploymentBase"])
    world.app.service(Releases).step(SYSTEM, str(release.id), Step.WITHDRAW, reason="bad")
    assert "deploymentBase" not in gw.links()
    assert code(gw.get(f"/deploymentBase/{update.id}")) == (410, "update_over")
    assert code(gw.report(update.id, *SUCCESS)) == (410, "update_over")


def test_who_a_device_is(world: World, gw: Client, nobody: httpx.Client) -> None:
    """Only its own password opens a controller, and every refusal looks the same."""
    update = world.offer(world.release())
    answers = set()
    for tenant, name, password in (
        ("home", "gw-1", "wrong"),
        ("home", "gw-1", world.neighbour.password),
        ("home", "gw-1", world.foreign.password),
        ("away", "gw-1", world.mine.password),
        ("away", "gw-3", world.mine.password),
        ("nowhere", "gw-1", world.mine.password),
        ("home", "nobody", world.mine.password),
    ):
        answer = nobody.get(
            f"/{tenant}/controller/v1/{name}", headers={"Authorization": f"TargetToken {password}"}
        )
        told = answer.json()
        del told["instance"]
        answers.add((answer.status_code, str(sorted(told.items()))))
    ((status, _),) = answers
    assert status == 401
    assert code(nobody.get(gw.base)) == (401, "ddi_login_needed")
    other = Client(nobody, world.neighbour)
    for path in (
        f"/deploymentBase/{update.id}",
        f"/installedBase/{update.id}",
        f"/cancelAction/{update.id}",
    ):
        assert code(other.get(path)) == (404, "ddi_action_not_found")
    assert code(other.report(update.id, *SUCCESS)) == (404, "ddi_action_not_found")
    stolen = other.get(f"/softwaremodules/{update.release_id}/artifacts/{FILE}")
    assert code(stolen) == (404, "ddi_file_not_found")
    assert world.state(update) == "waiting"
    world.app.devices.set_enabled(SYSTEM, world.mine.device.reference, enabled=False)
    assert gw.get().status_code == 401


def test_a_gateway_speaks_for_the_devices_of_its_tenant(world: World, nobody: httpx.Client) -> None:
    def key(name: str, **more: Any) -> str:
        new = NewKey(name, Role.OPERATOR, **({"tenant": "home"} | more))
        return f"GatewayToken {world.app.people.add_key(SYSTEM, new).secret}"

    gateway = key("gateway", scopes=frozenset({Scope.DDI}))
    client = Client(nobody, world.mine, token=gateway)
    client.poll()
    assert code(Client(nobody, world.foreign, "away", gateway).get())[0] == 404
    without = Client(nobody, world.mine, token=key("reader", scopes=frozenset({Scope.READ})))
    assert code(without.get()) == (403, "scope_missing")
    viewer = NewKey("viewer", Role.VIEWER, "home")
    secret = world.app.people.add_key(SYSTEM, viewer).secret
    assert Client(nobody, world.mine, token=f"GatewayToken {secret}").get().status_code == 403
    assert Client(nobody, world.mine, token="GatewayToken mk_no").get().status_code == 401
    # An unknown device is listed, and found again as one that asked.
    unknown = nobody.get("/home/controller/v1/new-gw", headers={"Authorization": gateway})
    assert code(unknown) == (404, "ddi_controller_not_found")
    wait_until(lambda: world.count(strangers) == 1, "the device is listed")
    with world.app.database.read() as connection:
        row = connection.execute(sa.select(strangers)).mappings().one()
    assert (row["tenant"], row["name"], row["dialect"]) == ("home", "new-gw", "mooring")


def test_polls_write_once_in_a_while_and_count_as_presence(world: World, gw: Client) -> None:
    with world.app.database.read() as connection:
        seen = connection.execute(sa.select(device_state.c.last_seen_at)).scalar_one()
        polled = connection.execute(sa.select(ddi_controllers.c.polled_at)).scalar_one()
    assert seen == polled > 0


def test_polls_are_written_after_the_clock_was_set_back(world: World) -> None:
    polls, device, at = (
        Polls(world.app.database, world.app.settings),
        world.mine.device.id,
        now_ms(),
    )
    for later, written in ((0, 1), (1, 0), (-3_600_000, 1)):
        polls.note(device, at + later)
        assert polls.write() == written


def test_a_poll_reads_no_words_and_no_history(world: World, gw: Client) -> None:
    """A device asks every few minutes, and its updates may have long logs."""
    update = world.offer(world.release())
    gw.get(gw.links()["deploymentBase"])
    said: list[str] = []

    def heard(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    sa.event.listen(world.app.database.engine, "before_cursor_execute", heard)
    try:
        found = world.app.service(Ddi).poll(world.mine.device)
    finally:
        sa.event.remove(world.app.database.engine, "before_cursor_execute", heard)
    assert found.deployed is not None
    assert found.deployed.id == update.id
    asked = [one for one in said if "firmware_updates" in one]
    assert len(asked) == 1
    assert "log" not in asked[0] and "history" not in asked[0]


def test_what_a_description_does_to_an_earlier_one(world: World, gw: Client) -> None:
    """hawkBit's modes; a person's values stay."""

    def held() -> dict[str, str]:
        c = device_attributes.c
        with world.app.database.read() as connection:
            rows = connection.execute(sa.select(c.name, c.value))
            return {row.name: row.value for row in rows}

    def version() -> str:
        with world.app.database.read() as connection:
            return str(connection.execute(sa.select(ddi_controllers.c.version)).scalar_one())

    def describes(mode: str | None, **data: Any) -> None:
        body = {"data": data} | ({} if mode is None else {"mode": mode})
        answer = gw.http.put(f"{gw.base}/configData", headers=gw.headers, json=body)
        assert answer.status_code == 200, answer.text

    attributes = world.app.service(Attributes)
    attributes.change(SYSTEM, world.mine.device.reference, {"room": "attic"})
    describes(None, version="1.0", serial="A77", colour="red", board="rev-b")
    assert set(held()) == {"room", "serial", "colour", "board", "hardware"}
    describes("merge", serial="A78")
    assert (held()["serial"], held()["colour"], version()) == ('"A78"', '"red"', "1.0")
    describes("remove", colour="", room="")
    assert set(held()) == {"room", "serial", "board", "hardware"}
    assert version() == "1.0"
    describes("replace", version="2.0", size="4")
    assert set(held()) == {"room", "size"}
    assert version() == "2.0"
    describes("remove", version="")
    assert version() == ""
    describes("explode", serial="A79")  # as without one
    assert set(held()) == {"room", "size", "serial"}


def test_a_body_without_a_length_counts_with_its_bytes(world: World, gw: Client) -> None:
    """One body empties the bucket for longer than any test lasts."""

    def describe(*, chunked: bool) -> httpx.Response:
        body = b'{"data": {}}'.ljust(100_000)
        content: Any = iter([body]) if chunked else body
        return gw.http.put(f"{gw.base}/configData", headers=gw.headers, content=content)

    limits, device = world.app.limits, world.mine.device.reference
    limits.set_of_device(SYSTEM, device, Quota(bytes=100))
    assert describe(chunked=True).status_code == 200
    answers = [describe(chunked=chunked) for chunked in (True, False)]
    assert [code(one) for one in answers] == [(429, "limit_bytes")] * 2


def test_nothing_is_read_for_too_many_wrong_tokens(
    world: World, gw: Client, nobody: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    plain = ddi_store.number_of

    def counted(connection: Any, tenant: str, name: str) -> tuple[int, str] | None:
        asked.append(name)
        return plain(connection, tenant, name)

    monkeypatch.setattr(ddi_store, "number_of", counted)
    most = world.app.settings.device_login_attempts_per_minute
    wrong = {"Authorization": "TargetToken wrong"}
    place = f"/home/controller/v1/{world.neighbour.device.name}"
    answers = [nobody.get(place, headers=wrong).status_code for _ in range(most + 3)]
    assert answers == [401] * most + [429] * 3
    assert len(asked) == most
    gw.poll()  # another device of the same address


def test_a_device_that_asks_is_in_a_wave_like_any_other(world: World, gw: Client) -> None:
    """The first wave is one of two devices; the other one is asked after the gate has opened."""
    app = world.app
    other = Client(gw.http, world.neighbour)
    other.poll()
    wait_until(lambda: world.count(ddi_controllers) == 2, "both polls are written")
    release = world.release()
    plan = replace(PLAN, pace=None, soak_ms=0, waves=(50.0, 100.0), gate_done=1.0)
    new = NewRollout(release.reference, selector("home", everyone=True), plan)
    number = app.service(Rollouts).create(SYSTEM, new).id

    worker = JobWorker(app.database, app.instance, app.settings, app.job_kinds())

    def work() -> Counts:
        app.service(Rollouts).jobs.nudge(number)
        while worker.step():
            pass
        return app.service(Rollouts).get(SYSTEM, number).job.counts

    assert work() == Counts(waiting=1, handed_over=1)
    first, second = sorted((gw, other), key=lambda one: "deploymentBase" not in one.links())
    assert "deploymentBase" in first.links()
    assert "deploymentBase" not in second.links()
    for client in (first, second):
        href = client.links()["deploymentBase"]
        action = int(client.get(href).json()["id"])
        update = app.service(Updates).get(SYSTEM, action)
        assert client.report(action, *SUCCESS).status_code == 200
        counts = work()
        assert counts.handed_over == 1, "a claim opens no gate"
        client.poll()
        client.describe(version="2.0")
        since = world.now(update).seen_since
        assert since is not None
        long_ago = {"seen_since": since - 3_600_000, "session_at": since - 3_600_000}
        assert world.due(update, **long_ago) == "confirmed"
        work()
    assert work() == Counts(succeeded=2)


def test_reports_that_no_client_sends(world: World, gw: Client) -> None:
    update = world.offer(world.release())
    address = f"{gw.base}/deploymentBase/{update.id}/feedback"
    for body in (
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"status": {"execution": "exploded"}}',
        b'{"status": {"execution": 5}}',
        b'{"status": null}',
    ):
        answer = gw.http.post(address, headers=gw.headers, content=body)
        assert code(answer) == (422, "bad_feedback"), body[:50]
    odd = (
        b'{"status": {"execution": "proceeding", "details": [1, null, "x\\u0000y"], '
        b'"result": {"finished": 7, "progress": {"cnt": 1e400, "of": true}}}}'
    )
    assert gw.http.post(address, headers=gw.headers, content=odd).status_code in (200, 422)
    for number in ("0", "-1", "2147483648", "x", "9" * 40):
        answer = gw.get(f"/deploymentBase/{number}")
        assert answer.status_code in (404, 422), number
    data = {f"k{number}": "v" * 300 for number in range(1000)} | {"a b": 1, "id": "x", "t": {}}
    assert gw.describe(**data).status_code == 200
    with world.app.database.read() as connection:
        kept = connection.execute(sa.select(sa.func.count()).select_from(device_attributes))
        assert kept.scalar_one() == 0  # none of them is valid
