"""The certificate watch, round by round, with a reload that only counts or fails."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.broker.connection import Endpoint
from mooring.devices.model import NewDevice
from mooring.errors import BrokerUnavailable
from mooring.identity.actor import SYSTEM
from mooring.pki.crl import read_crls
from mooring.pki.files import PkiFiles
from mooring.settings import Settings
from mooring.store.schema import broker_changes
from mooring.wiring.certificates import CertificateWatch


@dataclass
class Broker:
    """Counts reloads; ``away``: it cannot be told."""

    reloads: int = 0
    away: bool = False

    async def reload(self) -> None:
        if self.away:
            raise BrokerUnavailable("The broker does not run.")
        self.reloads += 1


@pytest.fixture
def app(tmp_path: Path, migrated_file: Path) -> Iterator[App]:
    (tmp_path / "data").mkdir()
    shutil.copy(migrated_file, tmp_path / "data" / "mooring.db")
    with open_app(Settings(data_dir=tmp_path / "data")) as opened:
        opened.pki.init()
        opened.devices.add(SYSTEM, NewDevice("pump", "mooring", "acme"))
        yield opened


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def watch(app: App, broker: Broker) -> CertificateWatch:
    made = CertificateWatch(app, broker.reload, Endpoint(port=1))
    rounds(made)
    assert broker.reloads == 1  # it was started some time ago: what it has read is not known
    return made


def rounds(watch: CertificateWatch, count: int = 3) -> None:
    async def run() -> None:
        for _ in range(count):
            await watch.step()

    asyncio.run(run())


def _listed(app: App) -> set[str]:
    lists = read_crls(app.pki.paths.crl.read_bytes())
    return {f"{line.serial_number:x}" for one in lists for line in one}


def kicks(app: App) -> list[str]:
    with app.database.read() as connection:
        statement = sa.select(broker_changes.c.username).where(broker_changes.c.action == "kick")
        return list(connection.execute(statement).scalars())


def test_nothing_happens_while_nothing_changes(watch: CertificateWatch, broker: Broker) -> None:
    rounds(watch, 5)
    assert broker.reloads == 1


def test_a_kick_comes_after_the_reload_and_not_before(
    app: App, watch: CertificateWatch, broker: Broker
) -> None:
    app.certificates.issue(SYSTEM, "pump")
    broker.away = True
    done = app.certificates.revoke(SYSTEM, "pump").certificates
    for _ in range(3):
        with suppress(BrokerUnavailable):  # what `run` logs and tries again
            rounds(watch, 1)
    assert kicks(app) == []
    assert len(app.certificates.ledger.unenforced()) == 1
    broker.away = False
    rounds(watch)
    assert broker.reloads == 2
    assert kicks(app) == ["acme/pump"]
    assert app.certificates.ledger.unenforced() == []
    assert app.certificates.wait_in_force(done, 0) is False  # until the kick is out
    rounds(watch)
    assert broker.reloads == 2


def test_a_revocation_that_was_not_finished_is_finished_by_the_next_start(
    app: App, broker: Broker
) -> None:
    _, bundle = app.certificates.issue(SYSTEM, "pump")
    app.certificates.revoke(SYSTEM, "pump")
    app.pki.paths.crl.unlink()  # as if the machine went down before the list was written
    rounds(CertificateWatch(app, broker.reload, Endpoint(port=1)), 4)
    assert broker.reloads >= 1
    assert app.certificates.ledger.unenforced() == []
    assert kicks(app) == ["acme/pump"]
    assert app.pki.check() == []
    assert bundle.info.serial in _listed(app)


def test_a_disabled_device_is_kicked_once_and_let_in_again(
    app: App, watch: CertificateWatch, broker: Broker
) -> None:
    app.certificates.issue(SYSTEM, "pump")
    app.devices.set_enabled(SYSTEM, "pump", enabled=False)
    rounds(watch)
    assert (broker.reloads, kicks(app)) == (2, ["acme/pump"])
    app.devices.set_enabled(SYSTEM, "pump", enabled=True)
    rounds(watch)
    assert (broker.reloads, kicks(app)) == (3, ["acme/pump"])
    assert app.pki.list()[0].revoked_at is None


def test_files_that_the_broker_cannot_use_are_not_given_to_it(
    app: App, watch: CertificateWatch, broker: Broker
) -> None:
    paths = app.pki.paths
    paths.crl.write_text("rubbish")
    rounds(watch)
    assert b"rubbish" not in paths.crl.read_bytes()
    assert app.pki.check() == []
    before = broker.reloads
    ca_key = PkiFiles(app.settings.data_dir).ca_key
    kept, _ = ca_key.read_bytes(), ca_key.write_text("rubbish")
    paths.trust.write_bytes(b"")
    for _ in range(3):
        with pytest.raises(Exception, match=r"ca\.key"):
            rounds(watch, 1)
    assert broker.reloads == before
    ca_key.write_bytes(kept)
    rounds(watch)
    assert app.pki.check() == []


def test_a_removed_device_is_revoked(app: App, watch: CertificateWatch) -> None:
    app.certificates.issue(SYSTEM, "pump")
    app.devices.remove(SYSTEM, "pump")
    # Nobody of that name has an account, so only its client ids could be ended: it has none.
    rounds(watch)
    (record,) = app.pki.list()
    assert (record.revoked_at is not None, str(record.reason)) == (True, "cessationOfOperation")
    assert app.certificates.ledger.unenforced() == []
    assert kicks(app) == []
