"""Recovery against a real database: which secrets count, and for how long."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.credentials.rotation import store as rotations
from mooring.credentials.rotation.rules import Phase
from mooring.devices import password_store as passwords
from mooring.devices.model import Credentials, NewDevice
from mooring.errors import Gone, TooMany, Unauthorized
from mooring.identity.actor import SYSTEM
from mooring.secrets import verifiers
from mooring.store.engine import now_ms
from mooring.store.schema import former_verifiers
from mooring.web.basic import splits

HOUR = 3_600_000


@pytest.fixture
def lamp(platform: App) -> Credentials:
    return platform.devices.add(SYSTEM, NewDevice("lamp", "mooring", "t1"))[0]


def ask(platform: App, lamp: Credentials, secret: str, *, name: str = "lamp") -> str:
    found = platform.recovery.recover(name, splits(f"{lamp.device.username}:{secret}"))
    return found.credentials.password


def give_up(platform: App, lamp: Credentials, *, until: int = HOUR) -> str:
    """Another password takes its place; the old one counts ``until`` milliseconds more."""
    secret = verifiers.new_password()
    with platform.database.write() as connection:
        held = passwords.credential(connection, lamp.device.id)
        assert held is not None
        passwords.retire(connection, lamp.device, held.verifier, until=now_ms() + until)
        passwords.set_password(connection, lamp.device.id, verifiers.make(secret))
    return secret


def in_force(platform: App, lamp: Credentials, secret: str) -> bool:
    with platform.database.read() as connection:
        held = passwords.credential(connection, lamp.device.id)
    assert held is not None
    return verifiers.check(secret, held.verifier or "")


def test_the_present_password_stays(platform: App, lamp: Credentials) -> None:
    assert ask(platform, lamp, lamp.password) == lamp.password
    assert in_force(platform, lamp, lamp.password)


def test_a_former_one_gets_a_fresh_one_and_the_same_again(platform: App, lamp: Credentials) -> None:
    now = give_up(platform, lamp)
    fresh = ask(platform, lamp, lamp.password)
    assert fresh not in {lamp.password, now}
    assert in_force(platform, lamp, fresh)
    assert ask(platform, lamp, lamp.password) == fresh
    assert ask(platform, lamp, fresh) == fresh


def test_its_time_ends(platform: App, lamp: Credentials) -> None:
    give_up(platform, lamp)
    with platform.database.write() as connection:
        connection.execute(sa.update(former_verifiers).values(until=now_ms() - 1))
    with pytest.raises(Unauthorized):
        ask(platform, lamp, lamp.password)


@pytest.mark.parametrize("secret", ["", "wrong", "device:t1:lamp"])
def test_wrong_secrets(platform: App, lamp: Credentials, secret: str) -> None:
    with pytest.raises(Unauthorized):
        ask(platform, lamp, secret)


def test_an_unknown_device_gets_the_same_answer(platform: App, lamp: Credentials) -> None:
    with pytest.raises(Unauthorized) as wrong:
        ask(platform, lamp, "wrong")
    with pytest.raises(Unauthorized) as unknown:
        platform.recovery.recover("nobody", [("nobody", "wrong")])
    assert (wrong.value.slug, wrong.value.message) == (unknown.value.slug, unknown.value.message)


def test_only_for_itself(platform: App, lamp: Credentials) -> None:
    with pytest.raises(Unauthorized):
        ask(platform, lamp, lamp.password, name="other")


def test_disabled_and_removed_devices_are_told(platform: App, lamp: Credentials) -> None:
    username = lamp.device.username
    platform.devices.set_enabled(SYSTEM, username, enabled=False)
    with pytest.raises(Gone):
        ask(platform, lamp, lamp.password)
    with pytest.raises(Unauthorized):  # who does not know the secret learns nothing
        ask(platform, lamp, "wrong")
    platform.devices.remove(SYSTEM, username)
    with pytest.raises(Gone):
        ask(platform, lamp, lamp.password)


def test_a_new_device_of_the_same_name_has_another_password(
    platform: App, lamp: Credentials
) -> None:
    platform.devices.remove(SYSTEM, lamp.device.username)
    again, _ = platform.devices.add(SYSTEM, NewDevice("lamp", "mooring", "t1"))
    assert ask(platform, again, again.password) == again.password
    with pytest.raises(Gone):
        ask(platform, lamp, lamp.password)


def test_it_ends_a_rotation_under_way(platform: App, lamp: Credentials) -> None:
    rotation = platform.rotations.start(SYSTEM, lamp.device).rotation
    assert rotation.sealed_secret is not None
    new = platform.instance.unseal(rotation.sealed_secret)
    assert ask(platform, lamp, new) == new
    assert in_force(platform, lamp, new)
    with platform.database.read() as connection:
        found = rotations.newest(connection, lamp.device.id)
    assert found is not None
    assert found.phase is Phase.ROLLED_BACK
    assert found.sealed_secret is None
    assert found.new_verifier is None
    assert ask(platform, lamp, lamp.password)  # it is a former one now


def test_wrong_secrets_are_throttled(platform: App, lamp: Credentials) -> None:
    for _ in range(3):
        with pytest.raises(Unauthorized):
            ask(platform, lamp, "wrong")
    with pytest.raises(TooMany):
        ask(platform, lamp, lamp.password)
