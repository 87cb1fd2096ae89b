"""Notifications to real receivers: HTTP over TLS, SMTP, Alertmanager."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mooring.alerts.changes import apply
from mooring.alerts.model import Bounds, Clear, Raise, Severity, Source
from mooring.alerts.platform.checks import CHECKS
from mooring.alerts.platform.model import Look
from mooring.errors import Forbidden
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.notify.channels import Channels
from mooring.notify.model import FAILURES_MAX, Kind, Notification, State
from mooring.notify.planner import Planner
from mooring.notify.service import Recipients
from mooring.notify.signing import sign
from mooring.notify.worker import CLAIM_MS, Notifier
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms, open_database
from mooring.store.schema import notifications
from tests.support.projecting import INSTANCE, add_devices
from tests.support.receivers import HttpReceiver, MailReceiver, alertmanager, certificate
from tests.support.waiting import wait_until

OPTIONS = {"wait_seconds": 0, "interval_seconds": 0}


class Office:
    """Recipients and a worker, step by step, on the real clock."""

    def __init__(self, database: Database, ca_file: Path) -> None:
        self.database = database
        self.settings = Settings(notify_ca_file=ca_file)
        self.recipients = Recipients(database, INSTANCE, self.settings)
        self.channels = Channels.of(ca_file)
        self.worker = self.new_worker()
        add_devices(database)

    def new_worker(self, **seconds: float) -> Notifier:
        found = replace(self.channels, **seconds)
        made = Notifier(self.database, INSTANCE, self.settings, channels=found)
        made.planner = Planner(self.database, clock=lambda: 0.0)  # groups do not rest
        return made

    def add(self, kind: Kind, target: str, name: str = "ops", **more: Any) -> str:
        """The secret of the new recipient."""
        given = {"tenant": "acme", "private": True} | more
        added = self.recipients.add(SYSTEM, name, kind, target, options=OPTIONS, **given)
        return added.secret

    def alert(self, name: str, *, clear: bool = False, severity: Severity = Severity.ERROR) -> None:
        at = now_ms()
        change: Raise | Clear = Clear(f"test:{name}", at)
        if not clear:
            change = Raise(
                key=f"test:{name}",
                tenant="acme",
                device_id=1,
                source=Source.DEVICE,
                name=name,
                severity=severity,
                at=at,
                message=f"{name} happened",
                value="42",
            )
        with self.database.write() as connection:
            apply(connection, [change], Bounds())

    def work(self) -> None:
        """Everything that is due now."""

        async def until_done() -> None:
            while await self.worker.step():
                await self.worker.settle()

        asyncio.run(until_done())
        assert self.worker.planner.faults.error == ""

    def history(self, name: str = "ops") -> list[Notification]:
        return self.recipients.history(SYSTEM, name)[::-1]

    def hurry(self) -> None:
        """What waits for its next attempt is due now."""
        with self.database.write() as connection:
            connection.execute(
                notifications.update()
                .where(notifications.c.next_at.is_not(None))
                .values(next_at=now_ms())
            )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("receiver"))


@pytest.fixture
def office(new_sqlite_url: str, files: tuple[Path, Path]) -> Iterator[Office]:
    database = open_database(new_sqlite_url)
    yield Office(database, files[0])
    database.close()


@pytest.fixture
def receiver(files: tuple[Path, Path]) -> Iterator[HttpReceiver]:
    with HttpReceiver(files) as found:
        yield found


def test_a_webhook_gets_a_signed_cloud_event(office: Office, receiver: HttpReceiver) -> None:
    secret = office.add(Kind.WEBHOOK, receiver.url)
    office.alert("smoke")
    office.work()
    (got,) = receiver.got
    assert got.line == "POST /hook HTTP/1.1"
    assert got.headers["content-type"] == "application/cloudevents+json"
    at = int(got.headers["webhook-timestamp"])
    assert abs(at - time.time()) < 300
    message_id = got.headers["webhook-id"]
    assert got.headers["webhook-signature"] == sign(secret, message_id, at, got.body)
    assert got.json["id"] == message_id
    (alert,) = got.json["data"]["alerts"]
    assert (alert["status"], alert["name"], alert["device"]) == ("raised", "smoke", "a")
    (made,) = office.history()
    assert (made.state, made.attempts, made.message_id) == (State.SENT, 1, message_id)
    office.alert("smoke", clear=True)
    office.work()
    assert [one["status"] for one in receiver.got[1].json["data"]["alerts"]] == ["cleared"]


def test_a_failed_attempt_is_repeated_with_the_same_id(
    office: Office, receiver: HttpReceiver
) -> None:
    office.add(Kind.WEBHOOK, receiver.url)
    receiver.answer(500, 429, 204)
    office.alert("smoke")
    office.work()
    (made,) = office.history()
    assert (made.state, made.last_error, made.attempts) == (State.WAITING, "HTTP 500", 1)
    for _ in range(2):
        office.hurry()
        office.work()
    (made,) = office.history()
    assert (made.state, made.attempts) == (State.SENT, 3)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert len({got.body for got in receiver.got}) == 1
    found = office.recipients.get(SYSTEM, "ops")
    assert (found.failures, found.last_error) == (0, "HTTP 429")


def test_a_receiver_that_answers_too_late_gets_one_repeat(
    office: Office, receiver: HttpReceiver
) -> None:
    office.worker = office.new_worker(http_seconds=0.5)
    office.add(Kind.WEBHOOK, receiver.url)
    receiver.delay = 30
    office.alert("smoke")
    for _ in range(4):
        office.work()
        office.hurry()
    assert len(receiver.got) == 2
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    (made,) = office.history()
    assert (made.state, made.attempts, made.unanswered) == (State.FAILED, 2, 2)


def test_410_switches_a_webhook_off(office: Office, receiver: HttpReceiver) -> None:
    office.add(Kind.WEBHOOK, receiver.url)
    receiver.answer(410)
    office.alert("smoke")
    office.work()
    found = office.recipients.get(SYSTEM, "ops")
    assert not found.enabled
    assert "410" in found.why_off
    office.alert("fire")
    office.work()
    assert len(receiver.got) == 1


def test_a_worker_that_is_killed_in_an_attempt_repeats_it_once(
    office: Office, receiver: HttpReceiver
) -> None:
    office.add(Kind.WEBHOOK, receiver.url)
    receiver.delay = 20
    office.alert("smoke")

    async def killed() -> None:
        await office.worker.step()
        await asyncio.to_thread(wait_until, lambda: bool(receiver.got), "the request")
        for task in list(office.worker._running):
            task.cancel()

    asyncio.run(killed())
    (made,) = office.history()
    assert made.state is State.WAITING
    assert made.next_at is not None
    assert made.next_at - made.created_at >= CLAIM_MS
    receiver.delay = 0
    office.worker._lease.release()  # of a dead process it is taken without that
    office.worker = office.new_worker()
    office.hurry()
    office.work()
    office.work()
    assert [got.headers["webhook-id"] for got in receiver.got] == [made.message_id] * 2
    assert office.history()[0].state is State.SENT


def test_ten_failures_raise_an_alert_of_the_platform(
    office: Office, receiver: HttpReceiver
) -> None:
    office.add(Kind.WEBHOOK, receiver.url)
    receiver.answer(500)
    (check,) = [one for one in CHECKS if one.name == "recipient_failing"]

    def found() -> list[Any]:
        with office.database.read() as connection:
            settings = office.settings
            return list(check.find(Look(connection, settings, now_ms(), lambda _: (1, 1), {}, {})))

    for number in range(FAILURES_MAX):
        assert found() == []
        office.alert(f"n{number}")
        office.work()
    (one,) = found()
    assert one.tenant == "acme"
    assert "ops" in one.message
    receiver.answer(204)
    office.alert("last")
    office.work()
    assert found() == []


def test_mail_arrives_through_a_real_smtp_server(office: Office) -> None:
    mail = MailReceiver()
    with mail.running() as port:
        office.add(
            Kind.APPRISE,
            f"mailto://localhost:{port}?from=mooring@example.org&to=ops@example.org&mode=insecure",
        )
        office.alert("smoke", severity=Severity.CRITICAL)
        office.work()
    (made,) = office.history()
    assert (made.state, made.last_error) == (State.SENT, "")
    (got,) = mail.got
    assert "[critical] smoke on a" in str(got["Subject"])
    assert "ops@example.org" in str(got["To"])
    text = got.as_string()
    assert "RAISED critical: smoke" in text


@pytest.mark.parametrize("options", ["", "&format=html"])
def test_the_text_of_a_device_makes_no_link_in_a_mail(office: Office, options: str) -> None:
    mail = MailReceiver()
    with mail.running() as port:
        target = f"mailto://localhost:{port}?from=m@example.org&to=o@example.org&mode=insecure"
        office.add(Kind.APPRISE, target + options)
        office.alert("<a href='https://evil.example.org/'>smoke</a>")
        office.work()
    (got,) = mail.got
    bodies = {
        part.get_content_type(): part.get_payload(decode=True).decode()
        for part in got.walk()
        if not part.is_multipart()
    }
    assert "evil.example.org" in bodies["text/plain"]
    assert "<a" not in bodies.get("text/html", "")
    assert ("text/html" in bodies) is bool(options)


def test_mail_to_a_private_address_is_not_sent(office: Office) -> None:
    mail = MailReceiver()
    with mail.running() as port:
        target = f"mailto://me:s3cretword@localhost:{port}?to=ops@example.org&mode=insecure"
        office.add(Kind.APPRISE, target, private=False)
        office.alert("smoke")
        office.work()
    assert mail.got == []
    (made,) = office.history()
    assert made.state is State.FAILED
    assert "not allowed" in made.last_error
    assert "s3cretword" not in json.dumps([str(one) for one in office.history()])


def test_a_scheme_that_is_not_allowed_any_more_is_not_used(office: Office) -> None:
    office.add(Kind.APPRISE, "mailto://localhost:9?to=ops@example.org&mode=insecure")
    office.channels = replace(office.channels, schemes=("slack",))
    office.worker = office.new_worker()
    office.alert("smoke")
    office.work()
    (made,) = office.history()
    assert (made.state, made.attempts) == (State.FAILED, 1)
    assert "mailto" in made.last_error


def test_alertmanager_has_what_is_open(office: Office, tmp_path: Path) -> None:
    with alertmanager(tmp_path) as url:
        office.add(Kind.ALERTMANAGER, url)
        office.alert("smoke", severity=Severity.CRITICAL)
        office.alert("fire")
        office.work()
        found = {one["labels"]["alertname"]: one for one in alerts_at(url)}
        assert set(found) == {"smoke", "fire"}
        assert found["smoke"]["labels"]["severity"] == "critical"
        assert found["smoke"]["labels"]["device"] == "a"
        assert found["smoke"]["annotations"]["summary"] == "smoke happened"
        assert found["smoke"]["status"]["state"] == "active"
        time.sleep(1.1)  # between two posts to one Alertmanager
        office.alert("smoke", clear=True)
        office.work()
        assert {one["labels"]["alertname"] for one in alerts_at(url)} == {"fire"}
    assert [one.state for one in office.history()] == [State.SENT, State.SENT]


def alerts_at(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=10) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_certificate_that_nobody_vouches_for_is_rejected(office: Office, tmp_path: Path) -> None:
    with HttpReceiver(certificate(tmp_path)) as stranger:
        office.add(Kind.WEBHOOK, stranger.url)
        office.alert("smoke")
        office.work()
    assert stranger.got == []
    assert "TLS" in office.history()[0].last_error


def test_secrets_are_sealed_and_shown_once(office: Office, receiver: HttpReceiver) -> None:
    secret = office.add(Kind.WEBHOOK, receiver.url.replace("/hook", "/t0ken?key=w0rd"))
    renewed = office.recipients.change(SYSTEM, "ops", renew_secret=True).secret
    assert renewed != secret
    raw = office.database.engine.raw_connection()
    try:
        rows = str(raw.cursor().execute("SELECT * FROM recipients").fetchall())
    finally:
        raw.close()
    for word in (secret, renewed, "t0ken", "w0rd"):
        assert word not in rows
    office.alert("smoke")
    office.work()
    (got,) = receiver.got
    at = int(got.headers["webhook-timestamp"])
    signature = sign(renewed, got.headers["webhook-id"], at, got.body)
    assert got.headers["webhook-signature"] == signature


def test_only_administrators_of_the_installation_allow_private_addresses(office: Office) -> None:
    owner = Actor("eve", Role.ADMIN, "acme")
    add = office.recipients.add
    for more in ({"private": True}, {"platform": True}):
        with pytest.raises(Forbidden):
            add(owner, "x", Kind.WEBHOOK, "https://example.org/", **more)
    with pytest.raises(Forbidden):
        add(Actor("eve", Role.OPERATOR, "acme"), "x", Kind.WEBHOOK, "https://example.org/")
    office.add(Kind.WEBHOOK, "https://example.org/")
    change = office.recipients.change
    for more in ({"target": "https://10.0.0.1/"}, {"private": True}):
        with pytest.raises(Forbidden):
            change(owner, "ops", **more)
    assert not change(owner, "ops", private=False).recipient.private
    change(owner, "ops", target="https://example.com/")
    change(SYSTEM, "ops", platform=True)
    with pytest.raises(Forbidden):
        change(owner, "ops", target="https://elsewhere.example.org/")
    change(owner, "ops", platform=False, target="https://elsewhere.example.org/")


def test_a_test_notification_takes_the_same_way(office: Office, receiver: HttpReceiver) -> None:
    office.add(Kind.WEBHOOK, receiver.url)
    _, made = office.recipients.test(SYSTEM, "ops")
    office.work()
    (got,) = receiver.got
    assert got.json["type"] == "org.mooring.notification.test"
    assert got.headers["webhook-id"] == made.message_id
    assert office.history()[0].state is State.SENT
