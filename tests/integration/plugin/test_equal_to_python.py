"""The C rules and the pure Python rules give the same verdict on a generated corpus."""

from __future__ import annotations

import random
from collections.abc import Iterator

from mooring.broker.access_rules import (
    AccountFacts,
    Action,
    Certificate,
    Password,
    Situation,
    login,
    may,
)
from mooring.broker.topic_rules import is_filter, is_topic
from tests.support.accounts_db import SERVICE, AccountsDb, facts, verifier
from tests.support.plugin_stub import PluginStub

NAMES = ["pump", "fan", "a/b", "Zähler", 'q"uote', "tab\t", "$SYS", "mooring-x", "x" * 900]
PASSWORDS = [None, b"", b"old", b"new", b"newer", b"old\0tail", b"\xff\xfe", b"x" * 65535]
CLIENT_IDS = ["", "one", "two", "a/b", "Zähler", "mooring-", "mooring-one", "x" * 3000]
SERIALS = ["1f", "a0", "0"]
LEVELS = ["", "a", "b", "pump", "a/b", "+", "#", "$SYS", "$mooring", "$CONTROL", "ä", "x y"]
TEMPLATE_LEVELS = [*LEVELS, "\x01", "\x02", "\x03", "n-\x01", "\x02\x01", "\x08"]
BROKEN = ["", "$7$", "$7$101$QUJD$QUJD", "$6$101$QUJD$QUJD", verifier("old")[:-1], "$7$0$QQ==$"]
ACTIONS = list(Action)


def accounts_of(chance: random.Random) -> Iterator[AccountFacts]:
    taken: set[str | None] = set()
    for name in NAMES:
        client_id = chance.choice([None, None, *CLIENT_IDS[1:]])
        if client_id in taken:
            client_id = None
        taken.add(client_id)
        yield AccountFacts(
            name,
            verifier=chance.choice([None, verifier("old"), verifier("old"), *BROKEN]),
            next_verifier=chance.choice([None, None, verifier("new"), *BROKEN]),
            locked=chance.random() < 0.15,
            client_id=client_id,
            publish=tuple(filters_of(chance)),
            subscribe=tuple(filters_of(chance)),
            values=tuple(chance.choice(["", "a", "a/b", "+", "#", "$SYS"]) for _ in range(3)),
            tenant=chance.choice(["", "acme"]),
            service=chance.random() < 0.1,
            max_connections=chance.choice([None, None, 0, 1, 2]),
        )


def filters_of(chance: random.Random) -> set[str]:
    made = ("/".join(chance.choices(TEMPLATE_LEVELS, k=chance.randint(1, 4))) for _ in range(4))
    return {text for text in made if is_filter(text)}


def wanted(chance: random.Random, action: Action) -> str:
    while True:
        topic = "/".join(chance.choices(LEVELS, k=chance.randint(1, 5)))
        if not (is_filter if action is Action.SUBSCRIBE else is_topic)(topic):
            continue  # the broker never asks about it
        if action is Action.SUBSCRIBE and chance.random() < 0.2:
            return f"$share/{chance.choice(['g', 'h h', 'é'])}/{topic}"
        return topic


def test_every_topic_has_the_same_verdict(accounts: AccountsDb, stub: PluginStub) -> None:
    chance = random.Random(7)
    allowed = 0
    for turn in range(60):
        held = list(accounts_of(chance))
        accounts.run([("DELETE FROM account WHERE username <> ?", (SERVICE,))], [])
        accounts.put(*held)
        accounts.run([], [None])
        stub.poke()
        for account in held:
            for _ in range(60):
                action = chance.choice(ACTIONS)
                topic = wanted(chance, action)
                verdict = may(account, action, topic)
                found = stub.may(account.username, ACTIONS.index(action), topic)
                assert found == verdict.reason, (turn, account, action, topic, verdict)
                allowed += verdict.allowed
    assert 2_000 < allowed < 30_000  # the corpus has both


def test_every_login_has_the_same_verdict(accounts: AccountsDb, stub: PluginStub) -> None:
    chance = random.Random(11)
    reasons: dict[str, int] = {}
    accounts.put(facts("other"))
    for turn in range(40):
        held = {a.username: a for a in accounts_of(chance)}
        certificates = {serial: chance.choice([*NAMES, "gone"]) for serial in SERIALS[:2]}
        sessions = {one: chance.choice([*NAMES, "gone"]) for one in chance.sample(CLIENT_IDS, 2)}
        most = chance.choice([None, 0, 1, 2])
        accounts.run(
            [
                ("DELETE FROM account WHERE username NOT IN (?, 'other')", (SERVICE,)),
                ("DELETE FROM certificate", ()),
                ("DELETE FROM session", ()),
                ("INSERT OR REPLACE INTO tenant VALUES('acme', ?, NULL, NULL)", (most,)),
                *(("INSERT INTO certificate VALUES(?, ?)", row) for row in certificates.items()),
                *(("INSERT INTO session VALUES(?, ?)", row) for row in sessions.items()),
            ],
            [],
        )
        accounts.put(*held.values())
        accounts.run([], [None])
        stub.poke()
        fixed = {a.client_id: a.username for a in held.values() if a.client_id is not None}
        for _ in range(100):
            name = chance.choice([None, "", "nobody", *NAMES])
            password, client_id = chance.choice(PASSWORDS), chance.choice(CLIENT_IDS)
            shown: Password | Certificate = Password(name, password)
            certificate = None
            if chance.random() < 0.3:
                common, serial = chance.choice(["", *NAMES]), chance.choice(SERIALS)
                shown, certificate = Certificate(serial, common, name), (common, serial)
            situation = Situation(
                certificate_of=certificates.get(certificate[1]) if certificate else None,
                client_id_of=fixed.get(client_id),
                session_of=sessions.get(client_id),
                tenant_max_connections=most,
            )
            account = held.get((certificate[0] if certificate else name) or "")
            verdict = login(account, shown, client_id, situation)
            found = stub.decide(name, password, client_id, certificate)
            expected = f"+{verdict.used}" if verdict.accepted else str(verdict.reason)
            assert found == expected, (turn, account, shown, client_id, situation)
            reasons[expected] = reasons.get(expected, 0) + 1
    assert len(reasons) == 15, sorted(reasons)  # all but accounts_unreadable, and the three ways in


def test_live_sessions_count_the_same(accounts: AccountsDb, stub: PluginStub) -> None:
    chance = random.Random(13)
    held = {
        name: facts(name, tenant="acme", max_connections=most)
        for name, most in (("a", 1), ("b", 2), ("c", None))
    }
    accounts.run([("INSERT INTO tenant VALUES('acme', 4, NULL, NULL)", ())], [None])
    accounts.put(*held.values())
    stub.poke()
    live: dict[str, tuple[str, object]] = {}  # client id → username and client
    for step in range(2000):
        if live and chance.random() < 0.4:
            _, client = live.pop(chance.choice(sorted(live)))
            stub.gone(client)  # type: ignore[arg-type]
            continue
        name, client_id = chance.choice("abc"), chance.choice("12345")
        others = [n for i, (n, _) in live.items() if not (i == client_id and n == name)]
        situation = Situation(
            live_client_id_of=live[client_id][0] if client_id in live else None,
            connections=others.count(name),
            tenant_connections=len(others),
            tenant_max_connections=4,
        )
        verdict = login(held[name], Password(name, "secret"), client_id, situation)
        client = stub.client(client_id, name)
        assert stub.login(client, "secret") == verdict.accepted, (step, live, name, client_id)
        if verdict.accepted:
            live[client_id] = name, client
        assert stub.poke()["sessions"] == len(live)
