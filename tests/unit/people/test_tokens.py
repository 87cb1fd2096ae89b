"""Login tokens, API keys and password hashes."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from mooring.errors import Invalid, Unauthorized
from mooring.people import passwords, tokens
from mooring.people.tokens import Claims

KEY = "k" * 64
AT = 1_771_000_000_000
HOUR = 3_600_000


def issue(**changes: int) -> str:
    times = {"at_ms": AT, "expires_ms": AT + HOUR, **changes}
    return tokens.issue(KEY, Claims(7, "mark", "session"), **times)


def test_a_token_says_who_until_it_expires() -> None:
    token = issue()
    assert tokens.read(KEY, token, at_ms=AT + HOUR - 1) == Claims(7, "mark", "session")
    with pytest.raises(Unauthorized) as caught:
        tokens.read(KEY, token, at_ms=AT + HOUR)
    assert caught.value.slug == "token_expired"


def forged() -> list[str]:
    head, body, signature = issue().split(".")
    content = json.loads(base64.urlsafe_b64decode(body + "=="))
    content["sub"] = "1"
    other_body = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return [
        "",
        "x",
        "a.b.c",
        f"{head}.{other_body}.{signature}",
        f"{none}.{other_body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        tokens.issue("j" * 64, Claims(7, "mark", "session"), at_ms=AT, expires_ms=AT + HOUR),
        jwt.encode({"sub": "7", "iss": "mooring"}, KEY, algorithm="HS256"),  # no end
        jwt.encode({"sub": "7", "iss": "x", "exp": AT}, KEY, algorithm="HS256"),
        jwt.encode({"sub": "x", "iss": "mooring", "exp": AT}, KEY, algorithm="HS256"),
        jwt.encode({"sub": "7", "iss": "mooring", "exp": AT}, KEY, algorithm="HS512"),
    ]


@pytest.mark.parametrize("token", forged())
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        tokens.read(KEY, token, at_ms=AT)
    assert caught.value.slug == "token_invalid"


def test_the_mark_changes_with_password_and_installation() -> None:
    marks = {
        tokens.mark_of(KEY, "hash"),
        tokens.mark_of(KEY, "hash2"),
        tokens.mark_of(KEY + "x", "hash"),
    }
    assert len(marks) == 3
    assert not any("hash" in mark for mark in marks)


def test_an_api_key_has_256_random_bits_behind_its_prefix() -> None:
    prefix, secret = tokens.new_key()
    assert tokens.split_key(secret) == prefix
    random = secret.removeprefix(f"mk_{prefix}_")
    assert len(base64.urlsafe_b64decode(random + "=")) == 32
    assert prefix not in tokens.digest(secret)
    assert len(tokens.digest(secret)) == 64
    assert tokens.new_key()[1] != secret


@pytest.mark.parametrize("text", ["", "mk_", "mk_0a1b2c3d_", "mk_ZZZZZZZZ_" + "a" * 43, "x" * 60])
def test_what_is_not_written_like_a_key(text: str) -> None:
    assert tokens.split_key(text) is None


def test_passwords_are_hashed_with_argon2id() -> None:
    """RFC 9106: at least 64 MiB and three passes."""
    stored = passwords.hash_new("correct horse battery")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.matches("correct horse battery", stored)
    assert not passwords.matches("correct horse batterz", stored)
    assert not passwords.matches("correct horse battery", None)
    assert not passwords.matches("correct horse battery", "not a hash")


def test_the_same_work_is_done_for_nobody() -> None:
    """Whoever is unknown is checked against a hash with the same parameters."""
    parameters = passwords._nobody().split("$")[1:4]
    assert parameters == passwords.hash_new("x" * 12).split("$")[1:4]


@pytest.mark.parametrize(
    ("password", "good"),
    [("x" * 11, False), ("x" * 12, True), ("x" * 1024, True), ("x" * 1025, False)],
)
def test_rules_for_new_passwords(password: str, good: bool) -> None:
    if good:
        passwords.check_new(password)
    else:
        with pytest.raises(Invalid, match="characters"):
            passwords.check_new(password)


def test_generated_passwords_are_allowed_and_differ() -> None:
    made = {passwords.generate() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        passwords.check_new(password)
