"""The file that the broker's plugin reads, and rights as templates."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.access_rules import AccountFacts, Action, may
from mooring.broker.plugin_authority import PluginAuthority
from mooring.broker.plugin_file import AccountsFile, FileLost
from mooring.broker.plugin_rights import filled, template, values_of
from mooring.broker.plugin_rows import CHANGES_KEPT
from mooring.broker.protocol import DifferenceKind
from mooring.errors import BrokerUnavailable
from mooring.identity.account import NO_QUOTA, Account, Quota, Rights
from mooring.secrets import verifiers

SERVICE = Account("service:mooring", verifiers.make("x"), Rights(("#",), ("#",)))
ONE, TWO, THREE = (verifiers.make(word) for word in ("one", "two", "three"))

LEVELS = st.sampled_from(["a", "b", "up", "+", "acme", "lamp", "", "x y", "ü"])
FILTERS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)


def lamp(name: str = "lamp", verifier: str | None = ONE, **more: object) -> Account:
    rights = Rights((f"m/acme/{name}/up",), (f"m/acme/{name}/down", f"m/acme/{name}/command/+"))
    account = Account(f"acme/{name}", verifier, rights, values=(name, "acme"))
    return replace(account, **more)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[AccountsFile]:
    made = AccountsFile(tmp_path / "accounts.db", SERVICE)
    made.replace([])
    yield made
    made.close()


def rows(file: AccountsFile, statement: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(file._path) as db:
        return db.execute(statement).fetchall()


@given(st.lists(FILTERS, max_size=6), st.lists(st.sampled_from(["a", "lamp", "acme", ""])))
def test_a_template_gives_back_the_filters_it_was_made_of(
    filters: list[str], values: list[str]
) -> None:
    text = template(filters, values[:8])
    assert sorted(filled(text, values[:8])) == sorted(set(filters))


@given(
    st.lists(FILTERS, min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "lamp", "+", "#", "$SYS", "a/b", ""]), max_size=8),
    st.sampled_from(["a/b", "a", "+/up", "#", "lamp/+", "acme", "a/+/b"]),
)
def test_a_template_grants_what_its_filters_grant(
    filters: list[str], values: list[str], topic: str
) -> None:
    filters = [*filters, "$SYS/broker/#"]
    shared = tuple(template(filters, values).split("\n"))
    for action in (Action.PUBLISH, Action.SUBSCRIBE):
        for asked in (topic, "$SYS/broker/load"):
            plain = AccountFacts("x", publish=tuple(filters), subscribe=tuple(filters))
            short = AccountFacts("x", publish=shared, subscribe=shared, values=tuple(values))
            assert may(short, action, asked).allowed is may(plain, action, asked).allowed


def test_a_filter_with_a_control_character_grants_nothing() -> None:
    assert filled(template(["m/\x01/up", "m/\n/up", "m/a"], ["lamp"]), ["lamp"]) == ["m/a"]
    assert values_of(Account("a\x02b", None, Rights(), values=("c\nd", "e"))) == ("", "", "", "e")


def limits_of(file: AccountsFile) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    accounts = "SELECT username, max_connections, max_messages, max_bytes FROM account"
    return rows(file, f"{accounts} WHERE NOT service ORDER BY 1"), rows(
        file, "SELECT * FROM tenant"
    )


def newest(file: AccountsFile) -> tuple[object, ...]:
    return rows(file, "SELECT seq, username FROM change ORDER BY seq DESC LIMIT 1")[0]


def test_limits_of_accounts_and_tenants(file: AccountsFile) -> None:
    one = lamp("one", tenant="acme", quota=Quota(2, None, 9), tenant_quota=Quota(None, 7))
    two = lamp("two", tenant="acme", tenant_quota=Quota(None, 7))
    before = file.replace([one, two])
    accounts, tenants = limits_of(file)
    assert accounts == [("acme/one", 2, None, 9), ("acme/two", None, None, None)]
    assert tenants == [("acme", None, 7, None)]
    assert file.put([one, two]) == before  # nothing new: nobody is told
    # Another limit of the account concerns the account, one of the tenant everybody.
    number = file.put([replace(one, quota=NO_QUOTA)])
    assert newest(file) == (number, "acme/one")
    number = file.put([replace(one, quota=NO_QUOTA, tenant_quota=Quota(5, 7, 8))])
    assert newest(file) == (number, None)
    assert file.tenants() == {"acme": Quota(5, 7, 8)}
    assert limits_of(file)[0][0] == ("acme/one", None, None, None)
    file.replace([lamp("three")])
    assert file.tenants() == {}


def test_a_limit_that_is_not_kept_is_a_difference(tmp_path: Path) -> None:
    async def body() -> None:
        authority = PluginAuthority(tmp_path / "accounts.db", SERVICE, endpoint=None)
        quota = {"quota": Quota(1), "tenant_quota": Quota(2), "tenant": "acme"}
        wanted = [lamp("one", **quota), lamp("two", **quota)]
        await authority.replace([replace(one, quota=NO_QUOTA) for one in wanted[:1]] + wanted[1:])
        found = await authority.compare(wanted)
        assert [(d.kind, d.username, d.detail) for d in found] == [
            (DifferenceKind.WRONG_RIGHTS, "acme/one", "limits")
        ]
        await authority.put(wanted)
        assert await authority.compare(wanted) == []
        found = await authority.compare([replace(one, tenant_quota=Quota(3)) for one in wanted])
        assert [d.detail for d in found] == ["limits of the tenant"]  # once
        await authority.close()

    asyncio.run(body())


def test_a_fleet_shares_its_rights(file: AccountsFile) -> None:
    file.replace([lamp(f"lamp{number}") for number in range(500)])
    assert rows(file, "SELECT count(*) FROM rights") == [(2,)]
    found = file.account("acme/lamp7")
    assert found is not None
    assert set(found[1].subscribe) == set(lamp("lamp7").rights.subscribe)


def test_a_number_of_rights_is_never_used_again(file: AccountsFile) -> None:
    file.replace([lamp()])
    (before,) = [row.rights for name, row in file.held()[0].items() if name == "acme/lamp"]
    file.replace([])
    file.replace([lamp(rights=Rights(("other",), ()))])
    assert file.held()[0]["acme/lamp"].rights > before


def test_the_same_again_is_no_change(file: AccountsFile) -> None:
    number = file.put([lamp()])
    assert file.put([lamp()]) == number
    assert file.replace([lamp()]) == number
    assert file.remove(["unknown"]) == number
    assert file.kick(["unknown"]) == number


def test_only_what_changed_is_named(file: AccountsFile) -> None:
    file.replace([lamp(), lamp("b")])
    file.replace([lamp(), lamp("b", TWO), lamp("c")])
    assert [name for (name,) in rows(file, "SELECT username FROM change ORDER BY seq")[-2:]] == [
        "acme/b",
        "acme/c",
    ]
    file.replace([lamp(str(number)) for number in range(2_100)])
    assert rows(file, "SELECT username FROM change ORDER BY seq DESC LIMIT 1") == [(None,)]


def test_changes_are_pruned(file: AccountsFile) -> None:
    file.put([lamp()])
    for _ in range(7):
        file.put([lamp(str(n), ONE if _ % 2 else TWO) for n in range(1_900)])
    assert rows(file, "SELECT count(*) FROM change") == [(CHANGES_KEPT,)]


@pytest.mark.parametrize(
    ("after", "ends"),
    [
        (lamp(verifier=TWO), True),
        (lamp(next_verifier=TWO), False),
        (lamp(locked=True), True),
        (lamp(client_id="own"), True),
        (lamp(rights=Rights(("x",), ())), False),
        (lamp(certificates=("0a",)), False),
    ],
)
def test_the_epoch_moves_where_sessions_must_end(
    file: AccountsFile, after: Account, ends: bool
) -> None:
    file.put([lamp()])
    before = file.held()[0]["acme/lamp"].epoch
    file.put([after])
    assert (file.held()[0]["acme/lamp"].epoch > before) is ends


def test_the_second_password_becomes_the_first_and_nobody_who_has_it_is_put_out(
    file: AccountsFile,
) -> None:
    file.put([lamp(next_verifier=TWO, client_id="x")])
    before = file.held()[0]["acme/lamp"].epoch
    file.put([lamp(verifier=TWO, client_id="x")])
    assert file.held()[0]["acme/lamp"].epoch == before
    file.put([lamp(verifier=TWO, next_verifier=THREE, client_id="x")])
    file.put([lamp(verifier=TWO, client_id="x")])  # withdrawn: whoever has it is put out
    assert file.held()[0]["acme/lamp"].epoch > before


def test_a_revoked_certificate_ends_sessions_and_has_no_row(file: AccountsFile) -> None:
    file.put([lamp(certificates=("0a", "ff"))])
    before = file.held()[0]["acme/lamp"].epoch
    assert rows(file, "SELECT serial FROM certificate ORDER BY serial") == [("0a",), ("ff",)]
    file.put([lamp(certificates=("ff",))])
    assert file.held()[0]["acme/lamp"].epoch > before
    assert rows(file, "SELECT serial, username FROM certificate") == [("ff", "acme/lamp")]


def test_removed_and_added_again_is_another_account(file: AccountsFile) -> None:
    file.put([lamp()])
    before = file.held()[0]["acme/lamp"].epoch
    file.remove(["acme/lamp"])
    file.put([lamp()])
    assert file.held()[0]["acme/lamp"].epoch > before


def test_a_file_that_is_made_again_ends_no_session(file: AccountsFile, tmp_path: Path) -> None:
    file.put([lamp()])
    before = file.held()[0]["acme/lamp"].epoch
    file.close()
    (tmp_path / "accounts.db").unlink()
    file.replace([lamp()])
    assert file.held()[0]["acme/lamp"].epoch < before
    file.kick(["acme/lamp"])
    assert file.held()[0]["acme/lamp"].epoch > before


def test_two_accounts_change_their_client_ids(file: AccountsFile) -> None:
    file.put([lamp("a", client_id="x"), lamp("b", client_id="y")])
    file.put([lamp("a", client_id="y"), lamp("b", client_id="x")])
    held, _ = file.held()
    assert (held["acme/a"].client_id, held["acme/b"].client_id) == ("y", "x")


def test_a_client_id_that_is_anothers_does_not_stop_the_rest(file: AccountsFile) -> None:
    file.put([lamp("a", client_id="x")])
    file.put([lamp("b", client_id="x"), lamp("c", client_id="z")])
    held, _ = file.held()
    assert [held[f"acme/{name}"].client_id for name in "abc"] == ["x", None, "z"]


def spoil_missing(path: Path) -> None:
    path.unlink()


def spoil_torn(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff" * 4096)


def spoil_foreign(path: Path) -> None:
    path.write_bytes(b"listener 1883\n" * 100)


def spoil_newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=2")


@pytest.mark.parametrize("spoil", [spoil_missing, spoil_torn, spoil_foreign, spoil_newer])
def test_a_spoilt_file_is_made_again_by_replace_alone(spoil: object, tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "accounts.db"
        authority = PluginAuthority(path, SERVICE, endpoint=None)
        accounts = [lamp(str(number)) for number in range(50)]
        await authority.replace(accounts)
        number = authority._file.number()
        await authority.close()  # the log goes into the file
        spoil(path)  # type: ignore[operator]
        inode = path.stat().st_ino if path.exists() else None

        applied = await authority.put([lamp("1", TWO)])
        assert applied.needs_replace == ("acme/1",)
        assert {d.kind for d in await authority.compare(accounts)} == {DifferenceKind.MISSING}
        assert await authority.usernames() == set()
        with pytest.raises(BrokerUnavailable):
            await authority.remove(["acme/1"])

        await authority.replace(accounts)
        assert await authority.compare(accounts) == []
        assert path.stat().st_mode & 0o777 == 0o600
        assert authority._file.number() >= number
        assert inode is None or path.stat().st_ino != inode or spoil is spoil_missing
        await authority.close()

    asyncio.run(body())


def test_a_file_that_another_holds_is_a_reason_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        monkeypatch.setattr("mooring.broker.plugin_file.LOCK_WAIT_SECONDS", 0.1)
        authority = PluginAuthority(tmp_path / "accounts.db", SERVICE, endpoint=None)
        await authority.replace([lamp()])
        with sqlite3.connect(tmp_path / "accounts.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(BrokerUnavailable) as caught:
                await authority.put([lamp(verifier=TWO)])
            assert caught.value.slug == "accounts_file_unusable"
            other.execute("ROLLBACK")
        other.close()
        assert not (await authority.put([lamp(verifier=TWO)])).needs_replace
        await authority.close()

    asyncio.run(body())


def test_every_difference_has_its_kind(tmp_path: Path) -> None:
    async def body() -> None:
        authority = PluginAuthority(tmp_path / "accounts.db", SERVICE, endpoint=None)
        await authority.replace([lamp(), lamp("extra")])
        for wrong, kind in {
            lamp(verifier=TWO): DifferenceKind.STALE,
            lamp(next_verifier=TWO): DifferenceKind.STALE,
            lamp(locked=True): DifferenceKind.WRONG_RIGHTS,
            lamp(client_id="x"): DifferenceKind.WRONG_RIGHTS,
            lamp(certificates=("0a",)): DifferenceKind.WRONG_RIGHTS,
            lamp(tenant="acme"): DifferenceKind.WRONG_RIGHTS,
            lamp(rights=Rights(("m/acme/lamp/up",), ())): DifferenceKind.WRONG_RIGHTS,
        }.items():
            found = await authority.compare([wrong])
            assert [(d.kind, d.username) for d in found] == [
                (kind, "acme/lamp"),
                (DifferenceKind.EXTRA, "acme/extra"),
            ]
        await authority.close()

    asyncio.run(body())


def test_whatever_differs_is_found_also_by_the_quick_look(file: AccountsFile) -> None:
    """The first account of a tenant is looked at closely, the second one quickly."""
    shared = {"tenant": "acme", "tenant_quota": Quota(9), "client_id": "acme/lamp"}
    first, held = lamp("first", tenant="acme", tenant_quota=shared["tenant_quota"]), lamp(**shared)
    file.replace([first, held])
    for change in (
        {"verifier": TWO},
        {"next_verifier": TWO},
        {"locked": True},
        {"client_id": None},
        {"certificates": ("01",)},
        {"tenant": ""},
        {"values": ("lamp", "other")},
        {"rights": Rights(("m/acme/lamp/up",), ("m/acme/lamp/down",))},
        {"quota": Quota(1)},
        {"quota": Quota(None, 2)},
        {"quota": Quota(None, None, 3)},
        {"tenant_quota": Quota(8)},
    ):
        wanted = [SERVICE, first, replace(held, **change)]  # type: ignore[arg-type]
        found = [(one.username, one.kind) for one in file.compare(wanted)]
        same = "values" in change  # other words for the same topics
        assert [name for name, _ in found] == ([] if same else ["acme/lamp"]), change
    assert file.compare([SERVICE, first, held]) == []


def test_file_lost_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileLost, match="missing"):
        AccountsFile(tmp_path / "accounts.db", SERVICE).usernames()


def test_rights_that_another_writer_has_removed_are_written_again(
    file: AccountsFile, tmp_path: Path
) -> None:
    other = AccountsFile(tmp_path / "accounts.db", SERVICE)
    file.put([lamp()])
    other.replace([])
    file.put([lamp()])
    found = file.account("acme/lamp")
    assert found is not None
    assert set(found[1].publish) == set(lamp().rights.publish)
    other.close()
