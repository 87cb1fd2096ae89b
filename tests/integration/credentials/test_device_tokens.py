"""Tokens of devices against a real database: keys, the password for a token, and its end."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.credentials.tokens import service as tokens_service
from mooring.credentials.tokens.service import DevicePasswords, Exchanged, end_expired
from mooring.devices import password_store as passwords
from mooring.devices.keys.service import DeviceKeys
from mooring.devices.login import device_login
from mooring.devices.model import Credentials, NewDevice
from mooring.errors import Conflict, Forbidden, MooringError, NotFound, TooMany, Unauthorized
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.secrets import verifiers
from mooring.store.engine import now_ms
from mooring.store.schema import audit, broker_changes, credentials, former_verifiers
from tests.support.device_keys import private_key, public_pem, signed

HOUR_MS = 3_600_000


@pytest.fixture
def lamp(platform: App) -> Credentials:
    return platform.devices.add(SYSTEM, NewDevice("lamp", "mooring", "t1"))[0]


@pytest.fixture
def keys(platform: App) -> DeviceKeys:
    return platform.service(DeviceKeys)


def add_key(keys: DeviceKeys, kind: str = "ES256", number: int = 0) -> str:
    return keys.add(SYSTEM, "lamp", public_pem(private_key(kind, number)), label="bench")[1].id


def token(
    keys: DeviceKeys, lamp: Credentials, kind: str = "ES256", *, age: int = 0, hours: float = 1
) -> str:
    now = now_ms() // 1000 - age
    return signed(
        private_key(kind, 0),
        kind,
        sub=lamp.device.username,
        aud=keys.audience,
        iat=now,
        exp=int(now + hours * 3600),
    )


def ask(platform: App, lamp: Credentials, given: str, name: str = "lamp") -> Exchanged:
    logins = [(lamp.device.username, given)]
    return platform.service(DevicePasswords).exchange(name, logins)


def code_of(call: object) -> str:
    assert callable(call)
    with pytest.raises(MooringError) as caught:
        call()
    return caught.value.slug


def held(platform: App, lamp: Credentials) -> passwords.Credential:
    with platform.database.read() as connection:
        found = passwords.credential(connection, lamp.device.id)
    assert found is not None
    return found


@pytest.fixture
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_service, "AGAIN_SECONDS", 0)


def test_a_token_is_exchanged_for_a_password(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    key = add_key(keys)
    found = ask(platform, lamp, token(keys, lamp))
    now = held(platform, lamp)
    assert verifiers.check(found.credentials.password, now.verifier or "")
    assert now.expires_at == found.expires_at
    assert 0 < found.expires_at - now_ms() <= HOUR_MS
    with platform.database.read() as connection:
        [change] = connection.execute(
            sa.select(broker_changes.c.username).where(broker_changes.c.id.in_(found.changes))
        )
        assert change.username == lamp.device.username
        assert connection.execute(sa.select(sa.func.count(former_verifiers.c.id))).scalar() == 0
        said = connection.execute(sa.select(audit.c.reason).order_by(audit.c.id.desc())).scalar()
    assert said == f"key {key}"
    assert keys.listed(SYSTEM, "lamp")[1][0].issued_at is not None
    # Whoever has the former password, or only this one, gets nothing with it later.
    for secret in (lamp.password, ""):
        assert (
            code_of(
                lambda secret=secret: platform.recovery.recover(
                    "lamp", [(lamp.device.username, secret)]
                )
            )
            == "recovery_refused"
        )


def test_its_password_ends_by_itself(
    platform: App, lamp: Credentials, keys: DeviceKeys, at_any_time: None
) -> None:
    add_key(keys)
    found = ask(platform, lamp, token(keys, lamp))
    logins = [(lamp.device.username, found.credentials.password)]

    def logs_in() -> None:
        device_login(
            platform.database,
            logins,
            throttle=platform.throttles.devices,
            tally=platform.tally,
            audience=keys.audience,
        )

    logs_in()
    assert end_expired(platform.database, found.expires_at - 1) == 0
    with platform.database.write() as connection:
        connection.execute(sa.update(credentials).values(expires_at=now_ms() - 1))
    assert code_of(logs_in) == "device_login_refused"  # before anybody has withdrawn it
    assert end_expired(platform.database, now_ms()) == 1
    assert (held(platform, lamp).verifier, held(platform, lamp).expires_at) == (None, None)
    with platform.database.read() as connection:
        waits = connection.execute(sa.select(broker_changes.c.username)).scalars()
        assert lamp.device.username in list(waits)
    assert end_expired(platform.database, now_ms()) == 0
    assert ask(platform, lamp, token(keys, lamp)).expires_at > now_ms()


def test_a_password_lasts_no_longer_than_its_token(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    add_key(keys)
    found = ask(platform, lamp, token(keys, lamp, hours=0.25))
    assert found.expires_at <= now_ms() + HOUR_MS // 4
    assert code_of(lambda: ask(platform, lamp, token(keys, lamp))) == "device_token_throttled"


def test_an_older_token_is_not_exchanged_after_a_newer_one(
    platform: App, lamp: Credentials, keys: DeviceKeys, at_any_time: None
) -> None:
    add_key(keys)
    old, new = token(keys, lamp, age=60), token(keys, lamp)
    ask(platform, lamp, old)
    ask(platform, lamp, new)
    before = held(platform, lamp)
    with pytest.raises(Unauthorized):
        ask(platform, lamp, old)
    assert held(platform, lamp) == before
    ask(platform, lamp, new)  # its answer may have been lost


def test_tokens_of_nobody(platform: App, lamp: Credentials, keys: DeviceKeys) -> None:
    with pytest.raises(Unauthorized):
        ask(platform, lamp, token(keys, lamp))  # the key is not registered
    key = add_key(keys)
    with pytest.raises(Forbidden):
        ask(platform, lamp, token(keys, lamp), name="another")
    platform.devices.set_enabled(SYSTEM, "lamp", enabled=False)
    with pytest.raises(Unauthorized):
        ask(platform, lamp, token(keys, lamp))
    platform.devices.set_enabled(SYSTEM, "lamp", enabled=True)
    keys.remove(SYSTEM, "lamp", key)
    with pytest.raises(Unauthorized):
        ask(platform, lamp, token(keys, lamp))


def test_wrong_tokens_are_throttled(platform: App, lamp: Credentials, keys: DeviceKeys) -> None:
    add_key(keys)
    for _ in range(platform.settings.device_login_attempts_per_minute):
        with pytest.raises(Unauthorized):
            ask(platform, lamp, "eyJ.x.y")
    with pytest.raises(TooMany):
        ask(platform, lamp, "eyJ.x.y")


def test_a_token_is_a_password_over_http(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    add_key(keys)

    def logs_in(given: str) -> int:
        return device_login(
            platform.database,
            [(lamp.device.username, given)],
            throttle=platform.throttles.devices,
            tally=platform.tally,
            audience=keys.audience,
        ).id

    old, new = token(keys, lamp, age=60, hours=24), token(keys, lamp)
    assert logs_in(old) == logs_in(new) == lamp.device.id
    assert held(platform, lamp).expires_at is None
    # A recorded one is of no use after the next that was exchanged.
    ask(platform, lamp, new)
    assert code_of(lambda: logs_in(old)) == "device_login_refused"
    assert logs_in(new) == lamp.device.id


def test_the_password_ends_with_a_key(platform: App, lamp: Credentials, keys: DeviceKeys) -> None:
    key = add_key(keys)
    ask(platform, lamp, token(keys, lamp))
    _, changes = keys.remove(SYSTEM, "lamp", key)
    assert changes
    assert held(platform, lamp).verifier is None
    assert code_of(lambda: keys.remove(SYSTEM, "lamp", key)) == "device_key_not_found"


def test_a_lasting_password_stays_when_a_key_goes(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    _, changes = keys.remove(SYSTEM, "lamp", add_key(keys))
    assert changes == []
    assert verifiers.check(lamp.password, held(platform, lamp).verifier or "")


def test_it_is_not_rotated_and_another_password_lasts(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    """A rotation keeps the former password, which must not outlive its time that way."""
    add_key(keys)
    ask(platform, lamp, token(keys, lamp))
    with pytest.raises(Conflict) as caught:
        platform.rotations.start(SYSTEM, lamp.device)
    assert caught.value.slug == "device_uses_keys"
    fresh = platform.recovery.issue(SYSTEM, "lamp").credentials.password
    assert held(platform, lamp).expires_at is None
    assert verifiers.check(fresh, held(platform, lamp).verifier or "")
    with platform.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count(former_verifiers.c.id))).scalar() == 0


def test_keys_are_few_and_each_is_there_once(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    add_key(keys)
    assert code_of(lambda: add_key(keys)) == "device_key_exists"
    for number in range(1, platform.settings.device_keys_max_per_device):
        add_key(keys, "EdDSA", number)
    assert code_of(lambda: add_key(keys, "EdDSA", 100)) == "limit_reached"


def test_who_may_change_keys(platform: App, lamp: Credentials, keys: DeviceKeys) -> None:
    key = add_key(keys)
    pem = public_pem(private_key("EdDSA", 0))
    viewer, other = Actor("v", Role.VIEWER), Actor("o", Role.ADMIN, "t2")
    for call in (
        lambda who: keys.add(who, "lamp", pem),
        lambda who: keys.remove(who, "lamp", key),
    ):
        with pytest.raises(Forbidden):
            call(viewer)
        with pytest.raises(NotFound):
            call(other)
    with pytest.raises(NotFound):
        keys.listed(other, "lamp")
    assert len(keys.listed(viewer, "lamp")[1]) == 1


def test_a_removed_device_takes_its_keys_along(
    platform: App, lamp: Credentials, keys: DeviceKeys
) -> None:
    add_key(keys)
    platform.devices.remove(SYSTEM, "lamp")
    platform.devices.add(SYSTEM, NewDevice("lamp", "mooring", "t1"))
    assert keys.listed(SYSTEM, "lamp")[1] == []
