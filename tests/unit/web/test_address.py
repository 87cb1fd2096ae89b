"""Where devices are told that HTTP is: never http:// on another machine."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.settings import Settings, is_loopback
from mooring.settings.field import InvalidValue
from mooring.web.address import http_url, told_to_devices


def url(asked_at: str | None = None, **settings: Any) -> str | None:
    return http_url(Settings(**settings), asked_at=asked_at)


@pytest.mark.parametrize(
    ("host", "asked_at", "found"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:8080"),
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1:8080"),
        ("127.0.0.1", "localhost", "http://127.0.0.1:8080"),
        ("::1", "::1", "http://[::1]:8080"),
        ("[::1]", None, "http://[::1]:8080"),
        ("0.0.0.0", "127.0.0.1", "http://127.0.0.1:8080"),  # noqa: S104
        ("::", "::1", "http://[::1]:8080"),
        ("0.0.0.0", "192.168.1.10", None),  # noqa: S104
        ("127.0.0.1", "iot.example.org", None),  # a proxy passed it on
        ("192.168.1.10", "192.168.1.10", None),
        ("192.168.1.10", None, None),
    ],
)
def test_without_the_setting(host: str, asked_at: str | None, found: str | None) -> None:
    assert url(asked_at, http_host=host, public_hosts=("192.168.1.10",)) == found


def test_with_the_setting(tmp_path: Path) -> None:
    told = told_to_devices(Settings(data_dir=tmp_path, http_url="https://iot.example.org/"))
    assert told["http"] == {"url": "https://iot.example.org"}


@pytest.mark.parametrize("bad", ["http://192.168.1.10:8080", "http://iot.example", "ftp://x", "x"])
def test_a_setting_that_would_have_passwords_sent_in_the_clear(bad: str) -> None:
    with pytest.raises(InvalidValue):
        Settings(http_url=bad)


@given(
    st.one_of(st.none(), st.ip_addresses().map(str), st.sampled_from(["localhost", "a.example"])),
    st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "::1", "192.0.2.1", "fd00::2"]),  # noqa: S104
)
def test_no_answer_names_http_off_loopback(asked_at: str | None, host: str) -> None:
    found = url(asked_at, http_host=host)
    assert found is None or is_loopback(found[len("http://") : -len(":8080")].strip("[]"))


def test_ipv6_has_brackets_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, public_hosts=("[fd00::2]",), http_host="[::1]")
    assert settings.public_hosts == ("fd00::2",)
    assert ip_address(told_to_devices(settings)["broker"]["host"])
