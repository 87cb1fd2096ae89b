"""Every set of names that can be added can be written for the broker."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.broker import access_list, dynsec_file, password_lines
from mooring.broker.plugin_file import AccountsFile
from mooring.dialects import builtin, check_word
from mooring.dialects.model import Identity
from mooring.dialects.topics import filters_overlap
from mooring.errors import Invalid
from mooring.identity.account import Account, Rights
from mooring.identity.policy import rights_of
from mooring.secrets import verifiers

VERIFIER = verifiers.make("secret")
SERVICE = Account("service:mooring", VERIFIER, Rights(("#",), ("#",)))
DIALECTS = builtin()


def accepted(word: str) -> bool:
    try:
        check_word(word, "name")
    except Invalid:
        return False
    return True


WORDS = (
    st.text(min_size=1, max_size=8)
    | st.lists(
        st.sampled_from(
            ["account:", "device", "admin", "server", "%", "user ", "topic ", ":", "x"]
        ),
        min_size=1,
        max_size=4,
    ).map("".join)
).filter(accepted)


@st.composite
def accounts(draw: st.DrawFn) -> list[Account]:
    made: dict[str, Account] = {}
    for number in range(draw(st.integers(1, 6))):
        dialect = draw(st.sampled_from(DIALECTS))
        mac = f"AA:BB:CC:DD:EE:{number:02X}"
        identity = Identity(draw(WORDS), draw(WORDS), mac, (draw(WORDS),))
        username = dialect.username_of(identity)
        made[username] = Account(
            username,
            VERIFIER,
            rights_of(dialect, identity),
            client_id=dialect.client_id_of(identity),
        )
    return list(made.values())


def exactly(rights: Rights) -> Rights:
    return Rights(tuple(sorted(set(rights.publish))), tuple(sorted(set(rights.subscribe))))


@given(accounts())
def test_both_authorities_can_write_them(wanted: list[Account]) -> None:
    held = {a.username: a for a in dynsec_file.parse(dynsec_file.render(wanted, SERVICE))}
    for account in wanted:
        assert held[account.username].rights == exactly(account.rights)
        assert held[account.username].client_id == account.client_id
    fitting = [a for a in wanted if fits(a.username)]
    lines = password_lines.render({a.username: a.verifier or "" for a in fitting})
    assert password_lines.parse(lines).keys() == {a.username for a in fitting}
    access = access_list.parse(access_list.render(access_list.factor(fitting)))
    used = {topic for a in fitting for topic in (*a.rights.publish, *a.rights.subscribe)}
    for account in fitting:
        found = access.rights(account.username)
        for granted, own in (
            (found.publish, account.rights.publish),
            (found.subscribe, account.rights.subscribe),
        ):
            assert set(granted) >= set(own)
            for topic in set(granted) - set(own):  # by a pattern, and nobody's
                assert not any(filters_overlap(topic, one) for one in used)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(accounts())
def test_the_plugin_s_file_holds_them(wanted: list[Account]) -> None:
    with TemporaryDirectory() as folder:
        file = AccountsFile(Path(folder) / "accounts.db", SERVICE)
        # Two devices of one client id are rejected when they are added.
        apart = list(
            {account.client_id or account.username: account for account in wanted}.values()
        )
        file.replace(apart)
        assert {one.username for one in file.compare(apart)} == {SERVICE.username}
        for account in apart:
            found = file.account(account.username)
            assert found is not None
            assert exactly(found[1]) == exactly(account.rights)
        file.close()


def fits(username: str) -> bool:
    try:
        password_lines.check_username(username)
    except Invalid:
        return False
    return True
