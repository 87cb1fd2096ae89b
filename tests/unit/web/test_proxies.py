"""The address of a request: its connection's, or what a trusted proxy says."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.web.proxies import Proxies


def client(peer: str, *forwarded: str, trusted: tuple[str, ...] = ()) -> str:
    headers = [(b"x-forwarded-for", word.encode("latin-1")) for word in forwarded]
    return Proxies(trusted).client_of(peer, headers)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "192.0.2.1", "10.0.0.1"])
def test_nobody_is_believed_without_the_setting(peer: str) -> None:
    assert client(peer, "203.0.113.9") == peer


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (("203.0.113.9",), "203.0.113.9"),
        (("1.1.1.1, 203.0.113.9",), "203.0.113.9"),  # the client's own claim comes first
        (("1.1.1.1", "203.0.113.9"), "203.0.113.9"),
        (("203.0.113.9, 10.0.0.7",), "203.0.113.9"),  # one proxy behind another
        (("203.0.113.9, 10.0.0.7, 10.0.0.8",), "203.0.113.9"),
        (("203.0.113.9:4711",), "203.0.113.9"),
        (("[2001:db8::9]:4711",), "2001:db8::9"),
        (("2001:db8::9",), "2001:db8::9"),
        (("::ffff:203.0.113.9",), "203.0.113.9"),
        (("fe80::1%eth0",), "fe80::1"),
        (("x" * 5000,), "10.0.0.1"),
        (("203.0.113.9, unknown",), "10.0.0.1"),
        (("203.0.113.9, , 10.0.0.7",), "10.0.0.7"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
    ],
)
def test_a_trusted_proxy(said: tuple[str, ...], found: str) -> None:
    assert client("10.0.0.1", *said, trusted=("10.0.0.0/8",)) == found


def test_a_connection_over_both_families() -> None:
    assert client("::ffff:10.0.0.1", "203.0.113.9", trusted=("10.0.0.1",)) == "203.0.113.9"


@given(st.text(st.characters(max_codepoint=255), max_size=600))
def test_whatever_is_sent_the_address_is_one(said: str) -> None:
    found = client("127.0.0.1", said, trusted=("127.0.0.1",))
    assert len(found) <= 45


def test_a_proxy_that_is_not_trusted_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    proxies = Proxies()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            proxies.client_of("127.0.0.1", [(b"x-forwarded-for", b"192.0.2.1")])
    assert caplog.text.count("trusted_proxies") == 1
