"""The ``$7$`` string, against mosquitto_passwd itself and against anything malformed."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.secrets import verifiers

PASSWORDS = st.text(
    st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(PASSWORDS, PASSWORDS)
def test_a_verifier_accepts_its_password_and_no_other(password: str, other: str) -> None:
    verifier = verifiers.make(password)
    assert verifiers.check(password, verifier)
    assert verifiers.check(other, verifier) == (other == password)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.binary(min_size=12, max_size=12))
def test_parts_survive_text_and_dynamic_security(iterations: int, salt: bytes) -> None:
    verifier = verifiers.make("secret", iterations=iterations, salt=salt)
    parts = verifiers.parse(verifier)
    assert (parts.iterations, parts.salt) == (iterations, salt)
    assert str(parts) == verifier
    assert verifiers.from_dynsec(verifiers.to_dynsec(verifier)) == verifier


@given(st.integers(1, 300), st.binary(min_size=1, max_size=64), st.binary(min_size=64, max_size=64))
def test_salts_of_later_versions_are_read(iterations: int, salt: bytes, digest: bytes) -> None:
    parts = verifiers.Verifier(iterations, salt, digest)
    assert verifiers.parse(str(parts)) == parts


@pytest.mark.parametrize("salt", [b"", b"s" * 11, b"s" * 13])
def test_a_salt_that_mosquitto_refuses_is_not_made(salt: bytes) -> None:
    with pytest.raises(Invalid):
        verifiers.make("secret", salt=salt)


def test_the_salt_is_fresh_each_time() -> None:
    assert verifiers.make("secret") != verifiers.make("secret")
    assert len(verifiers.parse(verifiers.make("secret")).salt) == 12


def test_mosquitto_passwd_agrees(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.write_text("dev:plain secret\n")
    subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True)
    theirs = file.read_text().strip().removeprefix("dev:")
    parts = verifiers.parse(theirs)
    assert verifiers.check("plain secret", theirs)
    assert verifiers.make("plain secret", iterations=parts.iterations, salt=parts.salt) == theirs


GOOD_SALT = base64.b64encode(b"s" * 12).decode()
GOOD_HASH = base64.b64encode(b"h" * 64).decode()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "secret",
        "$7$",
        "$7$101$salt",
        f"$6${GOOD_SALT}${GOOD_HASH}",
        f"$7$0${GOOD_SALT}${GOOD_HASH}",
        f"$7$-1${GOOD_SALT}${GOOD_HASH}",
        f"$7$1_0${GOOD_SALT}${GOOD_HASH}",
        f"$7$٣${GOOD_SALT}${GOOD_HASH}",
        f"$7$999999999${GOOD_SALT}${GOOD_HASH}",
        f"$7${'9' * 5000}${GOOD_SALT}${GOOD_HASH}",
        f"$7$101$${GOOD_HASH}",
        f"$7$101${GOOD_SALT}$",
        f"$7$101$***${GOOD_HASH}",
        f"$7$101${GOOD_SALT}${GOOD_HASH[:-4]}",
        f"$7$101${GOOD_SALT}${GOOD_HASH}\n",
        f"$7$101${GOOD_SALT}${GOOD_HASH}$more",
        f"x$7$101${GOOD_SALT}${GOOD_HASH}",
    ],
)
def test_a_malformed_verifier_is_refused(line: str) -> None:
    with pytest.raises(Invalid) as caught:
        verifiers.parse(line)
    assert GOOD_HASH not in caught.value.message


@given(st.text(max_size=80))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parts = verifiers.parse(text)
    except Invalid:
        return
    assert verifiers.parse(str(parts)) == parts


@pytest.mark.parametrize(
    "client",
    [
        {"password": GOOD_HASH},
        {"salt": GOOD_SALT},
        {"password": GOOD_HASH, "salt": GOOD_SALT},
        {"password": GOOD_HASH, "salt": GOOD_SALT, "iterations": "101"},
        {"password": GOOD_HASH, "salt": GOOD_SALT, "iterations": True},
        {"password": GOOD_HASH, "salt": 7, "iterations": 101},
        {"password": "short", "salt": GOOD_SALT, "iterations": 101},
    ],
)
def test_half_a_dynamic_security_password_is_refused(client: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        verifiers.from_dynsec(client)


def test_a_client_without_password_has_no_verifier() -> None:
    assert verifiers.from_dynsec({"username": "cert-only"}) is None


@pytest.mark.parametrize("password", ["", "with\0nul"])
def test_passwords_a_broker_cannot_check_are_refused(password: str) -> None:
    with pytest.raises(Invalid):
        verifiers.make(password)


def test_new_passwords_are_long_and_paste_well() -> None:
    made = {verifiers.new_password() for _ in range(2000)}
    assert len(made) == 2000
    for password in made:
        assert len(password) == 24
        assert password[0].isalnum()
        assert password[-1].isalnum()
        assert set(password) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
        )


def test_a_verifier_does_not_print_its_hash() -> None:
    parts = verifiers.parse(verifiers.make("secret"))
    assert base64.b64encode(parts.hash).decode() not in repr(parts)
