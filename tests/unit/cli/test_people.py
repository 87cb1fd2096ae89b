"""Users, keys, tenants, and the audit of what people do."""

from __future__ import annotations

import json

from tests.support.golden import check_sentences
from tests.unit.cli.conftest import Mooring


def test_users(mooring: Mooring) -> None:
    made = mooring("user", "add", "ada", "--role", "admin", "--json").json()
    assert (made["name"], made["role"], made["tenant"]) == ("ada", "admin", None)
    assert len(made["password"]) >= 12
    said = mooring("user", "add", "bob", "--password-stdin", input="correct horse battery\n")
    check_sentences("user add", said.out)
    assert [u["name"] for u in mooring("user", "list", "--json").json()["users"]] == ["ada", "bob"]
    assert "disabled" in mooring("user", "disable", "bob").out
    assert mooring("user", "list", "--json").json()["users"][1]["disabled"] is True
    mooring("user", "enable", "bob")
    again = mooring("user", "password", "bob", "--json").json()["password"]
    assert again != made["password"]
    assert "only administrator" in mooring("user", "remove", "ada", "--yes", code=4).err
    mooring("user", "remove", "bob", "--yes")
    assert "no password" in mooring("user", "add", "eve", "--password-stdin", code=2).err
    everything = mooring("audit", "list", "--json").out
    assert again not in everything
    actions = [row["action"] for row in json.loads(everything)["audit"]]
    assert actions[-1] == "user.add"
    assert {row["origin"] for row in json.loads(everything)["audit"]} == {"local"}


def test_keys(mooring: Mooring) -> None:
    made = mooring("key", "new", "ci", "--role", "operator", "--expires", "90d", "--json").json()
    listed = mooring("key", "list", "--json")
    assert made["secret"] not in listed.out
    [key] = listed.json()["keys"]
    assert (key["prefix"], key["role"], key["revoked_at"]) == (made["prefix"], "operator", None)
    assert "expires in 8" in mooring("key", "list").out
    assert mooring("key", "new", "other").out.count("Secret: ") == 1
    assert mooring("key", "revoke", made["prefix"], "--json").json() == {"revoked": made["prefix"]}
    assert "revoked now" in mooring("key", "list").out


def test_scopes_of_keys(mooring: Mooring) -> None:
    words = ("--role", "operator", "--scope", "commands", "--scope", "read")
    made = mooring("key", "new", "ci", *words, "--json").json()
    assert made["scopes"] == ["read", "commands"]
    assert "only the scopes read commands" in mooring("key", "new", "other", *words).out
    mooring("key", "new", "wide")
    shown = {one["name"]: one["scopes"] for one in mooring("key", "list", "--json").json()["keys"]}
    assert shown == {"ci": ["read", "commands"], "other": ["read", "commands"], "wide": None}
    table = mooring("key", "list").out
    assert "read commands" in table
    refused = mooring("key", "new", "x", "--scope", "admin", code=2)
    assert "scope admin" in refused.err


def test_tenants(mooring: Mooring) -> None:
    check_sentences("tenant add", mooring("tenant", "add", "acme").out)
    mooring("tenant", "add", "acme", code=4)
    assert mooring("tenant", "list", "--json").json() == {"tenants": [{"name": "acme"}]}
    assert mooring("tenant", "list").out == "TENANT\nacme\n"


def test_the_audit_names_the_person(mooring: Mooring) -> None:
    import getpass

    mooring("tenant", "add", "acme")
    [row] = mooring("audit", "list", "--json").json()["audit"]
    assert row["actor"] == f"cli:{getpass.getuser()}"
    assert row["subject"] == row["tenant"] == "acme"
