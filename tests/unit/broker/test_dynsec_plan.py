"""Which commands make an account so, and whether none are needed afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mooring.broker.dynsec_file import MARK, acls_of
from mooring.broker.dynsec_plan import UNKNOWN, differences, plan
from mooring.broker.protocol import DifferenceKind
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers

SECRET = "the-secret"
OURS, THEIRS = verifiers.make(SECRET), verifiers.make(SECRET)
OTHER = verifiers.make("another")
LAMP = Account("lamp", OURS, Rights(("m/up",), ("m/down",)))
METER = Account("lamp", None, LAMP.rights)
ROLE: dict[str, Any] = {"rolename": "lamp", "textname": MARK, "acls": acls_of(LAMP.rights)}
BOUND = replace(LAMP, client_id="id")
CLIENT: dict[str, Any] = {"username": "lamp", "roles": [{"rolename": "lamp"}], "groups": []}


@pytest.mark.parametrize(
    ("account", "has", "secret", "commands", "outcome"),
    [
        # All is right.
        (LAMP, (CLIENT, ROLE, OURS), None, [], ""),
        (LAMP, (CLIENT, ROLE, OURS), SECRET, [], ""),
        (METER, (CLIENT, ROLE, None), None, [], ""),
        # Not there.
        (LAMP, (None, None, None), SECRET, ["createRole", "createClient"], "adopt"),
        (LAMP, (None, ROLE, None), SECRET, ["createClient"], "adopt"),
        (METER, (None, None, None), None, ["createRole", "createClient"], ""),
        (LAMP, (None, None, None), None, [], "impossible"),
        # Applied before, but not stored: adopt without another command.
        (LAMP, (CLIENT, ROLE, THEIRS), SECRET, [], "adopt"),
        # Another password.
        (LAMP, (CLIENT, ROLE, OTHER), SECRET, ["setClientPassword"], "adopt"),
        (LAMP, (CLIENT, ROLE, None), SECRET, ["setClientPassword"], "adopt"),
        (LAMP, (CLIENT, ROLE, OTHER), None, [], "impossible"),
        # The file cannot be read.
        (LAMP, (CLIENT, ROLE, UNKNOWN), SECRET, ["setClientPassword"], "adopt"),
        (LAMP, (CLIENT, ROLE, UNKNOWN), None, [], ""),
        # A password to be taken away.
        (METER, (CLIENT, ROLE, OTHER), None, ["deleteClient", "createClient"], ""),
        (METER, (CLIENT, ROLE, UNKNOWN), None, ["deleteClient", "createClient"], ""),
        # Rights.
        (LAMP, (CLIENT, {**ROLE, "acls": []}, OURS), None, ["modifyRole"], ""),
        (LAMP, (CLIENT, {**ROLE, "textname": ""}, OURS), None, ["modifyRole"], ""),
        (LAMP, (CLIENT, None, OURS), None, ["createRole"], ""),
        (LAMP, ({**CLIENT, "roles": []}, ROLE, OURS), None, ["modifyClient"], ""),
        (LAMP, ({**CLIENT, "groups": [{}]}, ROLE, OURS), None, ["modifyClient"], ""),
        (LAMP, ({**CLIENT, "clientid": "x"}, ROLE, OURS), None, ["setClientId"], ""),
        (LAMP, ({**CLIENT, "disabled": True}, ROLE, OURS), None, ["enableClient"], ""),
        # The client id.
        (BOUND, ({**CLIENT, "clientid": "id"}, ROLE, OURS), None, [], ""),
        (BOUND, ({**CLIENT, "clientid": "x"}, ROLE, OURS), None, ["setClientId"], ""),
        (BOUND, (CLIENT, ROLE, OURS), None, ["setClientId"], ""),
    ],
)
def test_plans(
    account: Account,
    has: tuple[Any, Any, Any],
    secret: str | None,
    commands: list[str],
    outcome: str,
) -> None:
    """``has``: the client, its role and the verifier as the broker has them."""
    found = plan(account, *has, secret)
    assert [command["command"] for command in found.commands] == commands
    assert found.adopt is (outcome == "adopt")
    assert found.impossible is (outcome == "impossible")


def test_a_verifier_is_never_sent_as_a_password() -> None:
    for held in (None, OTHER, UNKNOWN):
        for client in (None, CLIENT):
            for secret in (None, SECRET):
                for command in plan(LAMP, client, ROLE, held, secret).commands:
                    assert command.get("password", SECRET) == SECRET


@pytest.mark.parametrize(
    ("client", "role", "held", "kinds"),
    [
        (CLIENT, ROLE, OURS, []),
        (CLIENT, ROLE, UNKNOWN, []),
        (CLIENT, {**ROLE, "acls": list(reversed(ROLE["acls"]))}, OURS, []),
        (None, ROLE, None, [DifferenceKind.MISSING]),
        ({**CLIENT, "disabled": True}, ROLE, OURS, [DifferenceKind.MISSING]),
        (CLIENT, ROLE, None, [DifferenceKind.STALE]),
        (CLIENT, ROLE, THEIRS, [DifferenceKind.STALE]),
        (CLIENT, None, OURS, [DifferenceKind.WRONG_RIGHTS]),
        ({**CLIENT, "roles": []}, ROLE, OURS, [DifferenceKind.WRONG_RIGHTS]),
        ({**CLIENT, "clientid": "x"}, ROLE, OURS, [DifferenceKind.WRONG_RIGHTS]),
        (CLIENT, {**ROLE, "acls": []}, OTHER, [DifferenceKind.STALE, DifferenceKind.WRONG_RIGHTS]),
        (
            CLIENT,
            {**ROLE, "acls": [{**acl, "allow": False} for acl in ROLE["acls"]]},
            OURS,
            [DifferenceKind.WRONG_RIGHTS],
        ),
    ],
)
def test_differences(
    client: dict[str, Any] | None, role: dict[str, Any] | None, held: Any, kinds: list[Any]
) -> None:
    assert [d.kind for d in differences(LAMP, client, role, held)] == kinds


def test_another_client_id_is_a_difference() -> None:
    bound = {**CLIENT, "clientid": "id"}
    assert differences(BOUND, bound, ROLE, OURS) == []
    for client in (CLIENT, {**CLIENT, "clientid": "x"}):
        found = differences(BOUND, client, ROLE, OURS)
        assert [d.kind for d in found] == [DifferenceKind.WRONG_RIGHTS]


def test_a_new_client_is_bound_from_its_first_moment() -> None:
    [create] = plan(BOUND, None, ROLE, None, SECRET).commands
    assert create["clientid"] == "id"
