"""What stands in the way of a move to the other authority."""

from __future__ import annotations

import pytest

from mooring.broker.migrate import Mode, plan, require
from mooring.broker.password_lines import CANARY_USERNAME
from mooring.errors import Conflict
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers

VERIFIER = verifiers.make("x" * 20)


def account(username: str, *topics: str) -> Account:
    return Account(username, VERIFIER, Rights(topics or (f"m/{username}/up",), ()))


@pytest.mark.parametrize(
    ("one", "to", "word"),
    [
        (account("kitchen"), Mode.PASSWORD_FILE, ""),
        (account("tenant/kitchen"), Mode.PASSWORD_FILE, ""),
        (account("device:acme:pump"), Mode.PASSWORD_FILE, "colon"),
        (account("device:acme:pump"), Mode.DYNAMIC_SECURITY, ""),
        (account("#kitchen"), Mode.PASSWORD_FILE, "'#kitchen'"),
        (account("kitchen", "m/x "), Mode.PASSWORD_FILE, "topic"),
        (account(CANARY_USERNAME), Mode.PASSWORD_FILE, "reserved for the platform"),
        (account("service.mooring"), Mode.PASSWORD_FILE, "reserved for the platform"),
    ],
)
def test_obstacles(one: Account, to: Mode, word: str) -> None:
    found = plan([account("other"), one], to, service=["service:mooring", "service.mooring"])
    assert len(found.accounts) == 2
    if not word:
        assert found.obstacles == ()
        require(found)
        return
    (obstacle,) = found.obstacles
    assert obstacle.username == one.username
    assert word in obstacle.why
    with pytest.raises(Conflict) as refused:
        require(found)
    assert refused.value.context["usernames"] == [one.username]


def test_many_obstacles_are_counted_and_not_all_written_out() -> None:
    found = plan([account(f"d:{n}") for n in range(50)], Mode.PASSWORD_FILE, service=["s"])
    with pytest.raises(Conflict, match=r"50 of 50 accounts .* There are 45 more\.") as refused:
        require(found)
    assert len(refused.value.context["usernames"]) == 50
