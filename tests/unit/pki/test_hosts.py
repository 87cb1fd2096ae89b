from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring import hosts
from mooring.errors import Invalid
from mooring.hosts import (
    LOCAL_HOSTS,
    general_names,
    host_matches,
    machine_hosts,
    normalise,
    recent_hosts,
)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("MQTT.Example.ORG.", "mqtt.example.org"),
        (" localhost ", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("[::1]", "::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("*.example.org", "*.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("my_box", "my_box"),
    ],
)
def test_hosts_as_they_stand_in_a_certificate(given_text: str, expected: str) -> None:
    assert normalise(given_text) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "mqtt://host", "host:8883", "a b", "-x.org", "a..b", "10.0.0.300", "x" * 64,
     ".".join(["abcdefgh"] * 30), "a/b", "*", "a.*.org", "é" * 80, "host\n"[:-1] + "\x00"],
)  # fmt: skip
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        normalise(text)
    assert caught.value.slug == "invalid_host"


@given(st.ip_addresses())
def test_every_address_is_a_host_and_matches_itself(address: IPv4Address | IPv6Address) -> None:
    text = normalise(str(address))
    assert normalise(text) == text
    assert host_matches(text, [text])
    assert not host_matches(text, ["*." + text.partition(".")[2]])


@given(st.text(max_size=300))
def test_any_text_is_a_host_or_refused(text: str) -> None:
    try:
        result = normalise(text)
    except Invalid:
        return
    assert normalise(result) == result
    assert len(general_names([text, result])) == 1


@pytest.mark.parametrize(
    ("host", "sans", "matches"),
    [
        ("mqtt.example.org", ["mqtt.example.org"], True),
        ("MQTT.example.org", ["Mqtt.Example.Org"], True),
        ("mqtt.example.org", ["*.example.org"], True),
        ("a.b.example.org", ["*.example.org"], False),
        ("example.org", ["*.example.org"], False),
        ("mqtt.example.org", ["example.org"], False),
        ("localhost", [], False),
        ("::1", ["0:0:0:0:0:0:0:1"], False),
        ("192.0.2.1", ["192.0.2.2"], False),
    ],
)
def test_which_certificate_a_client_takes(host: str, sans: list[str], matches: bool) -> None:
    assert host_matches(host, sans) is matches


def test_the_machine_knows_itself() -> None:
    found = machine_hosts()
    assert found[:3] == LOCAL_HOSTS
    assert len(set(found)) == len(found)
    assert all(normalise(host) == host for host in found)
    assert not any(host.startswith("fe80") for host in found)


@pytest.mark.parametrize("name", ["a" * 80, "a..b", "-", "x" * 300, "ä" * 70, ".", "host_1"])
def test_a_machine_may_have_any_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python raises UnicodeError for a label that is empty or too long."""
    monkeypatch.setattr("socket.gethostname", lambda: name)
    found = machine_hosts()
    assert found[: len(LOCAL_HOSTS)] == LOCAL_HOSTS
    assert all(normalise(host) == host for host in found)


def test_the_resolver_is_not_asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    asked: list[float] = []

    def find() -> tuple[str, ...]:
        asked.append(now)
        return (*LOCAL_HOSTS, f"host-{len(asked)}")

    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(hosts, "machine_hosts", find)
    monkeypatch.setattr(hosts, "_REMEMBERED", hosts._Remembered())
    first = recent_hosts()
    assert recent_hosts() == first
    now += hosts.REMEMBERED_SECONDS
    assert recent_hosts() != first
    assert asked == [1_000_000.0, now]
