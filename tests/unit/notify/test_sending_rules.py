"""Retries, places, signatures, addresses, targets, names, options and bodies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.alerts.model import Severity
from mooring.errors import Invalid
from mooring.notify import message
from mooring.notify.addresses import allowed_address
from mooring.notify.apprise_child import scrubbed
from mooring.notify.http import answer_of
from mooring.notify.matching import group_of, is_wanted
from mooring.notify.model import SEVERITIES, Kind, Options, State
from mooring.notify.options import document_of, options_of
from mooring.notify.retries import SCHEDULE_MS, Answer, Outcome, Step, after
from mooring.notify.signing import new_secret, sign
from mooring.notify.targets import check_target, shown_target
from mooring.notify.turns import Due, Places, choose
from mooring.settings.notify import SCHEMES

FAILED, UNANSWERED = Answer(Outcome.FAILED, "x"), Answer(Outcome.UNANSWERED, "x")


def test_severities_are_those_of_alerts() -> None:
    assert [severity.word for severity in Severity] == list(SEVERITIES)
    assert [int(severity) for severity in Severity] == [1, 2, 3, 4]


# ------------------------------------------------------------------ retries


def test_a_notification_is_tried_as_the_specification_says_and_then_given_up() -> None:
    waits = []
    for attempt in range(1, 20):
        step = after(FAILED, attempts=attempt, unanswered=0, now=0)
        if step.state is State.FAILED:
            break
        waits.append(step.next_at)
    assert waits == list(SCHEDULE_MS)
    assert [wait // 1000 for wait in SCHEDULE_MS[:4]] == [5, 300, 1800, 7200]


def test_a_receiver_that_answers_too_late_gets_one_repeat() -> None:
    first = after(UNANSWERED, attempts=1, unanswered=1, now=0)
    assert first == Step(State.WAITING, 5_000)
    assert after(UNANSWERED, attempts=2, unanswered=2, now=0).state is State.FAILED
    assert after(UNANSWERED, attempts=5, unanswered=1, now=0).state is State.WAITING


def test_what_a_receiver_asks_for_counts_up_to_a_day() -> None:
    busy = Answer(Outcome.FAILED, "HTTP 429", retry_after_ms=60_000)
    assert after(busy, attempts=1, unanswered=0, now=0).next_at == 60_000
    forever = Answer(Outcome.FAILED, "HTTP 429", retry_after_ms=10**12)
    assert after(forever, attempts=1, unanswered=0, now=0).next_at == SCHEDULE_MS[-1]


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "wait"),
    [
        (200, {}, Outcome.ACCEPTED, 0),
        (204, {}, Outcome.ACCEPTED, 0),
        (302, {"location": "http://127.0.0.1/"}, Outcome.FAILED, 0),
        (410, {}, Outcome.GONE, 0),
        (429, {"retry-after": "7"}, Outcome.FAILED, 7_000),
        (503, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, Outcome.FAILED, 0),
        (500, {"retry-after": "9" * 400}, Outcome.FAILED, 0),
    ],
)
def test_what_a_status_means(
    status: int, headers: dict[str, str], outcome: Outcome, wait: int
) -> None:
    found = answer_of(status, headers)
    assert (found.outcome, found.retry_after_ms) == (outcome, wait)


@pytest.mark.parametrize("outcome", [Outcome.GONE, Outcome.INVALID])
def test_what_can_never_work_is_not_tried_again(outcome: Outcome) -> None:
    assert after(Answer(outcome), attempts=1, unanswered=0, now=0) == Step(State.FAILED)


def test_what_is_posted_again_soon_is_not_retried() -> None:
    assert after(FAILED, attempts=1, unanswered=0, now=0, routine=True) == Step(State.FAILED)


# ------------------------------------------------------------------ places


def due(number: int, tenant: str = "t", failures: int = 0, kind: Kind = Kind.WEBHOOK) -> Due:
    return Due(number, number, tenant, kind, failures)


@given(
    st.lists(
        st.builds(
            Due,
            st.integers(1, 10**6),
            st.integers(1, 60),
            st.sampled_from("abcde"),
            st.sampled_from(list(Kind)),
            st.sampled_from([0, 0, 3]),
        ),
        max_size=60,
        unique_by=lambda one: one.recipient,
    ),
    st.integers(0, 20),
)
def test_no_tenant_and_no_failing_recipient_takes_more_than_its_share(
    some: list[Due], already: int
) -> None:
    places = Places(all=12, of_tenant=4, processes=4, processes_of_tenant=2)
    running = choose(some[:already], [], places)
    started = choose(some, running, places)
    now = [*running, *started]
    assert len({one.recipient for one in now}) == len(now)
    for process, whole, share in ((False, 12, 4), (True, 4, 2)):
        mine = [one for one in now if (one.kind is Kind.APPRISE) is process]
        assert len(mine) <= whole
        assert sum(one.failures > 0 for one in mine) <= whole // 2
        for tenant in "abcde":
            of_tenant = [one for one in mine if one.tenant == tenant]
            assert len(of_tenant) <= share
            assert sum(one.failures > 0 for one in of_tenant) <= max(1, share // 2)


def test_recipients_that_hang_leave_places_to_those_that_work() -> None:
    places = Places()
    hanging = [due(number, "loud", failures=1) for number in range(1, 100)]
    running = choose(hanging, [], places)
    assert [one.recipient for one in choose([due(500, "loud")], running, places)] == [500]
    assert [one.recipient for one in choose([due(501, "other")], running, places)] == [501]


# ------------------------------------------------------------------ signatures


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's reference implementation."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_new_secret_signs() -> None:
    secret = new_secret()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert 24 <= len(key) <= 64
    wanted = hmac.new(key, b"msg_1.5.x", hashlib.sha256).digest()
    assert sign(secret, "msg_1", 5, b"x") == f"v1,{base64.b64encode(wanted).decode()}"


# ------------------------------------------------------------------ addresses and targets


NOT_ALLOWED = """
127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0
192.0.0.1 198.18.0.1 224.0.0.1 255.255.255.255 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fd12::1
ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:7f00:1:: 2002:a9fe:a9fe::
::7f00:1 2001:db8::1 fec0::1 ::ffff:0:7f00:1 64:ff9b:1::7f00:1 5f00::1
localhost example.org 127.1 0x7f000001
"""


@pytest.mark.parametrize(
    "address",
    NOT_ALLOWED.split(),
)
def test_addresses_that_are_not_allowed(address: str) -> None:
    assert not allowed_address(address, private=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are_allowed(address: str) -> None:
    assert allowed_address(address, private=False)


def test_an_administrator_allows_private_addresses_and_no_multicast() -> None:
    assert allowed_address("127.0.0.1", private=True)
    assert allowed_address("fd12::1", private=True)
    for address in ("224.0.0.1", "0.0.0.0", "255.255.255.255", "ff02::1"):  # noqa: S104
        assert not allowed_address(address, private=True)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (Kind.WEBHOOK, "http://example.org/"),
        (Kind.WEBHOOK, "ftp://example.org/"),
        (Kind.WEBHOOK, "https:///x"),
        (Kind.WEBHOOK, "https://a b/"),
        (Kind.WEBHOOK, "https://example.org:99999/"),
        (Kind.WEBHOOK, "https://example.org/#x"),
        (Kind.WEBHOOK, "https://example.org/\n"),
        (Kind.WEBHOOK, "https://[::1/"),
        (Kind.WEBHOOK, ""),
        (Kind.ALERTMANAGER, "https://example.org/api/v2/alerts"),
        (Kind.APPRISE, "file:///etc/passwd"),
        (Kind.APPRISE, "exec://rm"),
        (Kind.APPRISE, "syslog://"),
        (Kind.APPRISE, "mailto:x@example.org"),
    ],
)
def test_targets_that_are_not_accepted(kind: Kind, target: str) -> None:
    with pytest.raises(Invalid) as error:
        check_target(kind, target, private=False, schemes=SCHEMES)
    assert error.value.slug == "invalid_target"


@pytest.mark.parametrize(
    ("kind", "target", "shown"),
    [
        (Kind.WEBHOOK, "https://h.org/T0/B0/key?token=k1", "https://h.org/****"),
        (Kind.WEBHOOK, "https://key:word@h.org:8443/", "https://****@h.org:8443/"),
        (Kind.ALERTMANAGER, "https://am.example.org/base", "https://am.example.org/base"),
        (Kind.APPRISE, "mailtos://me:key@h.org?to=you@h.org", "mailtos://****@h.org/****"),
        (Kind.APPRISE, "tgram://123key/456", "tgram://****"),
        (Kind.APPRISE, "discord://id/key", "discord://****"),
    ],
)
def test_a_target_is_shown_without_its_secrets(kind: Kind, target: str, shown: str) -> None:
    assert shown_target(kind, target) == shown
    assert "key" not in shown


def test_messages_of_apprise_are_scrubbed() -> None:
    target = "mailtos://me:s3cret%21@h.example.org/path?to=you@example.com"
    words = "could not reach h.example.org as me with s3cret! or s3cret%21 for you@example.com"
    found = scrubbed(words, target)
    for secret in ("s3cret", "h.example.org", "you@example.com"):
        assert secret not in found


# ------------------------------------------------------------------ who wants what


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (Options(), True),
        (Options(severity=4), False),
        (Options(alerts=("hot",)), True),
        (Options(alerts=("h*",)), True),
        (Options(alerts=("[h]ot", "ho?")), False),
        (Options(devices=("pump-*",)), True),
        (Options(devices=("valve",)), False),
    ],
)
def test_who_wants_an_alert(options: Options, wanted: bool) -> None:
    assert is_wanted(options, severity=3, name="hot", device="pump-1") is wanted


@given(st.text("ab*", max_size=12), st.text("ab[?", max_size=12))
@example("*ab", "ab")
@example("ab*ab", "ab")
@example("a*b*a", "aa")
def test_a_star_stands_for_any_characters(pattern: str, name: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    found = is_wanted(Options(alerts=(pattern,)), severity=3, name=name, device=None)
    assert found is bool(re.fullmatch(expression, name, re.DOTALL))


def test_no_pattern_of_a_tenant_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: object) -> None:
        raise AssertionError("a pattern of many * takes milliseconds to compile")

    monkeypatch.setattr(re, "compile", compiled)
    name = "a" * 120
    assert is_wanted(Options(alerts=("*a" * 100,)), severity=3, name=name, device=None)
    assert not is_wanted(Options(alerts=("*a" * 99 + "b",)), severity=3, name=name, device=None)


def test_whoever_names_devices_hears_nothing_of_the_platform() -> None:
    assert not is_wanted(Options(devices=("*",)), severity=3, name="disk_full", device=None)


def test_a_device_that_invents_names_makes_one_group() -> None:
    found = {group_of(Kind.WEBHOOK, source="device", rule=None, name=str(n)) for n in range(9)}
    assert len(found) == 1
    assert group_of(Kind.WEBHOOK, source="rule", rule=7, name="x") == "rule:7"
    assert group_of(Kind.ALERTMANAGER, source="rule", rule=7, name="x") == "all"


DOCUMENT: dict[str, Any] = {
    "severity": "error",
    "alerts": ["hot*"],
    "devices": ["d1"],
    "quiet": [{"days": ["mon"], "from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}],
    "wait_seconds": 0,
    "interval_seconds": 60,
    "repeat_seconds": 3600,
    "cleared": False,
}


def test_options_survive_a_round_trip() -> None:
    assert document_of(options_of(DOCUMENT)) == DOCUMENT
    assert options_of(document_of(Options())) == Options()


WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"severity": "bad"},
        {"severity": ["error"]},
        {"alerts": "hot"},
        {"alerts": [""]},
        {"alerts": ["x"] * 51},
        {"quiet": {}},
        {"quiet": [{"days": []}]},
        {"quiet": [{"days": ["someday"]}]},
        {"quiet": [{"from": "25:00"}]},
        {"quiet": [{"zone": "../etc/passwd"}]},
        {"quiet": [{"zone": 7}]},
        {"quiet": [{"days": WEEK}]},  # always
        {"wait_seconds": -1},
        {"wait_seconds": True},
        {"wait_seconds": float("nan")},
        {"repeat_seconds": 1},
        {"cleared": "no"},
        {"unknown": 1},
    ],
)
def test_options_that_are_not_accepted(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as error:
        options_of(wrong)
    assert error.value.slug == "invalid_recipient"


# ------------------------------------------------------------------ bodies


def entry(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "status": "raised",
        "severity": "error",
        "was": None,
        "name": "hot",
        "tenant": "acme",
        "device": "d1",
        "source": "rule",
        "message": "too hot",
        "value": "31.5",
        "raised_at": 1_790_000_000_000,
        "cleared_at": None,
    } | more


def test_a_cloud_event_is_the_same_in_every_attempt() -> None:
    found = message.document([entry(), entry(2)], tenant="acme", group="rule:1", more=3)
    some = [message.cloud_event(found, message_id="msg_1", created_at=5) for _ in range(2)]
    assert some[0] == some[1]
    event = json.loads(some[0])
    assert event["specversion"] == "1.0"
    assert event["id"] == "msg_1"
    assert event["source"] == "/mooring/acme"
    assert event["data"]["title"] == "[error] hot on d1 and 4 more"
    assert [one["number"] for one in event["data"]["alerts"]] == [1, 2]
    assert event["data"]["alerts"][0]["raised_at"].startswith("2026-")


def test_an_alert_of_another_severity_ends_the_former_one_at_alertmanager() -> None:
    found = message.document([entry(was="warning")], tenant="acme", group="all")
    now = 1_790_000_100_000
    new, former = json.loads(message.alertmanager(found, now=now))
    assert (new["labels"]["severity"], former["labels"]["severity"]) == ("error", "warning")
    assert former["endsAt"] < new["endsAt"]
    cleared = entry(status="cleared", cleared_at=now)
    (gone,) = json.loads(
        message.alertmanager(message.document([cleared], tenant="acme", group="all"), now=now)
    )
    assert gone["endsAt"] == former["endsAt"]


def test_a_text_has_a_line_for_each_alert() -> None:
    found = message.document(
        [entry(), entry(2, status="cleared", cleared_at=5)], tenant="", group=""
    )
    lines = message.text(found).split("\n")
    assert lines[0].startswith("RAISED error: hot, device d1, value 31.5, too hot (alert 1,")
    assert lines[1].startswith("CLEARED error: hot")
    assert message.title(message.document([], tenant="t", group="g")).startswith("Test")
