"""A device with a key pair, and somebody who has one of its tokens or a key of their own."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.attacks.stand import Attacked
from tests.support.device_keys import KINDS, private_key, public_pem, signed
from tests.support.platform import Login
from tests.support.waiting import wait_until


class Holder:
    """A device and its key."""

    def __init__(self, attacked: Attacked, folder: Path, kind: str, login: Login) -> None:
        self.attacked, self.kind, self.login = attacked, kind, login
        self.key = private_key(kind, id(self))
        file = folder / f"{login.device}.pem"
        file.write_text(public_pem(self.key))
        self.cli = attacked.platform.cli
        made = self.cli("device", "key", "add", login.username, str(file), "--json").json()
        self.number, self.audience = made["key"], made["audience"]

    def token(self, key: Any = None, algorithm: str | None = None, **changed: Any) -> str:
        now = int(time.time())
        usual = {"sub": self.login.username, "aud": self.audience, "iat": now, "exp": now + 3600}
        return signed(
            self.key if key is None else key, algorithm or self.kind, **{**usual, **changed}
        )

    def ask(self, token: str, device: str = "", username: str = "") -> httpx.Response:
        port = self.attacked.platform.ports["http_port"]
        return httpx.post(
            f"http://127.0.0.1:{port}/api/v1/devices/{device or self.login.device}/token",
            auth=(username or self.login.username, token),
            timeout=60,
        )

    def connects(self, password: str) -> bool:
        client = self.attacked.login(replace(self.login, password=password))
        accepted = client.code == 0
        client.drop()
        return accepted


@pytest.fixture
def holder(attacked: Attacked, tmp_path: Path) -> Holder:
    return Holder(attacked, tmp_path, "ES256", attacked.victim())


@pytest.mark.attack("connects with a token's password")
@pytest.mark.parametrize("kind", KINDS)
def test_a_token_gives_a_password_that_replaces_the_former(
    attacked: Attacked, tmp_path: Path, kind: str
) -> None:
    """Not an attack: what all of them are compared with."""
    holder = Holder(attacked, tmp_path, kind, attacked.victim())
    answer = holder.ask(holder.token())
    assert answer.status_code in (200, 202), answer.text
    password = answer.json()["password"]
    wait_until(lambda: holder.connects(password), "the broker to accept the password")
    assert not holder.connects(holder.login.password)
    session = attacked.client(replace(holder.login, password=password))
    session.publish(holder.login.topics["telemetry"], '{"values":{"n":1}}')
    wait_until(lambda: attacked.platform.stored(holder.login) >= 1, "its reading")
    # Readings over HTTP, with a token as the password.
    port = attacked.platform.ports["http_port"]
    sent = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/devices/{holder.login.device}/telemetry",
        auth=(holder.login.username, holder.token()),
        json={"values": {"n": 2}},
        timeout=60,
    )
    assert sent.status_code == 200, sent.text
    holder.cli("device", "key", "remove", holder.login.username, holder.number)
    wait_until(lambda: not holder.connects(password), "the end of the password with its key")


@pytest.mark.attack("forges a device's token")
def test_forged_tokens(attacked: Attacked, holder: Holder) -> None:
    now, other = int(time.time()), private_key("ES256", 4711)
    stranger = attacked.attacker()
    for token in (
        holder.token(other),
        holder.token(aud="mooring:another"),
        holder.token(sub=stranger.username),
        holder.token(iat=now - 7200, exp=now - 3600),
        holder.token(iat=now + 3600, exp=now + 7200),
        holder.token(exp=now + 10 * 86_400),
        holder.token(public_pem(holder.key).replace("PUBLIC KEY", "SECRET"), "HS256"),
        holder.token("", "none"),
        holder.login.password,
    ):
        answer = holder.ask(token)
        assert answer.status_code in (401, 429), answer.text
    assert holder.connects(holder.login.password)  # nothing has changed
    attacked.lives(holder.login)


@pytest.mark.attack("uses a device's token for another device")
def test_a_token_is_of_one_device(attacked: Attacked, holder: Holder) -> None:
    other = attacked.victim()
    mine = holder.token()
    assert holder.ask(mine, other.device, other.username).status_code in (401, 403)
    assert holder.ask(mine, other.device).status_code in (401, 403)
    assert holder.ask(
        holder.token(sub=other.username), other.device, other.username
    ).status_code in (401, 403)
    attacked.lives(other)


@pytest.mark.attack("replays an older token")
def test_an_older_token_is_not_exchanged_again(holder: Holder) -> None:
    now = int(time.time())
    old = holder.token(iat=now - 30)
    first = holder.ask(old)
    assert first.status_code in (200, 202), first.text

    def renewed() -> bool:  # a device gets one password in five seconds
        return holder.ask(holder.token(iat=now)).status_code in (200, 202)

    wait_until(renewed, "the next password")
    wait_until(lambda: holder.ask(old).status_code == 401, "the rejection of the older token")
    assert json.loads(holder.ask(old).text)["code"] in (
        "device_token_refused",
        "device_token_throttled",
    )


@pytest.mark.attack("takes part although it is disabled")
def test_a_disabled_device_gets_nothing(holder: Holder) -> None:
    holder.cli("device", "disable", holder.login.username)
    assert holder.ask(holder.token()).status_code == 401
