"""Locking out and letting in again, and an old verifier that comes back without its password."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mooring.broker.config import DynamicSecurity
from mooring.broker.dynsec import DynsecAuthority
from mooring.broker.installation import find_dynsec_plugin
from mooring.broker.protocol import DifferenceKind
from mooring.broker.reload import by_pid
from mooring.broker.side_file import SideFile
from mooring.broker.versions import has_side_file, installed
from mooring.secrets import verifiers
from tests.conformance.authority.stand import (
    DynsecStand,
    PasswordFileStand,
    PluginStand,
    Stand,
    alive,
    ends,
    publish,
)


class BesideStand(DynsecStand):
    """Dynamic Security with a small password file beside it, as Mooring runs it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        path = folder / "beside"
        path.write_text("")
        self.beside: SideFile | None = None
        if has_side_file(installed(self.process.binary)):
            self.beside = SideFile(path, by_pid(lambda: self.process.pid), self.endpoint)
        self.configure(
            DynamicSecurity(find_dynsec_plugin(), self.file, path if self.beside else None)
        )
        self.authority = self.dynsec = DynsecAuthority(
            self.endpoint,
            self.service,
            file=self.file,
            restart=self.process.restart,
            beside=self.beside,
        )


@pytest.fixture(
    params=[BesideStand, PasswordFileStand, PluginStand],
    ids=["dynsec", "password_file", "plugin"],
)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Stand:
    made: Stand = request.param(tmp_path)
    return made


def test_locked_out_and_let_in_again_with_the_same_password(either: Stand) -> None:
    async def body() -> None:
        [lamp, other] = await either.put(either.device("lamp"), either.device("b"))
        live, neighbour = await either.connect(lamp.username), await either.connect("b")
        locked = replace(lamp, locked=True)
        await either.authority.put([locked])
        await ends(live)
        assert await either.refused(lamp.username)
        assert await either.authority.compare([locked, other]) == []
        assert await either.authority.usernames() == {"b"}
        applied = await either.authority.put([lamp])
        assert not applied.needs_replace
        back = await either.connect(lamp.username)
        assert await publish(back, f"m/{lamp.username}/up")
        assert await alive(neighbour)
        assert await either.authority.compare([lamp, other]) == []

    either.run(body)


def test_a_lock_is_a_difference_until_it_is_in_force(either: Stand) -> None:
    async def body() -> None:
        [lamp] = await either.put(either.device("lamp"))
        found = await either.authority.compare([replace(lamp, locked=True)])
        assert {one.kind for one in found} <= {DifferenceKind.WRONG_RIGHTS, DifferenceKind.EXTRA}
        assert len(found) == 1

    either.run(body)


def test_a_lock_outlives_replace(either: Stand) -> None:
    async def body() -> None:
        [lamp] = await either.put(either.device("lamp"))
        await either.authority.replace([replace(lamp, locked=True)])
        assert await either.refused("lamp")
        await either.authority.put([lamp])
        assert not await either.refused("lamp")

    either.run(body)


def test_an_old_verifier_comes_back_without_its_password(either: Stand) -> None:
    """And without a restart: nobody else notices."""

    async def body() -> None:
        [old, _] = await either.put(either.device("lamp"), either.device("b"))
        neighbour = await either.connect("b")
        secret = verifiers.new_password()
        new = replace(old, verifier=verifiers.make(secret))
        for _ in range(2):
            if isinstance(either, BesideStand) and either.beside is None:
                # The plugin of this version leaves nobody to a password file.
                [held] = await either.put(either.account("lamp", secret=secret))
                assert (await either.authority.put([old])).needs_replace == ("lamp",)
                assert held.verifier != old.verifier
                return
            await either.authority.put([new], {"lamp": secret})
            assert not await either.refused("lamp", secret)
            assert await either.refused("lamp")
            applied = await either.authority.put([old])
            assert not applied.needs_replace
            live = await either.connect("lamp")
            assert await publish(live, "m/lamp/up")
            assert not await publish(live, "m/b/up") or isinstance(either, PasswordFileStand)
            assert await either.refused("lamp", secret)
        assert await alive(neighbour)

    either.run(body)


def test_what_came_back_is_removed_and_survives_a_restart(tmp_path: Path) -> None:
    stand = BesideStand(tmp_path)
    if stand.beside is None:
        pytest.skip("The Dynamic Security of this version leaves nobody to a password file.")

    async def body() -> None:
        [old] = await stand.put(stand.device("lamp"))
        secret = verifiers.new_password()
        await stand.authority.put([replace(old, verifier=verifiers.make(secret))], {"lamp": secret})
        await stand.authority.put([old])
        assert stand.beside is not None
        assert stand.beside.lines() == {"lamp": old.verifier}
        await stand.process.restart()
        assert not await stand.refused("lamp")
        assert await stand.authority.compare([old]) == []
        await stand.authority.remove(["lamp"])
        assert stand.beside.lines() == {}
        assert await stand.refused("lamp")
        assert await stand.authority.compare([]) == []

    stand.run(body)


def test_a_username_with_a_colon_needs_the_plugins_own_file(tmp_path: Path) -> None:
    stand = BesideStand(tmp_path)

    async def body() -> None:
        [old] = await stand.put(stand.device("device:t:lamp"))
        secret = verifiers.new_password()
        new = replace(old, verifier=verifiers.make(secret))
        await stand.authority.put([new], {old.username: secret})
        applied = await stand.authority.put([old])
        assert applied.needs_replace == (old.username,)
        assert not await stand.refused(old.username, secret)  # nothing was changed
        # Locking out and letting in again needs no password and no restart.
        [held] = [replace(new, verifier=stand_verifier(stand, old.username))]
        await stand.authority.put([replace(held, locked=True)])
        assert await stand.refused(old.username, secret)
        assert not (await stand.authority.put([held])).needs_replace
        assert not await stand.refused(old.username, secret)

    stand.run(body)


def stand_verifier(stand: BesideStand, username: str) -> str | None:
    """What the plugin made of the password."""
    held = stand.dynsec._read_passwords()
    assert held is not None
    return held(username)
