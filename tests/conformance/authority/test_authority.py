"""What every authority must do, tried on a real Mosquitto with each."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from mooring.broker.access_rules import AccountFacts, Action, may
from mooring.broker.connection import Connection, Endpoint
from mooring.broker.protocol import Difference, DifferenceKind
from mooring.dialects.topics import topic_matches
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers
from tests.conformance.authority.stand import Stand, alive, ends, publish, received


def kinds(found: list[Difference]) -> set[tuple[DifferenceKind, str]]:
    return {(difference.kind, difference.username) for difference in found}


def test_a_device_gets_in_with_its_password_only(stand: Stand) -> None:
    async def body() -> None:
        assert await stand.refused("lamp", "anything")
        await stand.put(stand.device("lamp"))
        assert not await stand.refused("lamp")
        assert await stand.refused("lamp", "wrong")
        assert await stand.refused("lamp", stand.secrets["lamp"] + " ")
        assert await stand.refused("Lamp", stand.secrets["lamp"])
        assert await stand.authority.usernames() == {"lamp"}

    stand.run(body)


def test_the_verifier_is_no_password(stand: Stand) -> None:
    """2.0's API takes a hash for the password itself; nobody may get in with a stored hash."""

    async def body() -> None:
        given = stand.device("lamp")
        [held] = await stand.put(given)
        for account in (given, held):
            assert account.verifier is not None
            assert await stand.refused("lamp", account.verifier)
            assert await stand.refused("lamp", account.verifier.rpartition("$")[2])

    stand.run(body)


def test_rights_are_exactly_as_declared(stand: Stand) -> None:
    async def body() -> None:
        await stand.put(stand.device("a"), stand.device("b"))
        a, service = await stand.connect("a"), await stand.connect_service()
        await service.subscribe(["m/#", "elsewhere"])
        for topic, allowed in {
            "m/a/up": True,
            "m/a/event/smoke": True,
            "m/a/event/smoke/again": False,
            "m/a": False,
            "m/a/down": False,
            "m/a/command/reboot": False,
            "m/b/up": False,
            "elsewhere": False,
        }.items():
            assert await publish(a, topic) is allowed, topic
        assert await received(service) == ["m/a/up", "m/a/event/smoke"]

        for pattern in ("m/a/down", "m/a/command/+", "m/a/command/reboot"):
            await a.subscribe([pattern])
        # Some brokers refuse these, others accept and deliver nothing; both is right.
        for pattern in ("#", "m/#", "m/+/down", "m/b/down", "m/b/command/+", "m/a/up", "$SYS/#"):
            await stand.try_to_subscribe(a, pattern)
        await received(a)
        topics = ["m/a/down", "m/a/command/reboot", "m/b/down", "m/b/command/x", "m/a/up", "other"]
        for topic in topics:
            assert await publish(service, topic), topic
        assert set(await received(a)) == {"m/a/down", "m/a/command/reboot"}

    stand.run(body)


TAILS = [
    "#",
    "+",
    "command/#",
    "command/+",
    "command/reboot",
    "+/+",
    "+/reboot",
    "config",
    "a/b/c/#",
]
FOREIGN = [
    "#",
    "+/#",
    "m/#",
    "m/+/#",
    "m/t/#",
    "m/t/+/#",
    "m/t/other/#",
    "m/+/dev/#",
    "m/t/+/config",
]


def test_a_device_subscribes_to_anything_inside_its_own_prefix(stand: Stand) -> None:
    """Alike in every authority: accepted, and given exactly what matches."""

    async def body() -> None:
        await stand.put(stand.account("dev", publish=("m/t/dev/up",), subscribe=("m/t/dev/#",)))
        service = await stand.connect_service()
        own = [f"m/t/dev/{rest}" for rest in ("config", "command/reboot", "a/b/c/d", "command")]
        others = ["m/t/other/config", "m/x/dev/command/reboot", "m/t", "m", "elsewhere"]
        for tail in TAILS:
            device = await stand.connect("dev")
            await device.subscribe([f"m/t/dev/{tail}"])
            for topic in (*own, *others):
                await publish(service, topic)
            expected = {one for one in own if topic_matches(f"m/t/dev/{tail}", one)}
            assert set(await received(device)) == expected, tail
            await device.close()
        device = await stand.connect("dev")
        for pattern in FOREIGN:  # refused by some, silent with others
            await stand.try_to_subscribe(device, pattern)
        for topic in (*own, *others):
            await publish(service, topic)
        assert set(await received(device)) <= set(own)

    stand.run(body)


def generated_topics(count: int) -> list[str]:
    chance = random.Random(7)  # the same topics each time
    words = ["m", "a", "b", "up", "down", "event", "command", "smoke", "", "$SYS", "x y"]
    made = ["/".join(chance.choices(words, k=chance.randint(1, 5))) for _ in range(count)]
    return [*dict.fromkeys(topic for topic in made if topic)]


def test_the_rules_say_what_the_broker_does(stand: Stand) -> None:
    """``mooring device can`` answers from these rules, whichever authority the broker has."""

    async def body() -> None:
        rights = {
            "publish": ("m/a/up", "m/a/event/+", "m/+/x y", "a/#"),
            "subscribe": ("m/a/down", "m/a/command/+", "b/#"),
        }
        lamp = stand.account("a", **rights)
        await stand.put(lamp)
        facts = AccountFacts("a", **rights)
        topics = generated_topics(300)
        a, service = await stand.connect("a"), await stand.connect_service()
        for topic in topics:
            if not topic.startswith("$"):
                said = may(facts, Action.PUBLISH, topic).allowed
                assert await publish(a, topic) is said, topic
        # What may be subscribed to is received, whichever way the subscription was answered.
        for topic in topics:
            await stand.try_to_subscribe(a, topic)
        await received(a)
        wanted = [topic for topic in topics if not topic.startswith("$")]
        for topic in wanted:
            assert await publish(service, topic)
        allowed = {topic for topic in wanted if may(facts, Action.SUBSCRIBE, topic).allowed}
        assert set(await received(a)) == allowed
        assert 5 < len(allowed) < len(wanted) - 50

    stand.run(body)


def generated_filters(count: int) -> list[str]:
    chance = random.Random(11)
    words = ["m", "a", "b", "command", "+", "+", "reboot"]
    made = []
    while len(made) < count:
        levels = chance.choices(words, k=chance.randint(1, 3))
        pattern = "/".join([*levels, "#"] if chance.random() < 0.4 else levels)
        if set(pattern) & set("+#") and pattern not in made:
            made.append(pattern)
    return made


def test_the_rules_say_what_the_broker_does_with_filters(stand: Stand) -> None:
    """A filter that the rules allow is accepted, and everything that it matches is delivered; of
    another one at most what the device may read, however the broker answers."""

    async def body() -> None:
        rights = {"publish": ("m/a/up",), "subscribe": ("m/a/command/#", "b/+/reboot", "m/b/+")}
        other = {"publish": ("m/c/up",), "subscribe": ("m/#",)}
        await stand.put(stand.account("a", **rights), stand.account("c", **other))
        facts = AccountFacts("a", **rights)
        topics = [t for t in generated_topics(60) if not t.startswith("$")]
        topics += ["m/a/command", "m/a/command/reboot", "m/a/command/x/y", "b/a/reboot", "m/b/up"]
        service = await stand.connect_service()
        allowed = 0
        for pattern in [*generated_filters(12), "m/a/command/#", "m/a/command/+", "b/+/reboot"]:
            device = await stand.connect("a")
            matching = {topic for topic in topics if topic_matches(pattern, topic)}
            readable = {t for t in matching if may(facts, Action.READ, t).allowed}
            if may(facts, Action.SUBSCRIBE, pattern).allowed:
                allowed += 1
                assert readable == matching
                await device.subscribe([pattern])
            else:
                await stand.try_to_subscribe(device, pattern)
            for topic in topics:
                await publish(service, topic)
            got = set(await received(device))
            await device.close()
            if may(facts, Action.SUBSCRIBE, pattern).allowed:
                assert got == matching, pattern
            assert got <= readable, pattern
        assert allowed >= 3

    stand.run(body)


def test_changed_rights_hold_for_the_living_session(stand: Stand) -> None:
    async def body() -> None:
        [lamp] = await stand.put(stand.device("lamp"))
        wider = replace(lamp, rights=Rights(("m/lamp/up", "m/lamp/new"), ("m/lamp/down",)))
        [lamp] = await stand.put(wider)
        connection = await stand.connect("lamp")
        assert await publish(connection, "m/lamp/new")
        narrower = replace(lamp, rights=Rights(("m/lamp/new",), ()))
        await stand.put(narrower)
        if await alive(connection):  # an authority may end the session, but need not
            assert not await publish(connection, "m/lamp/up")
            assert await publish(connection, "m/lamp/new")
        connection = await stand.connect("lamp")
        assert not await publish(connection, "m/lamp/up")
        assert await publish(connection, "m/lamp/new")

    stand.run(body)


def test_the_same_again_changes_nothing_and_disturbs_nobody(stand: Stand) -> None:
    async def body() -> None:
        accounts = await stand.put(stand.device("a"), stand.device("b"))
        a = await stand.connect("a")
        before = stand.file.read_bytes()
        applied = await stand.authority.put(accounts)  # the secret is forgotten by now
        assert not applied.adopted
        assert not applied.needs_replace
        applied = await stand.authority.put(accounts, stand.secrets)
        assert not applied.adopted
        assert stand.file.read_bytes() == before
        assert await alive(a)
        assert await stand.authority.compare(accounts) == []

    stand.run(body)


def test_a_crash_before_the_verifier_is_stored_converges(stand: Stand) -> None:
    """The change is applied, its settlement is lost, the same change comes again."""

    async def body() -> None:
        given = stand.device("lamp")
        first = await stand.authority.put([given], stand.secrets)
        lamp = await stand.connect("lamp")
        second = await stand.authority.put([given], stand.secrets)
        assert second == first
        assert await alive(lamp)
        held = replace(given, verifier=first.adopted.get("lamp", given.verifier))
        assert await stand.authority.compare([held]) == []

    stand.run(body)


def test_a_login_can_end_only_its_own_session(stand: Stand) -> None:
    """Whatever client id it connects with: a broker ends the session that has the id."""

    async def body() -> None:
        a, b = (replace(stand.device(name), client_id=f"id-{name}") for name in ("a", "b"))
        await stand.put(a, b)
        session = await stand.connect("a", client_id="id-a")
        service = await Connection.open(stand.endpoint, client_id="mooring-secret")
        for taken in ("id-a", "a", "mooring-secret", stand.service.username):
            if not await stand.refused("b", client_id=taken):
                assert await alive(session), taken
                assert await alive(service), taken
        assert not await stand.refused("b", client_id="id-b")
        assert await alive(session)
        assert await alive(service)

    stand.run(body)


def test_others_stay_connected(stand: Stand) -> None:
    async def body() -> None:
        accounts = await stand.put(stand.device("a"), stand.device("b"), stand.device("c"))
        b, c = await stand.connect("b"), await stand.connect("c")
        await b.subscribe(["m/b/down"])
        await stand.put(stand.device("d"))
        await stand.put(stand.device("a"))  # a new secret
        await stand.put(replace(accounts[0], rights=Rights(("m/a/x",), ())))
        await stand.authority.remove(["a", "d"])
        await stand.authority.kick(["c"])
        await ends(c)
        service = await stand.connect_service()
        await publish(service, "m/b/down")
        assert await received(b) == ["m/b/down"]

    stand.run(body)


def test_a_new_password_replaces_the_old_one(stand: Stand) -> None:
    async def body() -> None:
        await stand.put(stand.device("lamp"))
        old, session = stand.secrets["lamp"], await stand.connect("lamp")
        await stand.put(stand.device("lamp"))
        assert old != stand.secrets["lamp"]
        assert await stand.refused("lamp", old)
        assert not await stand.refused("lamp")
        await ends(session)

    stand.run(body)


def test_who_is_removed_is_out_at_once_and_stays_out(stand: Stand) -> None:
    async def body() -> None:
        await stand.put(stand.device("lamp"), stand.device("other"))
        session, other = await stand.connect("lamp"), await stand.connect("other")
        await stand.authority.remove(["lamp", "never-existed"])
        await ends(session)
        assert await stand.refused("lamp")
        assert await alive(other)
        await stand.authority.remove(["lamp"])  # again is no error
        assert await stand.authority.usernames() == {"other"}
        await stand.put(stand.device("lamp"))  # and it may come back
        assert not await stand.refused("lamp")

    stand.run(body)


def test_a_kick_ends_the_session_and_nothing_else(stand: Stand) -> None:
    async def body() -> None:
        accounts = await stand.put(stand.device("lamp"), stand.device("other"))
        session, other = await stand.connect("lamp"), await stand.connect("other")
        await stand.authority.kick(["lamp", "never-existed"])
        await ends(session)
        assert not await stand.refused("lamp")
        assert await alive(other)
        assert await stand.authority.compare(accounts) == []
        assert await stand.authority.usernames() == {"lamp", "other"}

    stand.run(body)


def test_an_account_without_password_lets_nobody_in(stand: Stand) -> None:
    async def body() -> None:
        certificate = Account("meter", None, Rights(("m/meter/up",), ()))
        await stand.put(certificate, stand.device("lamp"))
        for password in ("", "anything"):
            assert await stand.refused("meter", password or " ")
        assert await stand.authority.compare([certificate]) == [
            Difference(DifferenceKind.EXTRA, "lamp")
        ]
        await stand.put(stand.account("meter", publish=("m/meter/up",)))
        assert not await stand.refused("meter")
        await stand.put(certificate)  # the password is taken away again
        assert await stand.refused("meter")
        assert await stand.authority.usernames() == {"lamp", "meter"}

    stand.run(body)


def test_every_kind_of_difference_is_found_and_mended(stand: Stand) -> None:
    async def body() -> None:
        same, stale, wrong = await stand.put(
            stand.device("same"), stand.device("stale"), stand.device("wrong")
        )
        await stand.put(stand.device("extra"))
        stale = stand.device("stale")  # the database has a new secret the broker knows not of
        wrong = replace(wrong, rights=Rights(wrong.rights.publish, ("m/wrong/other",)))
        wanted = [same, stale, wrong, stand.device("missing")]
        assert kinds(await stand.authority.compare(wanted)) == {
            (DifferenceKind.STALE, "stale"),
            (DifferenceKind.WRONG_RIGHTS, "wrong"),
            (DifferenceKind.MISSING, "missing"),
            (DifferenceKind.EXTRA, "extra"),
        }
        await stand.authority.remove(["extra"])
        now = await stand.put(*wanted)
        assert await stand.authority.compare(now) == []
        assert not await stand.refused("stale")
        assert not await stand.refused("missing")

    stand.run(body)


def test_more_rights_than_declared_are_a_difference(stand: Stand) -> None:
    async def body() -> None:
        [lamp] = await stand.put(stand.device("lamp"))
        for rights in (
            replace(lamp.rights, publish=lamp.rights.publish[:1]),
            replace(lamp.rights, subscribe=()),
            replace(lamp.rights, publish=(*lamp.rights.publish, "m/lamp/more")),
        ):
            found = await stand.authority.compare([replace(lamp, rights=rights)])
            assert kinds(found) == {(DifferenceKind.WRONG_RIGHTS, "lamp")}

    stand.run(body)


def test_lost_accounts_are_rebuilt_from_verifiers_alone(stand: Stand) -> None:
    async def body() -> None:
        accounts = await stand.put(stand.device("a"), stand.device("b"))
        await stand.put(stand.device("gone"))
        await stand.process.stop()
        stand.lose_the_accounts()
        await stand.process.start()
        await stand.process.wait_ready()
        assert await stand.refused("a")
        await stand.authority.replace(accounts)
        assert not await stand.refused("a")
        assert not await stand.refused("b")
        assert await stand.refused("gone")
        assert await stand.authority.compare(accounts) == []
        await stand.put(stand.device("c"))
        assert not await stand.refused("c")

    stand.run(body)


def test_replace_makes_it_exactly_these(stand: Stand) -> None:
    async def body() -> None:
        await stand.put(stand.device("old"))
        accounts = [stand.device(f"d{number}") for number in range(300)]
        await stand.authority.replace(accounts)
        assert await stand.authority.usernames() == {a.username for a in accounts}
        assert await stand.authority.compare(accounts) == []
        assert await stand.refused("old")
        for name in ("d0", "d299"):
            assert not await stand.refused(name)
        await stand.authority.replace([])
        assert await stand.authority.usernames() == set()
        assert await stand.refused("d0")

    stand.run(body)


def test_our_own_account_is_never_touched(stand: Stand) -> None:
    async def body() -> None:
        own = stand.service.username
        await stand.authority.remove([own])
        await stand.authority.replace([])
        service = await stand.connect_service()
        await service.subscribe(["$SYS/broker/version"])
        assert await received(service) == ["$SYS/broker/version"]
        assert own not in await stand.authority.usernames()
        assert await stand.authority.compare([]) == []

    stand.run(body)


def test_many_at_once(stand: Stand) -> None:
    async def body() -> None:
        accounts = [stand.device(f"d{number}") for number in range(40)]
        results = await asyncio.gather(*(stand.put(account) for account in accounts))
        held = [account for result in results for account in result]
        assert await stand.authority.compare(held) == []
        for name in ("d0", "d39"):
            assert not await stand.refused(name)
        await asyncio.gather(*(stand.authority.remove([a.username]) for a in accounts[:20]))
        assert await stand.authority.compare(held[20:]) == []

    stand.run(body)


def test_unusual_names(stand: Stand) -> None:
    async def body() -> None:
        names = ("admin", "server", "device", "with space", "ümläut", 'quo"te', "AA-BB-CC")
        accounts = await stand.put(
            *(stand.account(n, publish=(f"x/{i}",)) for i, n in enumerate(names))
        )
        assert await stand.authority.usernames() == set(names)
        assert await stand.authority.compare(accounts) == []
        for index, name in enumerate(names):
            connection = await stand.connect(name)
            assert await publish(connection, f"x/{index}")
            assert not await publish(connection, f"x/{index + 1}")
            await connection.close()
        await stand.authority.remove(names)
        assert await stand.authority.usernames() == set()
        assert await stand.authority.compare([]) == []

    stand.run(body)


def test_a_verifier_with_more_iterations(stand: Stand) -> None:
    async def body() -> None:
        strong = Account("strong", verifiers.make("secret", iterations=2000), Rights())
        await stand.authority.replace([strong])
        assert not await stand.refused("strong", "secret")
        assert await stand.authority.compare([strong]) == []

    stand.run(body)


def test_a_former_name_of_the_service_lets_nobody_in(stand: Stand) -> None:
    """After a move the broker keeps the session of our old name until we come back."""

    async def body() -> None:
        lamp = stand.device("lamp")
        authority = stand.with_former("service:old")
        await authority.replace([lamp])
        assert await authority.compare([lamp]) == []
        assert await authority.usernames() == {"lamp"}
        assert await stand.refused("service:old", "anything")
        for nothing in ("", None):
            with pytest.raises(BrokerUnavailable, match="rejects service:old"):
                await Connection.open(
                    Endpoint(port=stand.port, username="service:old", password=nothing)
                )
        await authority.remove(["service:old"])
        assert await authority.compare([lamp]) == []

    stand.run(body)
