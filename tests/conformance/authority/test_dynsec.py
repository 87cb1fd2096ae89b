"""What only Dynamic Security has: an API without hashes, a file, other administrators."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from mooring.broker.dynsec import DynsecAuthority
from mooring.broker.protocol import Difference, DifferenceKind
from mooring.errors import BrokerUnavailable
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers
from tests.conformance.authority.stand import DynsecStand, alive, ends


def test_a_new_verifier_is_adopted(dynsec: DynsecStand) -> None:
    async def body() -> None:
        lamp = dynsec.device("lamp")
        applied = await dynsec.authority.put([lamp], dynsec.secrets)
        adopted = applied.adopted["lamp"]
        assert adopted != lamp.verifier
        assert verifiers.check(dynsec.secrets["lamp"], adopted)
        assert await dynsec.authority.compare([lamp]) == [Difference(DifferenceKind.STALE, "lamp")]
        assert await dynsec.authority.compare([replace(lamp, verifier=adopted)]) == []

    dynsec.run(body)


def test_a_verifier_without_its_secret_needs_a_replacement(dynsec: DynsecStand) -> None:
    async def body() -> None:
        [kept] = await dynsec.put(dynsec.device("kept"))
        lamp = dynsec.device("lamp")
        applied = await dynsec.authority.put([lamp, kept])
        assert applied.needs_replace == ("lamp",)
        assert await dynsec.authority.usernames() == {"kept"}
        await dynsec.authority.replace([lamp, kept])
        assert not await dynsec.refused("lamp")
        assert not await dynsec.refused("kept")
        assert (await dynsec.authority.put([lamp, kept])).needs_replace == ()

    dynsec.run(body)


def test_without_its_file_everything_but_passwords_is_compared(dynsec: DynsecStand) -> None:
    """As with a broker on another machine."""

    async def body() -> None:
        remote = DynsecAuthority(dynsec.endpoint, dynsec.service)
        try:
            lamp = dynsec.device("lamp")
            applied = await remote.put([lamp], dynsec.secrets)
            assert applied.adopted == {}
            assert not await dynsec.refused("lamp")
            assert await remote.compare([lamp]) == []
            wider = replace(lamp, rights=Rights(("x",), ()))
            assert [d.kind for d in await remote.compare([wider])] == [DifferenceKind.WRONG_RIGHTS]
            assert not (await remote.put([wider])).needs_replace
            with pytest.raises(BrokerUnavailable, match="is not set"):
                await remote.replace([lamp])
        finally:
            await remote.close()

    dynsec.run(body)


def test_others_accounts_are_left_alone(dynsec: DynsecStand) -> None:
    async def body() -> None:
        await dynsec.put(dynsec.account("bridge", publish=("b/#",)))
        bridge = await dynsec.connect("bridge")
        authority = DynsecAuthority(
            dynsec.endpoint,
            dynsec.service,
            file=dynsec.file,
            restart=dynsec.process.restart,
            keep=["bridge"],
        )
        try:
            assert await authority.usernames() == set()
            assert await authority.compare([]) == []
            await authority.remove(["bridge"])
            assert await alive(bridge)
            await authority.replace([dynsec.device("lamp")])
            assert not await dynsec.refused("bridge")
            assert await authority.usernames() == {"lamp"}
        finally:
            await authority.close()

    dynsec.run(body)


def test_an_operators_change_is_found_and_undone(dynsec: DynsecStand) -> None:
    async def body() -> None:
        [lamp] = await dynsec.put(dynsec.device("lamp"))
        await dynsec.dynsec.send([{"command": "disableClient", "username": "lamp"}])
        assert await dynsec.refused("lamp")
        assert await dynsec.authority.compare([lamp]) == [
            Difference(DifferenceKind.MISSING, "lamp", "disabled on the broker")
        ]
        assert await dynsec.authority.usernames() == set()
        await dynsec.put(lamp)
        assert not await dynsec.refused("lamp")
        await dynsec.dynsec.send(
            [
                {
                    "command": "addClientRole",
                    "username": "lamp",
                    "rolename": "admin",
                    "priority": 1,
                }
            ]
        )
        [found] = await dynsec.authority.compare([lamp])
        assert found.kind is DifferenceKind.WRONG_RIGHTS
        await dynsec.put(lamp)
        assert await dynsec.authority.compare([lamp]) == []

    dynsec.run(body)


def test_a_crash_between_client_and_role_leaves_nothing(dynsec: DynsecStand) -> None:
    async def body() -> None:
        await dynsec.put(dynsec.device("lamp"), dynsec.account("admin"))
        for name in ("lamp", "admin"):  # deleteRole did not come through
            await dynsec.dynsec.send([{"command": "deleteClient", "username": name}])
        assert await dynsec.authority.usernames() == set()
        assert set(await dynsec.authority.compare([])) == {
            Difference(DifferenceKind.EXTRA, "lamp", "only its role"),
            Difference(DifferenceKind.EXTRA, "admin", "only its role"),
        }
        await dynsec.authority.remove(["lamp", "admin"])
        assert await dynsec.authority.compare([]) == []

    dynsec.run(body)


def test_a_deleted_file_is_written_again(dynsec: DynsecStand) -> None:
    """The plugin has its accounts in memory; the next command saves them all."""

    async def body() -> None:
        [lamp] = await dynsec.put(dynsec.device("lamp"))
        dynsec.file.unlink()
        lost = await dynsec.authority.compare([lamp])
        assert [d.kind for d in lost] == [DifferenceKind.STALE]
        assert dynsec.authority.only_by_replace([lamp], lost) == ()
        session = await dynsec.connect("lamp")
        assert not (await dynsec.authority.put([lamp])).needs_replace
        assert await dynsec.authority.compare([lamp]) == []
        assert await alive(session)
        dynsec.file.unlink()
        [other] = await dynsec.put(dynsec.device("other"))
        assert await dynsec.authority.compare([lamp, other]) == []
        names = {c["username"] for c in json.loads(dynsec.file.read_text())["clients"]}
        assert names == {"lamp", "other", dynsec.service.username}

    dynsec.run(body)


def test_a_restarted_broker_is_reached_again(dynsec: DynsecStand) -> None:
    async def body() -> None:
        accounts = await dynsec.put(dynsec.device("lamp"))
        await dynsec.process.restart()
        assert await dynsec.authority.compare(accounts) == []
        await dynsec.process.stop()
        with pytest.raises(BrokerUnavailable):
            await dynsec.authority.usernames()
        await dynsec.process.start()
        await dynsec.process.wait_ready()
        assert await dynsec.authority.usernames() == {"lamp"}

    dynsec.run(body)


def test_without_the_right_to_control_it_says_so(dynsec: DynsecStand) -> None:
    async def body() -> None:
        await dynsec.put(dynsec.device("lamp"))
        endpoint = replace(dynsec.endpoint, username="lamp", password=dynsec.secrets["lamp"])
        powerless = DynsecAuthority(endpoint, dynsec.service)
        with pytest.raises(BrokerUnavailable) as caught:
            await powerless.usernames()
        assert caught.value.slug == "broker_refused"
        await powerless.close()

    dynsec.run(body)


def test_two_administrators_at_once(dynsec: DynsecStand) -> None:
    """Answers go to every administrator; each must take only its own."""

    async def body() -> None:
        other = DynsecAuthority(dynsec.endpoint, dynsec.service, file=dynsec.file)
        try:
            first = [dynsec.device(f"a{n}") for n in range(15)]
            second = [dynsec.device(f"b{n}") for n in range(15)]
            one, two = await asyncio.gather(
                dynsec.authority.put(first, dynsec.secrets), other.put(second, dynsec.secrets)
            )
            adopted = {**one.adopted, **two.adopted}
            held = [replace(a, verifier=adopted[a.username]) for a in (*first, *second)]
            assert await other.compare(held) == []
        finally:
            await other.close()

    dynsec.run(body)


def test_more_accounts_than_one_page(dynsec: DynsecStand) -> None:
    async def body() -> None:
        accounts = [
            Account(f"d{n:04}", dynsec.service.verifier, Rights((f"m/{n}/up",), (f"m/{n}/down",)))
            for n in range(1203)
        ]
        await dynsec.authority.replace(accounts)
        assert len(await dynsec.authority.usernames()) == 1203
        assert await dynsec.authority.compare(accounts) == []

    dynsec.run(body)


def test_a_kick_ends_every_session_of_a_login(dynsec: DynsecStand) -> None:
    async def body() -> None:
        await dynsec.put(dynsec.device("lamp"))
        sessions = [await dynsec.connect("lamp") for _ in range(3)]
        await dynsec.authority.kick(["lamp"])
        for session in sessions:
            await ends(session)

    dynsec.run(body)


def test_an_account_has_one_client_id_and_keeps_it(dynsec: DynsecStand) -> None:
    async def body() -> None:
        [lamp] = await dynsec.put(replace(dynsec.device("lamp"), client_id="lamp-1"))
        assert await dynsec.authority.compare([lamp]) == []
        assert await dynsec.refused("lamp", client_id="lamp-2")
        assert not await dynsec.refused("lamp", client_id="lamp-1")
        wider = replace(lamp, rights=Rights(("m/lamp/new",), ()))
        assert not (await dynsec.authority.put([wider])).needs_replace
        assert await dynsec.refused("lamp", client_id="lamp-2")
        [other] = await dynsec.put(replace(wider, client_id="lamp-2"))
        assert await dynsec.refused("lamp", client_id="lamp-1")
        await dynsec.authority.replace([other])
        assert await dynsec.refused("lamp", client_id="lamp-1")
        assert not await dynsec.refused("lamp", client_id="lamp-2")
        free = replace(other, client_id=None)
        found = await dynsec.authority.compare([free])
        assert [d.kind for d in found] == [DifferenceKind.WRONG_RIGHTS]
        await dynsec.authority.put([free])
        assert not await dynsec.refused("lamp", client_id="anything")
        assert await dynsec.authority.compare([free]) == []

    dynsec.run(body)


def test_roles_of_older_versions_are_replaced(dynsec: DynsecStand) -> None:
    """They were named like the account: two accounts could share one."""

    async def body() -> None:
        name = "account:lamp"
        [lamp] = await dynsec.put(dynsec.device(name))
        await dynsec.process.stop()
        dynsec.file.write_text(dynsec.file.read_text().replace(f"account:{name}", name))
        await dynsec.process.start()
        await dynsec.process.wait_ready()
        found = await dynsec.authority.compare([lamp])
        assert {d.kind for d in found} == {DifferenceKind.WRONG_RIGHTS}
        await dynsec.authority.put([lamp])
        assert await dynsec.authority.compare([lamp]) == []
        [answer] = await dynsec.dynsec.send([{"command": "listRoles"}])
        assert set(answer["data"]["roles"]) == {"admin", "server", "device", f"account:{name}"}

    dynsec.run(body)
