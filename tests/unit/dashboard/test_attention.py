"""What needs attention, in sentences: number, cause, link, the worst first."""

from __future__ import annotations

from typing import Any

from mooring.dashboard.data.attention import Platform, of_trouble
from mooring.dashboard.data.trouble import Rejected, Trouble, counted

NONE = Trouble({}, 0, [], (0, 0), {}, (0, None), 0, 0)


def rejected(n: int, why: str, device: str = "a:b") -> Rejected:
    return Rejected(f"u{n}", device, why, 3, "10.0.0.1", 1_000 + n, 2_000)


def texts(found: Trouble, alerts: dict[str, int] | None = None, **more: Any) -> list[str]:
    return [one.text for one in of_trouble(found, alerts or {}, 0, more.get("platform"))]


def test_nothing_to_say() -> None:
    assert of_trouble(NONE, {}, 0, Platform()) == []


def test_rejected_logins_name_their_causes() -> None:
    some = [rejected(n, "wrong_password") for n in range(9)]
    some += [rejected(n + 9, "unknown_username", "") for n in range(3)]
    (one,) = of_trouble(NONE._replace(rejected=some), {}, 0, None)
    assert one.text == (
        "12 logins are rejected by the broker: 9 wrong password, 3 username never added."
    )
    assert (one.state, one.badge, one.href, one.since) == ("bad", "12 rejected", "#rejected", 1_000)
    (single,) = texts(NONE._replace(rejected=[rejected(1, "wrong_password")]))
    assert single == "1 device is rejected by the broker: wrong password."


def test_the_worst_comes_first() -> None:
    found = NONE._replace(
        states={"silent": 41, "flapping": 1},
        rejected=[rejected(1, "wrong_password")],
        denied=(1, 5),
        dead={"not_json": 7, "too_large": 2},
        unsettled=(2, 500),
        unknown=3,
    )
    platform = Platform(
        problems=["The broker does not answer."],
        reminders=["The broker's certificate expires in 9 days."],
        disk_used=0.97,
        disk_free=1_000_000_000,
        changes=1,
    )
    items = of_trouble(found, {"critical": 1, "warning": 2}, 1, platform)
    assert [one.state for one in items] == sorted(
        (one.state for one in items), key=["bad", "warn", "off"].index
    )
    assert items[0].text == "The broker does not answer."
    said = " ".join(one.text for one in items)
    for sentence in (
        "The disk of the data directory is 97% full: 1 GB are free.",
        "3 alerts are open: 1 critical, 2 warnings.",
        "41 devices have been silent for more than 1.5 times the usual interval.",
        "1 device connects and disconnects again and again.",
        "1 device published 5 messages in the last hour to topics that it may not use.",
        "9 messages could not be stored in the last day: 7 not JSON.",
        "2 password rotations are not settled: the new password has not been used yet.",
        "3 unknown devices were heard in the last day. Accept or reject them.",
        "1 change is not applied by the broker yet (devices, passwords, rights).",
        "1 device has rejected the settings too often",
    ):
        assert sentence in said, sentence
    assert all(one.href for one in items)


def test_one_of_something_is_said_as_one() -> None:
    (dead,) = of_trouble(NONE._replace(dead={"not_json": 1}), {}, 0, None)
    assert dead.badge == "1 dead letter"
    (alert,) = of_trouble(NONE, {"warning": 1}, 0, None)
    assert (alert.badge, alert.text) == ("1 alert", "1 alert is open: 1 warning.")
    (unknown,) = of_trouble(NONE._replace(unknown=1), {}, 0, None)
    assert unknown.text.endswith("Accept or reject it.")


def test_counted_details() -> None:
    assert counted("wrong_password (37 times)") == ("wrong_password", 37)
    assert counted("wrong_password") == ("wrong_password", 1)
    assert counted("odd (x times)") == ("odd (x times)", 1)
