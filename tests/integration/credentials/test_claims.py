"""Claims against a real database: one transaction, single use, again until used, throttled."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.credentials.claims.model import Claimed, NewClaim
from mooring.devices import password_store as passwords
from mooring.devices.model import NewDevice
from mooring.errors import Conflict, Forbidden, Gone, Invalid, MooringError, NotFound, TooMany
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.secrets import verifiers
from mooring.store.engine import now_ms
from mooring.store.schema import audit, broker_changes, claim_codes, devices

MAC = "AA:BB:CC:DD:EE:01"


def code(platform: App, **wanted: object) -> str:
    new = NewClaim(**{"dialect": "mousetrap", "tenant": "t1", "label": "Kitchen"} | wanted)  # type: ignore[arg-type]
    return platform.claims.new(SYSTEM, new).code


def count(platform: App, table: sa.Table) -> int:
    with platform.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def use(platform: App, claimed: Claimed) -> None:
    """As the worker does when it has seen the login."""
    device = claimed.credentials.device.id
    with platform.database.write() as connection:
        connection.execute(sa.delete(broker_changes))
        passwords.assign_mark(connection, "m")
        passwords.mark_found(connection, "m", 1)
        passwords.prove(connection, [device], now_ms())


def test_one_answer_has_everything_the_device_needs(platform: App) -> None:
    claimed = platform.claims.claim(code(platform), MAC)
    device = claimed.credentials.device
    assert (device.name, device.tenant, device.label) == ("aabbccddee01", "t1", "Kitchen")
    assert device.mac == device.username == MAC
    assert claimed.credentials.topics["status"] == "tenant/t1/device/aabbccddee01/status"
    with platform.database.read() as connection:
        held = passwords.credential(connection, device.id)
    assert held is not None
    assert verifiers.check(claimed.credentials.password, held.verifier or "")


def test_the_code_is_stored_hashed(platform: App) -> None:
    made = code(platform)
    with platform.database.read() as connection:
        row = connection.execute(sa.select(claim_codes)).one()
    assert made.replace("-", "") not in str(tuple(row))


def test_again_with_the_same_device_until_it_has_connected(platform: App) -> None:
    made = code(platform)
    first = platform.claims.claim(made, MAC)
    again = platform.claims.claim(made.lower().replace("-", ""), "aabb.ccdd.ee01")
    assert again.again
    assert again.credentials.password == first.credentials.password
    use(platform, first)
    with pytest.raises(Conflict) as refusal:
        platform.claims.claim(made, MAC)
    assert refusal.value.slug == "claim_used"
    with platform.database.read() as connection:
        held = passwords.credential(connection, first.credentials.device.id)
    assert held is not None
    assert held.sealed_secret is None


def test_another_device_is_refused(platform: App) -> None:
    made = code(platform)
    platform.claims.claim(made, MAC)
    with pytest.raises(Forbidden):
        platform.claims.claim(made, "AA:BB:CC:DD:EE:02")
    assert count(platform, devices) == 1


def test_two_at_the_same_moment(platform: App) -> None:
    made = code(platform)

    def claim(number: int) -> str:
        try:
            found = platform.claims.claim(made, f"AA:BB:CC:DD:EE:{number:02x}")
        except MooringError as exc:
            return exc.slug
        return found.credentials.device.name

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(claim, range(4)))
    assert sorted(said)[1:] == ["claim_taken"] * 3 or said.count("claim_taken") == 3
    assert count(platform, devices) == 1


def test_revoked_and_expired(platform: App) -> None:
    revoked, expired = code(platform), code(platform)
    found = platform.claims.page(SYSTEM)
    platform.claims.revoke(SYSTEM, found[1].id, reason="lost")
    with platform.database.write() as connection:
        connection.execute(
            sa.update(claim_codes).where(claim_codes.c.id == found[0].id).values(expires_at=1)
        )
    for made, slug in ((revoked, "claim_revoked"), (expired, "claim_expired")):
        with pytest.raises(Gone) as refusal:
            platform.claims.claim(made, MAC)
        assert refusal.value.slug == slug
    assert [claim.state(now_ms()) for claim in platform.claims.page(SYSTEM)] == [
        "expired",
        "revoked",
    ]


def test_whatever_is_no_code_gets_the_same_answer(platform: App) -> None:
    answers = set()
    for wrong in ("ABCD-2345", "x", ""):
        with pytest.raises(NotFound) as refusal:
            platform.claims.claim(wrong, MAC)
        answers.add((refusal.value.slug, refusal.value.message, refusal.value.hint))
    assert len(answers) == 1


def test_guessing_is_throttled_for_each_address(platform: App) -> None:
    made = code(platform)
    for _ in range(3):
        with pytest.raises(NotFound):
            platform.claims.claim("ABCDEFGH", MAC, origin="192.0.2.1")
    with pytest.raises(TooMany) as refusal:
        platform.claims.claim(made, MAC, origin="192.0.2.1")
    assert 0 < refusal.value.context["retry_after"] <= 60
    assert platform.claims.claim(made, MAC, origin="192.0.2.2").credentials.password


def test_hostile_addresses_together_do_not_block_an_honest_one(platform: App) -> None:
    made = code(platform)
    refused: list[str] = []
    for number in range(40):
        try:
            platform.claims.claim("ABCDEFGH", MAC, origin=f"192.0.2.{number % 20}")
        except MooringError as exc:
            refused.append(exc.slug)
    assert refused.count("claim_refused") == 20  # the limit is 5; one more for each address
    assert refused.count("claim_throttled") == 20
    assert platform.claims.claim(made, MAC, origin="203.0.113.1").credentials.password
    platform.tally.flush(platform.database)
    counted = platform.telemetry.counters()
    assert (counted["claims_refused"], counted["claims_throttled"]) == (20, 20)


def test_a_refusal_writes_nothing(platform: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write waits for, and holds up, ingest and everybody else."""
    used, revoked = code(platform), code(platform)
    platform.claims.claim(used, MAC)
    platform.claims.revoke(SYSTEM, platform.claims.page(SYSTEM)[0].id)

    def forbidden(_: object) -> None:
        raise AssertionError("a write transaction")

    monkeypatch.setattr(type(platform.database), "write", forbidden)
    for number, text in enumerate((revoked, used, "ABCDEFGH", "?", "ABCDEFGH", "ABCDEFGH")):
        with pytest.raises((NotFound, Forbidden, Gone, TooMany)):
            platform.claims.claim(text, "other", origin=f"192.0.2.{number // 4}")


def test_right_codes_are_not_counted(platform: App) -> None:
    for number in range(6):
        platform.claims.claim(code(platform), f"AA:BB:CC:DD:EE:{number:02x}", origin="192.0.2.1")


def test_a_failed_claim_leaves_nothing_behind(platform: App) -> None:
    platform.devices.add(SYSTEM, NewDevice("aabbccddee01", "mousetrap", "t1", mac=MAC))
    made = code(platform)
    before = [count(platform, table) for table in (devices, broker_changes, audit)]
    with pytest.raises(Conflict):
        platform.claims.claim(made, MAC)
    assert [count(platform, table) for table in (devices, broker_changes, audit)] == before
    assert platform.claims.page(SYSTEM)[0].state(now_ms()) == "open"


def test_a_code_that_names_a_device_gives_it_a_new_password(platform: App) -> None:
    new = NewDevice("trap", "mousetrap", "t1", mac=MAC)
    had, _ = platform.devices.add(SYSTEM, new)
    claimed = platform.claims.claim(code(platform, name="trap"), MAC)
    assert claimed.credentials.device.id == had.device.id
    assert claimed.credentials.password != had.password
    with pytest.raises(Conflict):
        platform.claims.claim(code(platform, name="trap"), "AA:BB:CC:DD:EE:99")


def test_a_removed_device_is_gone(platform: App) -> None:
    made = code(platform)
    claimed = platform.claims.claim(made, MAC)
    platform.devices.remove(SYSTEM, claimed.credentials.device.username)
    with pytest.raises(Gone):
        platform.claims.claim(made, MAC)


@pytest.mark.parametrize("hardware", ["", "SN-1", "x" * 200])
def test_bad_hardware_ids(platform: App, hardware: str) -> None:
    """The dialect logs in with the MAC address, so a serial number does not do."""
    with pytest.raises(Invalid):
        platform.claims.claim(code(platform), hardware)
    assert count(platform, devices) == 0


def test_codes_stay_inside_their_tenant(platform: App) -> None:
    code(platform)
    number = platform.claims.page(SYSTEM)[0].id
    stranger = Actor("b", Role.ADMIN, "t2")
    assert platform.claims.page(stranger) == []
    with pytest.raises(NotFound):
        platform.claims.revoke(stranger, number)
    with pytest.raises(NotFound):
        platform.claims.new(stranger, NewClaim("mousetrap", "t1"))


def test_every_act_is_in_the_audit(platform: App) -> None:
    made = code(platform)
    platform.claims.claim(made, MAC, origin="192.0.2.7")
    with platform.database.read() as connection:
        rows = connection.execute(
            sa.select(audit.c.action, audit.c.actor, audit.c.origin).order_by(audit.c.id)
        ).all()
    assert tuple(rows[-1]) == ("claim", f"device:{MAC}", "192.0.2.7")
    assert rows[-2].action == "claim.new"
