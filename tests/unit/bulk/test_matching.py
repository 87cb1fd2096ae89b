"""Which accounts of another broker are devices."""

from __future__ import annotations

import pytest

from mooring.broker.foreign import Found
from mooring.bulk.matching import Becomes, match
from mooring.dialects import builtin
from mooring.dialects.model import Dialect, Identity
from mooring.identity.account import Rights

DIALECTS = {dialect.name: dialect for dialect in builtin()}
MAC = "AA:BB:CC:DD:EE:01"


def found(username: str, *topics: str, **more: object) -> Found:
    return Found(username, None, Rights(topics, topics), **more)  # type: ignore[arg-type]


def one(dialect: str, account: Found, **options: object) -> Becomes:
    (only,) = match([account], DIALECTS[dialect], **options)  # type: ignore[arg-type]
    return only


@pytest.mark.parametrize(
    ("dialect", "account", "identity"),
    [
        (
            "smarthome",
            found("ESP32_1", "smarthome/7/ESP32_1/#"),
            Identity("7", "ESP32_1"),
        ),
        (
            "smarthome",  # the pattern of an access list: smarthome/+/%u/#
            found("ESP32_1", "smarthome/+/ESP32_1/#"),
            Identity("default", "ESP32_1"),
        ),
        ("pulse", found("device:acme:pump"), Identity("acme", "pump")),
        (
            "mousetrap",
            found(MAC, "tenant/acme/device/trap-9/#", f"tenant/acme/device/{MAC}/alert"),
            Identity("acme", "trap-9", MAC),
        ),
        ("mousetrap", found(MAC), Identity("default", "aabbccddee01", MAC)),
        ("mousetrap", found("AABBCCDDEE01"), Identity("default", "AABBCCDDEE01", "AABBCCDDEE01")),
        ("drivesafe", found("cab-1"), Identity("default", "cab-1")),
    ],
)
def test_a_device_is_known_by_name_and_topics(
    dialect: str, account: Found, identity: Identity
) -> None:
    assert one(dialect, account).identity == identity


@pytest.mark.parametrize(
    ("dialect", "account", "why"),
    [
        ("smarthome", found("bridge", "#"), "not a topic of one device"),
        (
            "smarthome",
            found("bridge", "smarthome/+/bridge/#", "smarthome/#"),
            "not a topic of one device",
        ),
        ("pulse", found("grafana", "#"), "its name does not match"),
        ("mousetrap", found("trap-1"), "not a MAC"),
        ("smarthome", found("a/b"), "holds '/'"),
    ],
)
def test_who_is_none(dialect: str, account: Found, why: str) -> None:
    becomes = one(dialect, account)
    assert becomes.identity is None
    assert not becomes.skipped
    assert why in becomes.why


def test_the_operator_knows_better() -> None:
    account = found("esp-cellar", "#")
    becomes = one("smarthome", account, named={"esp-cellar": "7:cellar"})
    assert becomes.identity == Identity("7", "cellar")
    assert becomes.loses == ("#",)
    assert one("smarthome", found("a"), named={"a": "user"}).identity is None
    assert one("smarthome", found("a"), named={"a": "-"}).skipped


def test_one_role_with_everything_of_a_tenant() -> None:
    """Its devices are known by their usernames, once somebody says whose they are."""
    trap = found("AABBCCDDEE01", "tenant/#", "global/#")
    becomes = one("mousetrap", trap, tenant="home")
    assert becomes.identity == Identity("home", "AABBCCDDEE01", "AABBCCDDEE01")
    assert becomes.loses == ("tenant/#", "global/#")
    without = one("mousetrap", trap)
    assert without.identity is None
    assert "with --tenant it is a device" in without.why


@pytest.mark.parametrize(
    ("dialect", "account"),
    [
        ("smarthome", found("dashboard", "smarthome/#")),  # any username would fit
        ("mousetrap", found("server", "tenant/#")),
        ("mousetrap", found("AABBCCDDEE01", "tenant/#", "other/#")),
    ],
)
def test_a_wide_role_makes_no_device_of_others(dialect: str, account: Found) -> None:
    assert one(dialect, account, tenant="home").identity is None


def test_another_tenants_device_is_none_of_ours() -> None:
    becomes = one("pulse", found("device:acme:pump"), tenant="other")
    assert becomes.identity is None
    assert "acme" in becomes.why


def test_who_administers_is_left_out() -> None:
    assert one("smarthome", found("admin", administers=True)).skipped


def test_what_it_loses_is_said() -> None:
    own: Dialect = DIALECTS["smarthome"]
    topic = own.topics(Identity("7", "e"))["telemetry"]
    becomes = one("smarthome", found("e", topic, "smarthome/7/e/debug"))
    assert "smarthome/7/e/debug" in becomes.loses
