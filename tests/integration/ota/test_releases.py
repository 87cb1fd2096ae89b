"""Releases on both databases, with real files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.errors import Conflict, Forbidden, Invalid, MooringError, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.ota.releases import manifest, store, tidying
from mooring.ota.releases.files import KEPT_SECONDS
from mooring.ota.releases.keys import Keys
from mooring.ota.releases.model import KeyState, NewRelease, Release, State
from mooring.ota.releases.service import ARTIFACTS_MAX, Releases
from mooring.ota.releases.states import Step
from mooring.settings import Settings
from mooring.store.schema import firmware_artifacts, firmware_signatures
from tests.support.images import esp32

PRIVATE = manifest.generate(manifest.ED25519)
PEM = manifest.public_pem(PRIVATE.public_key())
IMAGE = esp32("1.4.0", "trap", chip=5)


@pytest.fixture
def settings(tmp_path: Path, migrated_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=migrated_url,
        firmware_max_bytes=100_000,
        firmware_bytes_per_tenant=120_000,
        firmware_releases_max_per_tenant=5,
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[App]:
    with open_app(settings) as app:
        yield app


@pytest.fixture
def releases(platform: App) -> Releases:
    return platform.service(Releases)


def draft(releases: Releases, version: str = "1.4.0", tenant: str = "home") -> Release:
    return releases.create(SYSTEM, NewRelease("trap", version, tenant, hardware=("esp32-c3",)))


def put(
    releases: Releases,
    release: Release,
    content: bytes = IMAGE,
    name: str = "app.bin",
    **more: object,
) -> Release:
    with releases.files.receive(releases.settings.firmware_max_bytes) as incoming:
        incoming.write(content[:300])
        incoming.write(content[300:])
        return releases.add_file(SYSTEM, str(release.id), name, incoming, **more)  # type: ignore[arg-type]


def sign(releases: Releases, release: Release, name: str = "app.bin") -> Release:
    signed = manifest.canonical(manifest.describe(release, releases.artifact(release, name)))
    return releases.sign(SYSTEM, release.reference, name, manifest.sign(PRIVATE, signed))


def code(caught: pytest.ExceptionInfo[MooringError]) -> str:
    return caught.value.slug


def test_from_draft_to_withdrawn(platform: App, releases: Releases) -> None:
    platform.service(Keys).add(SYSTEM, "home", "mine", PEM)
    made = draft(releases)
    assert made.state is State.DRAFT
    made = put(releases, made)
    (file,) = made.artifacts
    assert (file.size, file.image) == (
        len(IMAGE),
        "ESP32 image: project trap, version 1.4.0, chip esp32-c3",
    )
    with pytest.raises(Conflict) as unsigned:
        releases.step(SYSTEM, "trap:1.4.0", Step.PUBLISH)
    assert code(unsigned) == "release_unsigned"
    sign(releases, made)
    done = releases.step(SYSTEM, "trap:1.4.0", Step.PUBLISH)
    assert (done.state, done.published_at is not None) == (State.PUBLISHED, True)
    for change in (
        lambda: put(releases, done, b"more", "more.bin"),
        lambda: releases.drop_file(SYSTEM, "trap:1.4.0", "app.bin"),
        lambda: releases.remove(SYSTEM, "trap:1.4.0"),
    ):
        with pytest.raises(Conflict) as fixed:
            change()
        assert code(fixed) == "release_state"
    assert releases.step(SYSTEM, "trap:1.4.0", Step.DEPRECATE).state is State.DEPRECATED
    assert releases.step(SYSTEM, "trap:1.4.0", Step.RESTORE).ended_at is None
    with pytest.raises(Invalid) as no_reason:
        releases.step(SYSTEM, "trap:1.4.0", Step.WITHDRAW)
    assert code(no_reason) == "reason_needed"
    gone = releases.step(SYSTEM, "trap:1.4.0", Step.WITHDRAW, reason="it bricks")
    assert (gone.state, gone.reason) == (State.WITHDRAWN, "it bricks")
    for written in ("1.4.0", "1.4", "v1.4.0"):
        with pytest.raises(Conflict) as again:
            draft(releases, written)
        assert code(again) == "release_exists"


def test_a_file_is_stored_once_and_read_whole(releases: Releases, tmp_path: Path) -> None:
    first, second = draft(releases), draft(releases, "1.5.0")
    put(releases, first)
    put(releases, second, name="same.bin", force=True, reason="the same content")
    (file,) = releases.get(SYSTEM, "trap:1.4.0").artifacts
    assert b"".join(releases.files.read(file.sha256)) == IMAGE
    stored = [one for one in (tmp_path / "data" / "artifacts").rglob("*") if one.is_file()]
    assert [one.name for one in stored] == [file.sha256]
    assert stored[0].stat().st_mode & 0o777 == 0o600


def test_a_label_that_contradicts_the_image(releases: Releases) -> None:
    made = draft(releases, "1.5.0")
    with pytest.raises(Invalid, match=r"the image is version 1\.4\.0, not 1\.5\.0") as caught:
        put(releases, made)
    assert code(caught) == "image_contradicts"
    with pytest.raises(Invalid) as no_reason:
        put(releases, made, force=True)
    assert code(no_reason) == "reason_needed"
    assert releases.get(SYSTEM, "trap:1.5.0").artifacts == ()
    assert put(releases, made, force=True, reason="the header is old").artifacts


def test_limits(releases: Releases) -> None:
    made = draft(releases)
    with pytest.raises(Invalid) as large:
        put(releases, made, bytes(100_001))
    assert code(large) == "artifact_too_large"
    with pytest.raises(Invalid) as empty:
        put(releases, made, b"")
    assert code(empty) == "artifact_empty"
    put(releases, made, bytes(90_000), "a.bin")
    put(releases, made, bytes(90_000), "b.bin")  # the same content takes no room
    with pytest.raises(Conflict, match="would exceed 120,000") as full:
        put(releases, made, bytes(40_000), "c.bin")
    assert code(full) == "limit_reached"
    with pytest.raises(Conflict) as twice:
        put(releases, made, b"x", "a.bin")
    assert code(twice) == "artifact_exists"
    for number in range(ARTIFACTS_MAX - 2):
        put(releases, made, b"%d" % number, f"{number}.bin")
    with pytest.raises(Conflict) as many:
        put(releases, made, b"x", "x.bin")
    assert code(many) == "limit_reached"
    for number in range(4):
        draft(releases, f"2.{number}")
    with pytest.raises(Conflict) as releases_full:
        draft(releases, "3")
    assert code(releases_full) == "limit_reached"
    draft(releases, "3", "elsewhere")


def test_what_nothing_refers_to_is_deleted_later(
    platform: App, releases: Releases, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "artifacts"
    made = put(releases, draft(releases))
    (kept,) = made.artifacts
    with releases.files.receive(1000) as incoming:  # the process ended before it wrote the row
        incoming.write(b"another")
        other = incoming.finish().sha256
    (folder / "incoming" / "cut").write_bytes(b"half")
    assert tidying.sweep(platform.database, releases.files) == 0  # too young
    for one in folder.rglob("*"):
        old = one.stat().st_mtime - 30 * KEPT_SECONDS
        os.utime(one, (old, old))
    assert tidying.sweep(platform.database, releases.files) == 2
    assert not releases.files.path(other).exists()
    assert releases.files.is_whole(kept.sha256)


def stored_in(folder: Path) -> set[str]:
    return {one.name for one in folder.rglob("*") if one.is_file()}


def test_rejected_and_dropped_files_take_no_space(releases: Releases, tmp_path: Path) -> None:
    """One user could otherwise fill the disk, far beyond the limit of the tenant."""
    folder = tmp_path / "data" / "artifacts"
    made = put(releases, draft(releases), bytes(90_000), "a.bin")
    kept = {made.artifacts[0].sha256}
    for number in range(3):
        with pytest.raises(Conflict) as full:
            put(releases, made, bytes(40_000 + number), "b.bin")
        assert code(full) == "limit_reached"
        with pytest.raises(Conflict) as twice:
            put(releases, made, b"%d" % number, "a.bin")
        assert code(twice) == "artifact_exists"
        assert stored_in(folder) == kept
        put(releases, made, bytes(20_000 + number), "c.bin")
        releases.drop_file(SYSTEM, "trap:1.4.0", "c.bin")
        assert stored_in(folder) == kept
    # The same content in another release stays, even if it is dropped or rejected elsewhere.
    other = put(releases, draft(releases, "1.5", "elsewhere"), bytes(90_000), "same.bin")
    with pytest.raises(Conflict):
        put(releases, other, bytes(90_000), "same.bin")
    releases.remove(SYSTEM, "trap:1.4.0")
    assert stored_in(folder) == kept
    releases.remove(SYSTEM, str(other.id))
    assert stored_in(folder) == set()


def test_a_file_that_is_swept_while_it_arrives_is_put_back(
    platform: App, releases: Releases
) -> None:
    made = draft(releases)
    with releases.files.receive(1000) as incoming:
        incoming.write(b"content")
        stored = incoming.finish()
        releases.files.path(stored.sha256).unlink()  # a sweep that had looked before
        incoming.confirm(stored)
        assert releases.files.is_whole(stored.sha256)
    assert made.artifacts == ()
    with platform.database.read() as connection:
        assert store.known_files(connection, [stored.sha256]) == set()


def test_verify(platform: App, releases: Releases) -> None:
    keys = platform.service(Keys)
    keys.add(SYSTEM, "home", "mine", PEM)
    made = put(releases, draft(releases))
    sign(releases, made)
    made = releases.get(SYSTEM, "trap:1.4.0")
    (checked,) = releases.verify(SYSTEM, made)
    assert (checked.whole, checked.signers, checked.problems) == (True, ("mine",), ())
    releases.files.path(made.artifacts[0].sha256).write_bytes(b"changed on the disk")
    keys.end(SYSTEM, "mine", KeyState.REVOKED, reason="stolen")
    (checked,) = releases.verify(SYSTEM, made)
    assert (checked.whole, checked.signers) == (False, ())
    assert checked.problems == ("the key mine is revoked",)
    with pytest.raises(Conflict) as unsigned:
        releases.step(SYSTEM, "trap:1.4.0", Step.PUBLISH)
    assert code(unsigned) == "release_unsigned"


def test_unsigned_only_where_the_settings_allow_it(settings: Settings) -> None:
    allowed = settings.model_copy(update={"firmware_signatures": "optional"})
    with open_app(allowed) as platform:
        releases = platform.service(Releases)
        put(releases, draft(releases))
        operator = Actor("ada", Role.OPERATOR, "home")
        with pytest.raises(Forbidden):
            releases.step(operator, "trap:1.4.0", Step.PUBLISH, unsigned=True)
        with pytest.raises(Conflict):
            releases.step(SYSTEM, "trap:1.4.0", Step.PUBLISH)
        done = releases.step(SYSTEM, "trap:1.4.0", Step.PUBLISH, unsigned=True)
        assert done.state is State.PUBLISHED
    with open_app(settings) as platform:
        releases = platform.service(Releases)
        put(releases, draft(releases, "1.6"), b"no header")
        with pytest.raises(Conflict):
            releases.step(SYSTEM, "trap:1.6", Step.PUBLISH, unsigned=True)


def test_tenants_and_roles(platform: App, releases: Releases) -> None:
    keys = platform.service(Keys)
    keys.add(SYSTEM, "home", "mine", PEM)
    made = put(releases, draft(releases))
    stranger = Actor("eve", Role.ADMIN, "elsewhere")
    viewer = Actor("vic", Role.VIEWER, "home")
    assert releases.page(stranger) == []
    assert keys.page(stranger) == []
    for reference in ("trap:1.4.0", str(made.id)):
        with pytest.raises(NotFound) as caught:
            releases.get(stranger, reference)
        assert code(caught) == "release_not_found"
    with pytest.raises(NotFound):
        keys.end(stranger, "mine", KeyState.RETIRED)
    assert releases.get(viewer, "trap:1.4.0").id == made.id
    for forbidden in (
        lambda: releases.create(viewer, NewRelease("x", "1", "home")),
        lambda: releases.drop_file(viewer, "trap:1.4.0", "app.bin"),
        lambda: releases.step(viewer, "trap:1.4.0", Step.PUBLISH),
        lambda: releases.remove(viewer, "trap:1.4.0"),
        lambda: keys.add(Actor("ada", Role.OPERATOR, "home"), "home", "k", PEM),
        lambda: keys.end(Actor("ada", Role.OPERATOR, "home"), "mine", KeyState.RETIRED),
    ):
        with pytest.raises(Forbidden):
            forbidden()
    # A key of another tenant vouches for nothing here.
    other = draft(releases, tenant="elsewhere")
    put(releases, other)
    with pytest.raises(Conflict, match="names several releases"):
        releases.get(SYSTEM, "trap:1.4.0")
    signed = manifest.canonical(
        manifest.describe(other, releases.get(SYSTEM, str(other.id)).artifacts[0])
    )
    with pytest.raises(Invalid) as unknown:
        releases.sign(SYSTEM, str(other.id), "app.bin", manifest.sign(PRIVATE, signed))
    assert code(unknown) == "signature_invalid"


def test_keys(platform: App) -> None:
    keys = platform.service(Keys)
    made = keys.add(SYSTEM, "home", "mine", PEM)
    assert (made.key, made.state) == (manifest.key_id(PRIVATE.public_key()), KeyState.TRUSTED)
    for name, pem in (
        ("mine", manifest.public_pem(manifest.generate("ed25519").public_key())),
        ("x", PEM),
    ):
        with pytest.raises(Conflict) as caught:
            keys.add(SYSTEM, "home", name, pem)
        assert code(caught) == "key_exists"
    assert keys.end(SYSTEM, made.key, KeyState.RETIRED).state is KeyState.RETIRED
    assert keys.end(SYSTEM, "mine", KeyState.REVOKED, reason="stolen").state is KeyState.REVOKED
    for state in (KeyState.RETIRED, KeyState.REVOKED):
        with pytest.raises(Conflict) as ended:
            keys.end(SYSTEM, "mine", state, reason="again")
        assert code(ended) == "key_state"


def test_one_publishes_while_another_uploads(platform: App, releases: Releases) -> None:
    """What is published is what was signed: no file comes in between."""
    platform.service(Keys).add(SYSTEM, "home", "mine", PEM)
    sign(releases, put(releases, draft(releases)))
    failures: list[MooringError] = []

    def upload() -> None:
        for number in range(10):
            try:
                put(releases, releases.get(SYSTEM, "trap:1.4.0"), b"%d" % number, f"{number}.bin")
            except MooringError as exc:
                failures.append(exc)

    thread = threading.Thread(target=upload)
    thread.start()
    published = False
    while thread.is_alive() and not published:
        try:
            releases.step(SYSTEM, "trap:1.4.0", Step.PUBLISH)
            published = True
        except Conflict as exc:
            assert exc.slug == "release_unsigned"
    thread.join()
    found = releases.get(SYSTEM, "trap:1.4.0")
    if found.state is State.PUBLISHED:
        with platform.database.read() as connection:
            signed = set(connection.execute(sa.select(firmware_signatures.c.artifact_id)).scalars())
            there = set(connection.execute(sa.select(firmware_artifacts.c.id)).scalars())
        assert there == signed
        assert {one.slug for one in failures} <= {"release_state"}
    else:
        assert len(found.artifacts) == 11
