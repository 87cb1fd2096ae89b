"""mosquitto.conf as text: what is written, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.config import (
    BrokerConfig,
    DynamicSecurity,
    Limits,
    Listener,
    PasswordFile,
    Tls,
    render,
)
from mooring.errors import InvalidSetting

TLS = Tls(Path("/m/server.pem"), Path("/m/server.key"), Path("/m/ca.pem"), Path("/m/ca.crl"))
FILES = PasswordFile(Path("/m/passwd"), Path("/m/acl"))
BASE = BrokerConfig(listeners=(Listener(1883),), access=FILES, persistence=Path("/m/db"))


def lines(config: BrokerConfig) -> list[str]:
    return [line for line in render(config).splitlines() if line and not line.startswith("#")]


def section(config: BrokerConfig, port: int) -> list[str]:
    """The lines of one listener."""
    text = lines(config)
    start = next(i for i, line in enumerate(text) if line.startswith(f"listener {port} "[:-1]))
    end = next(
        (i for i in range(start + 1, len(text)) if text[i].startswith("listener ")), len(text)
    )
    return text[start:end]


def test_nobody_is_anonymous_and_nothing_is_lost_by_default() -> None:
    text = lines(BASE)
    assert "allow_anonymous false" in text
    assert "per_listener_settings false" in text
    assert "persistence true" in text
    assert "persistence_location /m/db/" in text
    assert "autosave_interval 1" in text
    assert "set_tcp_nodelay true" in text
    assert "listener 1883 127.0.0.1" in text
    assert "max_connections -1" in section(BASE, 1883)
    assert not any(line.startswith("user ") for line in text)
    assert not any("debug" in line for line in text)


def test_root_keeps_being_root() -> None:
    assert lines(replace(BASE, run_as_root=True))[0] == "user root"


def test_the_access_files() -> None:
    assert {"password_file /m/passwd", "acl_file /m/acl"} <= set(lines(BASE))
    dynamic = lines(
        replace(BASE, access=DynamicSecurity(Path("/lib/dynsec.so"), Path("/m/dynsec.json")))
    )
    # The option belongs to the plugin named just before it.
    assert dynamic.index("plugin_opt_config_file /m/dynsec.json") == (
        dynamic.index("plugin /lib/dynsec.so") + 1
    )
    assert not any(line.startswith(("password_file", "acl_file")) for line in dynamic)


def test_each_listener_keeps_its_own_options() -> None:
    config = replace(
        BASE,
        listeners=(
            Listener(1883),
            Listener(8883, "", tls=TLS, max_connections=1000),
            Listener(9001, websockets=True),
            Listener(8884, "192.0.2.1", tls=TLS, require_certificate=True),
        ),
    )
    assert section(config, 8883) == [
        "listener 8883",
        "protocol mqtt",
        "max_connections 1000",
        "certfile /m/server.pem",
        "keyfile /m/server.key",
        "cafile /m/ca.pem",
        "crlfile /m/ca.crl",
        "tls_version tlsv1.2",
        "ciphers ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AESCCM",
    ]
    assert section(config, 9001) == [
        "listener 9001 127.0.0.1",
        "protocol websockets",
        "socket_domain ipv4",
        "max_connections -1",
    ]
    assert section(config, 8884)[-2:] == [
        "require_certificate true",
        "use_identity_as_username true",
    ]


def test_limits_are_written() -> None:
    text = lines(replace(BASE, limits=Limits(7, 8, 9, 10)))
    assert {
        "max_inflight_messages 7",
        "max_queued_messages 8",
        "max_queued_bytes 9",
        "message_size_limit 66058",
        "max_packet_size 66058",
    } <= set(text)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (replace(BASE, listeners=()), "no listener"),
        (replace(BASE, listeners=(Listener(1883), Listener(1883, "::1"))), "share port 1883"),
        (replace(BASE, listeners=(Listener(0),)), "1 to 65535"),
        (replace(BASE, listeners=(Listener(0, "/m/s", tls=TLS),)), "plain MQTT"),
        (replace(BASE, listeners=(Listener(0, "/m/" + 100 * "s"),)), "too long"),
        (replace(BASE, session_days=0), "session_days"),
        (replace(BASE, listeners=(Listener(1883, "192.0.2.1"),)), "without TLS on 192.0.2.1"),
        (replace(BASE, listeners=(Listener(1883, ""),)), "without TLS on every interface"),
        (replace(BASE, listeners=(Listener(1883, "example.org"),)), "without TLS"),
        (replace(BASE, listeners=(Listener(1883, "::1\nuser root"),)), "not an address"),
        (replace(BASE, listeners=(Listener(9001, "localhost", websockets=True),)), "IP address"),
        (replace(BASE, listeners=(Listener(1883, max_connections=0),)), "at least 1"),
        (replace(BASE, listeners=(Listener(1883, require_certificate=True),)), "has no TLS"),
        (
            replace(
                BASE,
                listeners=(Listener(1, tls=replace(TLS, ca=None), require_certificate=True),),
            ),
            "no CA",
        ),
        (
            replace(
                BASE, listeners=(Listener(1, tls=TLS, websockets=True, require_certificate=True),)
            ),
            "over WebSocket",
        ),
        (replace(BASE, listeners=(Listener(1, tls=replace(TLS, minimum="tlsv1.1")),)), "tlsv1.1"),
        (replace(BASE, persistence=Path("db")), "not absolute"),
        (replace(BASE, persistence=Path("/m/a\nuser root")), "cannot be written"),
        (replace(BASE, log=Path("/m/log ")), "cannot be written"),
        (replace(BASE, autosave_seconds=0), "autosave_seconds must be 1"),
        (replace(BASE, limits=Limits(max_inflight_messages=70_000)), "max_inflight_messages"),
        (replace(BASE, limits=Limits(max_queued_messages=-1)), "max_queued_messages"),
    ],
)
def test_what_is_unsafe_or_impossible_is_refused(config: BrokerConfig, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        render(config)


def test_clear_text_has_to_be_asked_for() -> None:
    exposed = Listener(1883, "192.0.2.1", allow_clear_text=True)
    assert "listener 1883 192.0.2.1" in lines(replace(BASE, listeners=(exposed,)))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_may_be_clear(address: str) -> None:
    assert render(replace(BASE, listeners=(Listener(1883, address),)))


@given(st.text(max_size=30))
def test_a_path_never_becomes_a_second_line(name: str) -> None:
    """Whatever a folder is called, the text has the lines it has with an ordinary one."""
    try:
        text = render(replace(BASE, persistence=Path("/m/x" + name)))
    except InvalidSetting:
        return
    assert len(text.splitlines()) == len(render(BASE).splitlines())


def test_a_listener_can_take_the_username_for_the_client_id() -> None:
    """All but the platform's own, which is a Unix socket in a folder of its own."""
    own = Listener(0, "/m/platform.sock")
    config = replace(BASE, listeners=(Listener(1883, client_id_is_username=True), own))
    assert "use_username_as_clientid true" in section(config, 1883)
    assert section(config, 0)[0] == "listener 0 /m/platform.sock"
    assert "use_username_as_clientid true" not in section(config, 0)


def test_sessions_end() -> None:
    assert "persistent_client_expiration 30d" in lines(BASE)
    assert "persistent_client_expiration 9d" in lines(replace(BASE, session_days=9))


def test_where_a_session_would_expire_twice_none_does() -> None:
    assert not [
        line
        for line in lines(replace(BASE, sessions_expire=False))
        if line.startswith("persistent_client_expiration")
    ]


def test_a_websocket_listener_names_the_pages_it_takes() -> None:
    listener = Listener(9001, websockets=True, origins=("https://a.example", "https://b.example"))
    written = lines(replace(BASE, listeners=(listener,)))
    assert [line for line in written if line.startswith("websockets_origin")] == [
        "websockets_origin https://a.example",
        "websockets_origin https://b.example",
    ]


def test_both_families_are_no_address_to_mosquitto() -> None:
    """With one it listens on IPv6 alone."""
    written = lines(replace(BASE, listeners=(Listener(9001, "::", websockets=True, tls=TLS),)))
    assert "listener 9001" in written
    assert not any(line.startswith("socket_domain") for line in written)
