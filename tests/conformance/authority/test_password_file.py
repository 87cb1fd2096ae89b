"""What only the password file has: reloads, and two files that must fit together."""

from __future__ import annotations

import asyncio

import pytest

from mooring.broker.installation import find_mosquitto
from mooring.broker.password_file import PasswordFileAuthority
from mooring.broker.versions import installed, patterns_span_levels
from mooring.errors import BrokerUnavailable, Invalid
from mooring.identity.account import Account, Rights
from mooring.secrets import verifiers
from tests.conformance.authority.stand import PasswordFileStand, alive, publish, received


def authority(stand: PasswordFileStand, **options: object) -> PasswordFileAuthority:
    settings = {"endpoint": stand.endpoint, "reload": stand.reload, "debounce": 0.05} | options
    return PasswordFileAuthority(stand.file, stand.acl, stand.service, **settings)  # type: ignore[arg-type]


def test_many_changes_cost_a_handful_of_reloads(files: PasswordFileStand) -> None:
    async def body() -> None:
        patient = authority(files, debounce=0.4)
        accounts = [files.device(f"d{n}") for n in range(500)]
        await asyncio.gather(*(patient.put([account]) for account in accounts))
        assert patient.reloads <= 3
        assert await patient.compare(accounts) == []
        assert not await files.refused("d0")
        assert not await files.refused("d499")

    files.run(body)


def test_nothing_to_change_costs_no_reload(files: PasswordFileStand) -> None:
    async def body() -> None:
        accounts = await files.put(files.device("lamp"))
        before = files.files.reloads
        await files.authority.put(accounts)
        await files.authority.remove(["nobody"])
        assert files.files.reloads == before

    files.run(body)


def test_patterns_span_levels_and_are_denied_to_others(files: PasswordFileStand) -> None:
    """With 2.0 ``%u`` stands for ``home/lamp1``; an account that lacks a right is denied it."""

    async def body() -> None:
        many = [files.device(f"home/lamp{n}") for n in range(3)]
        other = files.account("home/other", publish=("elsewhere",))
        flat = files.account("flat", publish=("flat/up",))
        accounts = await files.put(*many, other, flat)
        spanning = patterns_span_levels(installed(find_mosquitto()))
        text = files.acl.read_text()
        assert ("pattern write m/%u/up" in text) is spanning
        assert ("user home/lamp1" in text) is not spanning
        assert ("topic deny m/home/other/up" in text) is spanning
        lamp = await files.connect("home/lamp1")
        assert await publish(lamp, "m/home/lamp1/up")
        assert not await publish(lamp, "m/home/lamp2/up")
        denied = await files.connect("home/other")
        assert await publish(denied, "elsewhere")
        assert not await publish(denied, "m/home/other/up")
        watched = await files.connect_service()
        await watched.subscribe(["m/#"])
        nobody = await files.connect("flat")
        assert await publish(nobody, "flat/up")
        assert not await publish(nobody, "m/home/lamp1/up")
        assert await files.authority.compare(accounts) == []
        assert await received(watched) == []

    files.run(body)


def test_flush_does_not_wait(files: PasswordFileStand) -> None:
    async def body() -> None:
        patient = authority(files, debounce=3600)
        await patient.put([files.device("first")])  # at once, for nothing came before
        second = asyncio.create_task(patient.put([files.device("second")]))
        await asyncio.sleep(0.3)
        assert not second.done()
        await patient.flush()
        await second
        assert not await files.refused("second")

    files.run(body)


def test_files_written_by_a_process_that_died_before_telling_the_broker(
    files: PasswordFileStand,
) -> None:
    async def body() -> None:
        lamp = files.device("lamp")
        await authority(files, reload=None, endpoint=None).put([lamp])
        assert await files.refused("lamp")  # written, but not read
        assert await authority(files).compare([lamp]) == []
        assert not await files.refused("lamp")

    files.run(body)


def test_a_change_whose_reload_failed_is_told_again(files: PasswordFileStand) -> None:
    async def body() -> None:
        failures = 1

        async def stumble() -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise BrokerUnavailable("The reload command failed.")
            await files.reload()

        stumbling, lamp = authority(files, reload=stumble), files.device("lamp")
        with pytest.raises(BrokerUnavailable):
            await stumbling.put([lamp])
        assert await files.refused("lamp")
        await stumbling.put([lamp])  # nothing to write, but it is not in force yet
        assert not await files.refused("lamp")

    files.run(body)


def test_a_broker_that_does_not_run_is_no_success(files: PasswordFileStand) -> None:
    async def body() -> None:
        await files.process.stop()
        lamp, other = files.device("lamp"), files.device("other")
        for attempt in (lamp, other):
            with pytest.raises(BrokerUnavailable):
                await files.authority.put([attempt])
        await files.process.start()
        await files.process.wait_ready()
        await files.authority.put([lamp])  # the change is still pending, and is tried again
        assert await files.authority.compare([lamp, other]) == []

    files.run(body)


def test_a_broker_that_reads_other_files_is_found_out(
    files: PasswordFileStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mooring.broker.password_file.CONFIRM_SECONDS", 0.3)

    async def body() -> None:
        elsewhere = PasswordFileAuthority(
            files.folder / "other-passwd",
            files.folder / "other-acl",
            files.service,
            reload=files.reload,
            endpoint=files.endpoint,
        )
        with pytest.raises(BrokerUnavailable) as caught:
            await elsewhere.put([files.device("lamp")])
        assert caught.value.slug == "broker_not_reloaded"

    files.run(body)


@pytest.mark.parametrize("username", ["device:tenant:lamp", "#lamp", " lamp", "la\nmp"])
def test_usernames_it_cannot_hold_change_nothing(files: PasswordFileStand, username: str) -> None:
    async def body() -> None:
        with pytest.raises(Invalid):
            await files.authority.put(
                [files.device("good"), Account(username, verifiers.make("x"), Rights())]
            )
        assert await files.authority.usernames() == set()

    files.run(body)


def test_one_pattern_serves_all_where_that_is_exact(files: PasswordFileStand) -> None:
    async def body() -> None:
        await files.put(*(files.device(f"d{n}") for n in range(50)))
        text = files.acl.read_text()
        assert "pattern write m/%u/up" in text
        assert "user d1" not in text
        one, session = await files.connect("d1"), await files.connect("d2")
        assert await publish(one, "m/d1/up")
        assert not await publish(one, "m/d2/up")
        await files.put(files.account("odd", publish=("elsewhere",)))
        text = files.acl.read_text()
        assert "pattern write m/%u/up" in text
        assert "user d1" not in text
        odd = await files.connect("odd")
        assert await publish(odd, "elsewhere")
        assert not await publish(odd, "m/odd/up")
        assert await alive(session)
        assert await publish(one, "m/d1/up")
        assert not await publish(one, "m/d2/up")

    files.run(body)


def test_others_accounts_are_left_alone(files: PasswordFileStand) -> None:
    async def body() -> None:
        bridge = files.account("bridge", publish=("b/#",))
        await files.put(bridge)
        ours = authority(files, keep=["bridge"])
        await ours.remove(["bridge"])
        assert await ours.compare([]) == []
        await ours.replace([files.device("lamp")])
        assert await ours.usernames() == {"lamp"}
        connection = await files.connect("bridge")
        assert await publish(connection, "b/x")
        assert not await publish(connection, "c")

    files.run(body)


def test_secrets_are_for_the_owner_only(files: PasswordFileStand) -> None:
    async def body() -> None:
        await files.put(files.device("lamp"))
        assert files.file.stat().st_mode & 0o777 == 0o600
        assert files.acl.stat().st_mode & 0o777 == 0o600
        assert files.secrets["lamp"] not in files.file.read_text()

    files.run(body)
