"""Settings on their way to a child, and secrets in what is shown: whatever they hold."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring import handover
from mooring.masking import MASK, masked, without_login
from mooring.run.up import _told
from mooring.settings import Settings, load
from mooring.settings.shown import shown_value

ANYTHING = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SECRET = st.text(
    st.one_of(st.sampled_from(" :/?#[]@!$&'()*+,;=%\"\\\n\t"), st.characters(min_codepoint=33)),
    min_size=4,
    max_size=20,
).map(lambda text: f"S3cr{text}3t")


@given(ANYTHING, ANYTHING, st.lists(st.sampled_from(["a.example", "10.0.0.1", "fd00::1"])))
def test_a_child_has_the_same_settings(url: str, command: str, hosts: list[str]) -> None:
    sent = Settings(
        data_dir=Path("/data dir/ü,\n"),
        database_url=url,
        reload_command=command,
        public_hosts=tuple(hosts),
        broker_password="",
    )
    received = json.loads(handover.document(sent))
    assert Settings(**received) == sent


def test_they_come_through_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Settings(http_port=8080, database_url="postgresql://u:pa ss@h/d")
    monkeypatch.setenv(handover.SUPERVISED, "1")
    monkeypatch.setenv("MOORING_HTTP_PORT", "9999")
    document = io.BytesIO(handover.document(sent))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=document))
    handover.received.cache_clear()
    try:
        settings, origins = load()
        assert settings == sent
        assert origins["http_port"].where == "mooring up"
        assert load({"log_level": "debug"})[0].log_level == "debug"
    finally:
        handover.received.cache_clear()


def test_a_value_that_is_the_default_is_announced_too() -> None:
    """A flag may have set it against the file; other commands must not read the file's."""
    assert _told(Settings(http_port=8080))["http_port"] == 8080


@given(SECRET)
def test_no_secret_is_shown(secret: str) -> None:
    for url in (
        f"postgresql://user:{secret}@host/name",
        f"postgresql://us/er@x:{secret}@host:5432/name?sslmode=require",
        f"postgresql://host/name?user=x&password={secret.replace('&', '')}",
        f"postgresql://host/name?PassWord={secret.replace('&', '')}&sslmode=require",
    ):
        parts = [part for part in secret.replace("&", "").split("@") if len(part) > 3]
        assert not any(part in masked(url) for part in parts), masked(url)
        assert not any(part in without_login(url) for part in parts)
        settings = Settings(
            database_url=url, broker_password=secret, broker_url=url.replace("postgresql", "mqtt")
        )
        shown = [shown_value(value) for _, value in settings]
        told = json.dumps(_told(settings), ensure_ascii=False)
        text = json.dumps(shown, ensure_ascii=False) + repr(settings.database_url) + told
        assert not any(json.dumps(part)[1:-1] in text for part in parts), text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://ada:x@host/name", f"postgresql://ada:{MASK}@host/name"),
        ("postgresql://ada@host/name", "postgresql://ada@host/name"),
        ("sqlite:///some/path.db", "sqlite:///some/path.db"),
        ("mqtts://broker.example.com:8883", "mqtts://broker.example.com:8883"),
        ("no address: ada@example.com", "no address: ada@example.com"),
    ],
)
def test_what_is_no_secret_is_shown(text: str, expected: str) -> None:
    assert masked(text) == expected
