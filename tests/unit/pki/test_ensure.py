"""The directory: made once, left alone, put right."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509

from mooring.errors import Gone, Invalid, Unavailable
from mooring.pki import files as files_module
from mooring.pki.authority import CertificateAuthority
from mooring.pki.crl import is_by, read_crls
from mooring.pki.describe import describe
from mooring.pki.ensure import ensure, settle
from mooring.pki.files import PkiFiles, write_atomically
from mooring.pki.inspect import check_crl, check_pair
from mooring.pki.keys import key_pem, make_key
from mooring.pki.model import CertificateInfo, KeyType, PkiPaths, Revocation
from tests.unit.pki.making import DAY, NOW, a_ca, pem, write_server

MACHINE = ("box", "192.0.2.5")
HOSTS = ("mqtt.example.org",)


def make(directory: Path, now: datetime = NOW, hosts: tuple[str, ...] = HOSTS) -> PkiPaths:
    return ensure(directory, hosts, now, machine=MACHINE)


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / "pki").iterdir()}


def changed(before: dict[str, bytes], directory: Path) -> set[str]:
    after = content(directory)
    return {name for name in before | after if before.get(name) != after.get(name)}


def server(paths: PkiPaths) -> CertificateInfo:
    return describe(x509.load_pem_x509_certificate(paths.server_cert.read_bytes()))


def authority(directory: Path) -> CertificateAuthority:
    ca = PkiFiles(directory).authority()
    assert ca is not None
    return ca


def test_the_first_start_makes_everything(tmp_path: Path) -> None:
    paths = make(tmp_path)
    assert check_pair(paths.server_cert, paths.server_key, paths.trust, HOSTS, NOW) == []
    assert check_crl(paths.crl, paths.trust, NOW) == []
    wanted = {"mqtt.example.org", "localhost", "127.0.0.1", "::1", "box", "192.0.2.5"}
    assert set(server(paths).sans) == wanted
    assert paths.ca.read_bytes() == paths.trust.read_bytes() == authority(tmp_path).certificate_pem


def test_secrets_are_for_the_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        paths = make(tmp_path)
    finally:
        os.umask(before)
    for secret in (paths.server_key, tmp_path / "pki" / "ca.key"):
        assert secret.stat().st_mode & 0o777 == 0o600
    for public in (paths.ca, paths.trust, paths.server_cert, paths.crl):
        assert public.stat().st_mode & 0o777 == 0o644
        assert b"PRIVATE" not in public.read_bytes()


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path)
    before = content(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "pki").iterdir()}
    make(tmp_path, NOW + 100 * DAY)
    assert changed(before, tmp_path) == set()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "pki").iterdir()} == stamps


def test_the_key_types(tmp_path: Path) -> None:
    paths = ensure(tmp_path, HOSTS, NOW, machine=MACHINE, key_type=KeyType.RSA_2048)
    assert server(paths).key_type == authority(tmp_path).info.key_type == "rsa-2048"


@pytest.mark.parametrize(
    ("now", "hosts", "expected"),
    [
        (NOW + 366 * DAY, HOSTS, set()),
        (NOW + 367 * DAY, HOSTS, {"server.crt"}),
        (NOW + 500 * DAY, HOSTS, {"server.crt"}),
        (NOW, ("mqtt.example.net",), {"server.crt"}),
        (NOW, ("MQTT.example.org.", "mqtt.example.org"), set()),
        (NOW - 2 * DAY, HOSTS, {"server.crt"}),
    ],
    ids=["31 days left", "30 days left", "expired", "other host", "same host", "clock set back"],
)
def test_when_the_server_certificate_is_made_anew(
    tmp_path: Path, now: datetime, hosts: tuple[str, ...], expected: set[str]
) -> None:
    ensure(tmp_path, HOSTS, NOW - 3 * DAY, machine=MACHINE)
    PkiFiles(tmp_path).paths.server_cert.unlink()
    make(tmp_path)
    before = content(tmp_path)
    paths = make(tmp_path, now, hosts)
    assert changed(before, tmp_path) == expected
    assert check_pair(paths.server_cert, paths.server_key, paths.trust, hosts, now) == []


@pytest.mark.parametrize("name", ["server.crt", "server.key", "crl.pem", "trust.crt", "ca.crt"])
@pytest.mark.parametrize("damage", ["missing", "empty", "rubbish", "foreign"])
def test_a_damaged_file_is_put_right(tmp_path: Path, name: str, damage: str) -> None:
    paths = make(tmp_path)
    ca = authority(tmp_path).fingerprint
    target = tmp_path / "pki" / name
    foreign = make(tmp_path / "other")
    if damage == "missing":
        target.unlink()
    elif damage == "foreign":
        target.write_bytes((foreign.ca.parent / name).read_bytes())
    else:
        target.write_bytes(b"" if damage == "empty" else b"-----BEGIN CERTIFICATE-----\nx")
    make(tmp_path)
    assert authority(tmp_path).fingerprint == ca
    assert check_pair(paths.server_cert, paths.server_key, paths.trust, HOSTS, NOW) == []
    assert check_crl(paths.crl, paths.trust, NOW) == []
    assert paths.server_key.stat().st_mode & 0o777 == 0o600
    before = content(tmp_path)
    make(tmp_path)
    assert changed(before, tmp_path) == set()


def test_a_broken_ca_key_is_named_and_nothing_is_overwritten(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "pki" / "ca.key").write_bytes(b"rubbish")
    before = content(tmp_path)
    with pytest.raises(Invalid, match=r"ca\.key") as caught:
        make(tmp_path)
    assert "backup" in caught.value.hint
    assert changed(before, tmp_path) == set()


def test_an_expired_ca_is_said_so(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(Gone) as caught:
        make(tmp_path, NOW + 3651 * DAY)
    assert "rollover" in caught.value.hint


def test_near_the_end_of_the_ca_a_start_does_not_renew_for_ever(tmp_path: Path) -> None:
    make(tmp_path)
    paths = make(tmp_path, NOW + 3640 * DAY)
    assert server(paths).not_after == authority(tmp_path).info.not_after
    before = content(tmp_path)
    make(tmp_path, NOW + 3641 * DAY)
    assert changed(before, tmp_path) == set()


def test_an_operators_own_files_are_not_touched(tmp_path: Path) -> None:
    own = write_server(tmp_path, a_ca("Company CA"))
    before = [path.read_bytes() for path in own]
    make(tmp_path, NOW + 80 * DAY)
    assert [path.read_bytes() for path in own] == before


def test_the_ledger_rules_the_list(tmp_path: Path) -> None:
    paths = make(tmp_path)
    ca = authority(tmp_path)
    for serials in ({"1"}, {"1", "2"}, {"2"}, set()):
        revoked = {ca.fingerprint: [Revocation(serial, NOW) for serial in serials]}
        ensure(tmp_path, HOSTS, NOW, machine=MACHINE, revoked=revoked)
        (crl,) = read_crls(paths.crl.read_bytes())
        assert {format(line.serial_number, "x") for line in crl} == serials
        make(tmp_path)  # without a ledger the list stays
        assert read_crls(paths.crl.read_bytes()) == [crl]


def test_a_rollover_trusts_both_then_one(tmp_path: Path) -> None:
    paths = make(tmp_path)
    files = PkiFiles(tmp_path)
    old, new = authority(tmp_path), a_ca("New CA")
    files.begin_rollover(new)
    make(tmp_path)
    assert paths.trust.read_bytes() == new.certificate_pem + old.certificate_pem
    assert paths.ca.read_bytes() == new.certificate_pem
    leaf, cross = x509.load_pem_x509_certificates(paths.server_cert.read_bytes())
    assert new.signed(leaf)
    assert old.signed(cross)
    first, second = read_crls(paths.crl.read_bytes())
    assert is_by(first, new)
    assert is_by(second, old)
    for known in (old, new):  # whichever of the two a device knows, the chain leads there
        (tmp_path / "known.crt").write_bytes(known.certificate_pem)
        assert (
            check_pair(paths.server_cert, paths.server_key, tmp_path / "known.crt", HOSTS, NOW)
            == []
        )
    before = content(tmp_path)
    make(tmp_path)
    assert changed(before, tmp_path) == set()
    files.end_rollover()
    make(tmp_path)
    assert paths.trust.read_bytes() == new.certificate_pem
    assert paths.server_cert.read_bytes() == pem(leaf)
    assert len(read_crls(paths.crl.read_bytes())) == 1
    assert not files.old_ca_key.exists()


def test_an_old_ca_that_has_expired_vouches_for_nothing(tmp_path: Path) -> None:
    paths = make(tmp_path)
    later = NOW + 3651 * DAY
    PkiFiles(tmp_path).begin_rollover(a_ca("New CA", now=later))
    make(tmp_path, later)
    assert len(x509.load_pem_x509_certificates(paths.server_cert.read_bytes())) == 1


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("surviving_writes", range(9))
@pytest.mark.parametrize("what", ["first start", "rollover"])
def test_power_cut_between_any_two_writes_converges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surviving_writes: int, what: str
) -> None:
    if what == "rollover":
        make(tmp_path)
    left = surviving_writes
    original = files_module.write_atomically

    def failing(path: Path, data: bytes, mode: int = 0o644) -> None:
        nonlocal left
        if left == 0:
            raise PowerCut
        left -= 1
        original(path, data, mode)

    with monkeypatch.context() as patch:
        patch.setattr("mooring.pki.files.write_atomically", failing)
        patch.setattr("mooring.pki.ensure.write_atomically", failing)
        try:
            if what == "rollover":
                PkiFiles(tmp_path).begin_rollover(a_ca("New CA"))
            make(tmp_path)
        except PowerCut:
            pass
    paths = make(tmp_path)
    assert check_pair(paths.server_cert, paths.server_key, paths.trust, HOSTS, NOW) == []
    assert check_crl(paths.crl, paths.trust, NOW) == []
    if what == "rollover":
        under_way = PkiFiles(tmp_path).old_authority() is not None
        assert under_way == (surviving_writes >= 2)
        assert paths.trust.read_bytes().count(b"BEGIN") == (2 if under_way else 1)


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "pki").write_text("a file in the way")
    with pytest.raises(Unavailable, match="pki"):
        make(tmp_path)


def test_many_starts_at_once_make_one_ca(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            make(tmp_path)
        except BaseException as exc:  # noqa: BLE001 - handed to the main thread
            failures.append(exc)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    paths = make(tmp_path)
    assert authority(tmp_path).signed(
        x509.load_pem_x509_certificate(paths.server_cert.read_bytes())
    )


def test_renewal_keeps_the_key_unless_asked(tmp_path: Path) -> None:
    paths = make(tmp_path)
    files = PkiFiles(tmp_path)
    hosts = server(paths).sans
    before = content(tmp_path)
    with files.locked():
        assert settle(files, hosts, NOW, renew=True) == ("server.crt",)
        assert changed(before, tmp_path) == {"server.crt"}
        assert settle(files, hosts, NOW, renew=True, new_key=True) == ("server.key", "server.crt")
    assert check_pair(paths.server_cert, paths.server_key, paths.trust, HOSTS, NOW) == []


def test_a_replaced_server_key_leads_to_a_new_certificate(tmp_path: Path) -> None:
    paths = make(tmp_path)
    paths.server_key.write_bytes(key_pem(make_key(KeyType.EC_P256)))
    make(tmp_path)
    assert check_pair(paths.server_cert, paths.server_key, paths.trust, HOSTS, NOW) == []
