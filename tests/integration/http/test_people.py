"""Logins, people, API keys: the service on a real database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from mooring.app import App
from mooring.errors import (
    Conflict,
    Forbidden,
    Invalid,
    MooringError,
    NotFound,
    TooMany,
    Unauthorized,
)
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.people import store
from mooring.people.model import NewKey, NewUser
from mooring.people.service import People
from mooring.store.engine import now_ms
from mooring.store.schema import api_keys, audit, sessions, users

PASSWORD = "a long enough one"
TENANT_ADMIN = Actor("a-root", Role.ADMIN, "a")


@pytest.fixture
def people(platform: App) -> People:
    return platform.people


def add(people: People, name: str = "ada", role: Role = Role.VIEWER, **more: Any) -> None:
    people.add(SYSTEM, NewUser(name, role, password=PASSWORD, **more))


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(MooringError) as caught:
        call()
    return caught.value.slug


def actions(platform: App) -> list[str]:
    with platform.database.read() as connection:
        return list(connection.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars())


# ------------------------------------------------------------------ the first administrator


def test_the_first_admin_is_made_once(people: People) -> None:
    password = people.ensure_admin()
    assert password is not None
    assert people.ensure_admin() is None
    session = people.login("admin", password)
    assert (session.actor.name, session.actor.role, session.actor.tenant) == (
        "admin",
        Role.ADMIN,
        None,
    )


def test_the_first_admin_does_not_come_back_after_it_was_replaced(people: People) -> None:
    people.ensure_admin()
    add(people, "root", Role.ADMIN)
    people.remove(SYSTEM, "admin")
    assert people.ensure_admin() is None


# ------------------------------------------------------------------ logins


def test_a_login_gives_a_token_that_says_who(people: People) -> None:
    add(people, role=Role.OPERATOR)
    session = people.login("ada", PASSWORD, address="10.0.0.1")
    assert people.authenticate(session.token, origin="10.0.0.1") == Actor(
        "ada", Role.OPERATOR, None, "10.0.0.1"
    )
    assert session.expires_at > now_ms()


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "wrong"), ("eve", PASSWORD), ("", ""), ("ada", ""), ("ada", "x" * 5000)],
)
def test_a_wrong_login_does_not_tell_what_was_wrong(
    people: People, name: str, password: str
) -> None:
    add(people)
    with pytest.raises(Unauthorized) as caught:
        people.login(name, password)
    assert caught.value.slug == "login_failed"
    assert caught.value.message == "The name or password is wrong."


def test_logins_are_throttled_by_address_even_with_the_right_password(
    platform: App, people: People
) -> None:
    add(people)
    for _ in range(platform.settings.login_attempts_per_minute):
        assert code_of(lambda: people.login("ada", "wrong", address="10.0.0.1")) == "login_failed"
    with pytest.raises(TooMany) as caught:
        people.login("ada", PASSWORD, address="10.0.0.1")
    assert 0 < caught.value.context["retry_after"] <= 60
    assert people.login("ada", PASSWORD, address="10.0.0.2").token


def test_a_successful_login_of_ones_own_buys_no_guesses(platform: App, people: People) -> None:
    add(people, "eve")
    add(people, "root", Role.ADMIN)
    guessed = 0
    for _ in range(3 * platform.settings.login_attempts_per_minute):
        people.login("eve", PASSWORD, address="10.0.0.1")
        guessed += code_of(lambda: people.login("root", "wrong", address="10.0.0.1")) == (
            "login_failed"
        )
    assert guessed == platform.settings.login_attempts_per_minute


def test_a_logout_ends_one_login_or_all(people: People) -> None:
    add(people)
    first, second, third = (people.login("ada", PASSWORD) for _ in range(3))
    people.logout(first.actor, first.token)
    assert code_of(lambda: people.authenticate(first.token)) == "token_void"
    assert people.authenticate(second.token) == second.actor
    people.logout(second.actor, second.token, everywhere=True)
    for session in (second, third):
        assert code_of(lambda s=session: people.authenticate(s.token)) == "token_void"
    assert people.login("ada", PASSWORD).token


def test_disabling_and_enabling_revives_no_login(people: People) -> None:
    add(people)
    session = people.login("ada", PASSWORD)
    people.set_disabled(SYSTEM, "ada", disabled=True)
    people.set_disabled(SYSTEM, "ada", disabled=False)
    assert code_of(lambda: people.authenticate(session.token)) == "token_void"


def test_an_administrator_ends_the_logins_of_somebody(people: People) -> None:
    add(people)
    add(people, "bob")
    ada, bob = people.login("ada", PASSWORD), people.login("bob", PASSWORD)
    people.end_sessions(SYSTEM, "ada")
    assert code_of(lambda: people.authenticate(ada.token)) == "token_void"
    assert people.authenticate(bob.token).name == "bob"


def test_an_api_key_has_no_login_to_end(people: People) -> None:
    secret = people.add_key(SYSTEM, NewKey("ci")).secret
    assert code_of(lambda: people.logout(people.authenticate(secret), secret)) == "not_a_person"


def test_logins_are_bounded_and_expired_ones_go(
    people: People, platform: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SESSIONS_MAX", 3)
    add(people)
    add(people, "bob")
    with platform.database.write() as connection:
        number = connection.execute(sa.select(users.c.id).where(users.c.name == "bob")).scalar_one()
        store.insert_session(connection, number, "old", expires_at=1, origin="")
    made = [people.login("ada", PASSWORD) for _ in range(5)]
    with platform.database.read() as connection:
        kept = connection.execute(sa.select(sessions.c.token_id)).scalars().all()
    assert len(kept) == 3
    assert "old" not in kept
    assert people.authenticate(made[-1].token)
    assert code_of(lambda: people.authenticate(made[0].token)) == "token_void"


def test_a_new_password_voids_every_token(people: People) -> None:
    add(people)
    session = people.login("ada", PASSWORD)
    generated = people.set_password(SYSTEM, "ada")
    assert generated is not None
    assert code_of(lambda: people.authenticate(session.token)) == "token_void"
    assert code_of(lambda: people.login("ada", PASSWORD)) == "login_failed"
    assert people.login("ada", generated).token


def test_people_change_their_own_password_with_the_old_one(people: People) -> None:
    add(people)
    actor = people.login("ada", PASSWORD).actor
    wrong = lambda: people.change_own_password(actor, "wrong", "another good one")  # noqa: E731
    assert code_of(wrong) == "login_failed"
    people.change_own_password(actor, PASSWORD, "another good one")
    assert people.login("ada", "another good one").token
    assert code_of(lambda: people.login("ada", PASSWORD)) == "login_failed"


@pytest.mark.parametrize("how", ["disable", "remove"])
def test_a_token_ends_with_its_user(people: People, how: str) -> None:
    add(people)
    session = people.login("ada", PASSWORD)
    if how == "disable":
        people.set_disabled(SYSTEM, "ada", disabled=True)
    else:
        people.remove(SYSTEM, "ada")
    assert code_of(lambda: people.authenticate(session.token)) == "token_void"
    assert code_of(lambda: people.login("ada", PASSWORD)) == "login_failed"


def test_a_user_of_the_same_name_does_not_inherit_a_token(people: People) -> None:
    add(people)
    session = people.login("ada", PASSWORD)
    people.remove(SYSTEM, "ada")
    add(people, role=Role.ADMIN)
    assert code_of(lambda: people.authenticate(session.token)) == "token_void"


def test_an_enabled_user_gets_in_again(people: People) -> None:
    add(people)
    people.set_disabled(SYSTEM, "ada", disabled=True)
    assert people.set_disabled(SYSTEM, "ada", disabled=False).disabled is False
    assert people.login("ada", PASSWORD).token


# ------------------------------------------------------------------ people


def test_no_password_is_stored(platform: App, people: People) -> None:
    add(people)
    with platform.database.read() as connection:
        (stored,) = connection.execute(sa.select(users.c.password_hash)).scalars()
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


def test_a_generated_password_is_given_back_once(people: People) -> None:
    _, generated = people.add(SYSTEM, NewUser("ada"))
    assert generated is not None
    assert people.login("ada", generated).token
    _, generated = people.add(SYSTEM, NewUser("bob", password=PASSWORD))
    assert generated is None


@pytest.mark.parametrize(
    "name", ["", " ada", "a/b", "a:b", "key:ci", "-a", "a\nb", "ä", "a" * 129, "a\0"]
)
def test_names_that_cannot_be_used(people: People, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        add(people, name)
    assert caught.value.slug == "invalid_name"


def test_what_cannot_be_added(people: People) -> None:
    add(people)
    with pytest.raises(Conflict, match="ada"):
        add(people)
    with pytest.raises(NotFound, match="no tenant nowhere"):
        add(people, "bob", tenant="nowhere")
    with pytest.raises(Invalid, match="characters"):
        people.add(SYSTEM, NewUser("bob", password="short"))


def test_the_last_administrator_stays(people: People) -> None:
    people.add_tenant(SYSTEM, "a")
    add(people, "root", Role.ADMIN)
    add(people, "a-root", Role.ADMIN, tenant="a")  # does not see the whole installation
    add(people, "gone", Role.ADMIN)
    people.set_disabled(SYSTEM, "gone", disabled=True)
    assert code_of(lambda: people.remove(SYSTEM, "root")) == "last_admin"
    disable = lambda: people.set_disabled(SYSTEM, "root", disabled=True)  # noqa: E731
    assert code_of(disable) == "last_admin"
    people.set_disabled(SYSTEM, "gone", disabled=False)
    people.remove(SYSTEM, "root")


def test_users_are_listed_by_name(people: People) -> None:
    for name in ("cy", "ada", "bob"):
        add(people, name)
    assert [user.name for user in people.users(SYSTEM, limit=2)] == ["ada", "bob"]
    assert [user.name for user in people.users(SYSTEM, after="bob")] == ["cy"]


def test_an_admin_of_a_tenant_sees_and_makes_only_its_own(people: People) -> None:
    for tenant in ("a", "b"):
        people.add_tenant(SYSTEM, tenant)
        add(people, f"{tenant}-user", tenant=tenant)
    add(people, "root", Role.ADMIN)
    assert [user.name for user in people.users(TENANT_ADMIN)] == ["a-user"]
    assert people.tenants(TENANT_ADMIN) == ["a"]
    for name in ("b-user", "root"):
        assert code_of(lambda name=name: people.remove(TENANT_ADMIN, name)) == "user_not_found"
        assert (
            code_of(lambda name=name: people.set_password(TENANT_ADMIN, name)) == "user_not_found"
        )
    for tenant, error in (("b", NotFound), (None, Forbidden)):
        with pytest.raises(error):
            people.add(TENANT_ADMIN, NewUser("x", tenant=tenant))
        with pytest.raises(error):
            people.add_key(TENANT_ADMIN, NewKey("x", tenant=tenant))
    with pytest.raises(Forbidden):
        people.add_tenant(TENANT_ADMIN, "c")
    people.add(TENANT_ADMIN, NewUser("x", tenant="a"))


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_administrators_touch_people_and_keys(people: People, role: Role) -> None:
    actor = Actor("eve", role)
    for call in (
        lambda: people.users(actor),
        lambda: people.user(actor, "x"),
        lambda: people.add(actor, NewUser("x")),
        lambda: people.remove(actor, "x"),
        lambda: people.set_password(actor, "x"),
        lambda: people.set_disabled(actor, "x", disabled=True),
        lambda: people.keys(actor),
        lambda: people.add_key(actor, NewKey("x")),
        lambda: people.revoke_key(actor, "x"),
        lambda: people.add_tenant(actor, "x"),
    ):
        with pytest.raises(Forbidden):
            call()


# ------------------------------------------------------------------ API keys


def test_a_key_is_who_it_says_until_it_is_revoked(platform: App, people: People) -> None:
    people.add_tenant(SYSTEM, "a")
    issued = people.add_key(SYSTEM, NewKey("ci", Role.OPERATOR, "a"))
    assert people.authenticate(issued.secret) == Actor("key:ci", Role.OPERATOR, "a", "local")
    with platform.database.read() as connection:
        row = connection.execute(sa.select(api_keys)).one()
    assert issued.secret.removeprefix(f"mk_{issued.key.prefix}_") not in "|".join(map(str, row))
    people.revoke_key(SYSTEM, issued.key.prefix)
    assert code_of(lambda: people.authenticate(issued.secret)) == "key_revoked"
    ((_, listed),) = people.keys(SYSTEM)
    revoked_at = listed.revoked_at
    people.revoke_key(SYSTEM, issued.key.prefix)
    assert people.keys(SYSTEM)[0][1].revoked_at == revoked_at is not None


def test_a_key_expires(platform: App, people: People) -> None:
    issued = people.add_key(SYSTEM, NewKey("ci", expires_at=now_ms() + 60_000))
    assert people.authenticate(issued.secret).name == "key:ci"
    with platform.database.write() as connection:
        connection.execute(sa.update(api_keys).values(expires_at=now_ms() - 1))
    assert code_of(lambda: people.authenticate(issued.secret)) == "key_expired"
    past = lambda: people.add_key(SYSTEM, NewKey("ci", expires_at=now_ms() - 1))  # noqa: E731
    assert code_of(past) == "key_expired_already"


def test_a_wrong_key_is_refused(people: People) -> None:
    secret = people.add_key(SYSTEM, NewKey("ci")).secret
    for wrong in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), "mk_x", secret + "x"):
        assert code_of(lambda wrong=wrong: people.authenticate(wrong)) == "key_invalid"


def test_a_key_of_another_tenant_cannot_be_revoked(people: People) -> None:
    people.add_tenant(SYSTEM, "b")
    issued = people.add_key(SYSTEM, NewKey("ci", tenant="b"))
    assert code_of(lambda: people.revoke_key(TENANT_ADMIN, issued.key.prefix)) == "key_not_found"
    assert people.keys(TENANT_ADMIN) == []
    assert people.authenticate(issued.secret).tenant == "b"


# ------------------------------------------------------------------ audit


def test_every_change_is_in_the_audit_without_any_secret(platform: App, people: People) -> None:
    people.add_tenant(SYSTEM, "a")
    add(people, tenant="a")
    people.set_disabled(SYSTEM, "ada", disabled=True)
    people.set_disabled(SYSTEM, "ada", disabled=False)
    people.login("ada", PASSWORD)
    assert code_of(lambda: people.login("ada", "wrong")) == "login_failed"
    assert code_of(lambda: people.login("MyPassword!", "x")) == "login_failed"
    generated = people.set_password(SYSTEM, "ada")
    issued = people.add_key(SYSTEM, NewKey("ci"))
    people.revoke_key(SYSTEM, issued.key.prefix)
    people.remove(SYSTEM, "ada")
    assert actions(platform) == [
        "tenant.add",
        "user.add",
        "user.disable",
        "user.enable",
        "login",
        "login.failed",
        "login.failed",
        "user.password",
        "key.add",
        "key.revoke",
        "user.remove",
    ]
    with platform.database.read() as connection:
        text = str(connection.execute(sa.select(audit)).all())
    for secret in (PASSWORD, generated or "", issued.secret, "MyPassword!"):
        assert secret not in text
