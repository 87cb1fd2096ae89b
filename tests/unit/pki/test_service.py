from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from mooring.errors import Conflict, DatabaseUnavailable, Gone, Invalid, MooringError, NotFound
from mooring.pki.crl import build_crl, crl_pem, read_crls
from mooring.pki.files import PkiFiles
from mooring.pki.keys import same
from mooring.pki.ledger import CertificateRecord
from mooring.pki.model import KeyType, Reason
from mooring.pki.service import PkiService
from tests.unit.pki.ledger import MemoryLedger
from tests.unit.pki.making import DAY, NOW, a_csr


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def service_in(directory: Path, ledger: MemoryLedger, clock: Callable[[], datetime]) -> PkiService:
    return PkiService(directory, ledger, hosts=["mqtt.example.org"], machine=["box"], clock=clock)


@pytest.fixture
def pki(tmp_path: Path, ledger: MemoryLedger, clock: Clock) -> PkiService:
    service = service_in(tmp_path, ledger, clock)
    service.init()
    return service


def revoked_on_disk(pki: PkiService) -> set[str]:
    lists = read_crls(pki.paths.crl.read_bytes())
    return {format(line.serial_number, "x") for each in lists for line in each}


def test_before_init_there_is_nothing(tmp_path: Path, ledger: MemoryLedger, clock: Clock) -> None:
    service = service_in(tmp_path, ledger, clock)
    for call in (service.show, service.server, lambda: service.device("d"), service.rollover_start):
        with pytest.raises(NotFound, match="no CA"):
            call()


def test_init_twice_is_once(pki: PkiService) -> None:
    assert pki.init().changed == ()
    assert pki.check() == []
    assert pki.show().ca.key_type == "ec-p256"


def test_a_key_made_here_comes_once_as_pem_and_pkcs12(
    pki: PkiService, ledger: MemoryLedger
) -> None:
    bundle = pki.device("device:acme:1")
    files = bundle.pem_files()
    assert set(files) == {"device.crt", "device.key", "ca.crt"}
    key = load_pem_private_key(files["device.key"], password=None)
    certificate = x509.load_pem_x509_certificate(files["device.crt"])
    assert same(certificate.public_key(), key.public_key())
    loaded = pkcs12.load_pkcs12(bundle.pkcs12("pass word"), b"pass word")
    assert loaded.key is not None
    assert same(loaded.key.public_key(), key.public_key())
    assert loaded.cert is not None
    assert loaded.cert.certificate == certificate
    assert len(loaded.additional_certs) == 1
    with pytest.raises(Invalid):
        bundle.pkcs12("")
    (kept,) = ledger.list()
    assert not kept.own_key
    assert kept.fingerprint == bundle.info.fingerprint
    assert "PRIVATE" not in f"{kept!r}{bundle!r}{ledger.records!r}"


def test_a_key_made_on_the_device_stays_there(pki: PkiService, ledger: MemoryLedger) -> None:
    bundle = pki.sign(a_csr("other"), "device:acme:1")
    assert bundle.key_pem is None
    assert set(bundle.pem_files()) == {"device.crt", "ca.crt"}
    assert bundle.info.subject == "device:acme:1"
    assert ledger.list()[0].own_key
    with pytest.raises(Conflict, match="created on the device"):
        bundle.pkcs12("x")


def test_an_rsa_key_by_choice(pki: PkiService) -> None:
    assert pki.device("d", key_type=KeyType.RSA_2048).info.key_type == "rsa-2048"


def test_a_bad_request_leaves_no_record(pki: PkiService, ledger: MemoryLedger) -> None:
    with pytest.raises(Invalid):
        pki.sign(b"rubbish", "d")
    with pytest.raises(Invalid):
        pki.device("x" * 65)
    with pytest.raises(Invalid):
        pki.device("d", days=0)
    assert ledger.list() == []


def test_renewal_keeps_the_key_and_the_old_certificate(
    pki: PkiService, ledger: MemoryLedger, clock: Clock
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    first = pki.sign(a_csr(key=key), "d")
    clock.now += 700 * DAY
    second = pki.renew("d")
    assert second.key is None
    assert same(x509.load_pem_x509_certificate(second.certificate).public_key(), key.public_key())
    assert second.info.not_after > first.info.not_after
    assert [record.revoked_at for record in ledger.list()] == [None, None]
    fresh = ec.generate_private_key(ec.SECP256R1())
    third = pki.renew("d", csr=a_csr(key=fresh))
    assert same(x509.load_pem_x509_certificate(third.certificate).public_key(), fresh.public_key())
    with pytest.raises(NotFound):
        pki.renew("nobody")


def test_revoking(pki: PkiService, ledger: MemoryLedger) -> None:
    one, two, other = pki.device("d"), pki.device("d"), pki.device("e")
    result = pki.revoke(serial=":".join(["00", one.info.serial.upper()]))
    assert [record.serial for record in result.certificates] == [one.info.serial]
    assert result.usernames == ("d",)
    assert result.changed == ("crl.pem",)
    result = pki.revoke(username="d", reason=Reason.KEY_COMPROMISE)
    assert [record.serial for record in result.certificates] == [two.info.serial]
    assert revoked_on_disk(pki) == {one.info.serial, two.info.serial}
    again = pki.revoke(username="d")
    assert again.certificates == ()
    assert again.usernames == ("d",)
    assert again.changed == ()
    kept = ledger.get(two.info.serial)
    assert kept is not None
    assert kept.reason is Reason.KEY_COMPROMISE
    assert other.info.serial not in revoked_on_disk(pki)
    with pytest.raises(NotFound):
        pki.renew("d")


@pytest.mark.parametrize(
    ("serial", "username", "error"),
    [
        (None, None, Invalid),
        ("1", "d", Invalid),
        ("xyz", None, Invalid),
        ("abc", None, NotFound),
        (None, "d", NotFound),
    ],
)
def test_revoking_needs_to_know_what(
    pki: PkiService, serial: str | None, username: str | None, error: type[MooringError]
) -> None:
    with pytest.raises(error) as caught:
        pki.revoke(serial=serial, username=username)
    assert caught.value.hint


def test_a_list_that_has_run_out_is_made_anew(pki: PkiService, tmp_path: Path) -> None:
    ca = PkiFiles(tmp_path).authority()
    assert ca is not None
    stale = build_crl(ca, [], now=NOW - 9 * DAY, next_update=NOW - DAY)
    pki.paths.crl.write_bytes(crl_pem([stale]))
    assert [problem.code for problem in pki.check()] == ["crl_expired"]
    assert pki.init().changed == ("crl.pem",)
    assert pki.check() == []


def test_a_crash_between_ledger_and_list_is_mended_at_the_next_start(
    pki: PkiService, ledger: MemoryLedger, clock: Clock
) -> None:
    bundle = pki.device("d")
    ledger.revoke(bundle.info.serial, clock.now, Reason.UNSPECIFIED)
    assert revoked_on_disk(pki) == set()
    assert pki.init().changed == ("crl.pem",)
    assert revoked_on_disk(pki) == {bundle.info.serial}


def test_a_certificate_the_ledger_did_not_take_is_not_handed_out(
    tmp_path: Path, clock: Clock
) -> None:
    class Down(MemoryLedger):
        def add(self, record: CertificateRecord) -> None:
            raise DatabaseUnavailable("The disk is full.")

    service = service_in(tmp_path, Down(), clock)
    service.init()
    with pytest.raises(DatabaseUnavailable):
        service.device("d")


def test_expired_certificates_leave_the_list(pki: PkiService, clock: Clock) -> None:
    bundle = pki.device("d", days=10)
    pki.revoke(username="d")
    assert revoked_on_disk(pki) == {bundle.info.serial}
    clock.now += 11 * DAY
    pki.init()
    assert revoked_on_disk(pki) == set()


def test_renewing_the_server(pki: PkiService) -> None:
    before = pki.show().server
    settled = pki.server()
    assert settled.changed == ("server.crt",)
    assert settled.server.serial != before.serial
    assert pki.server(new_key=True).changed == ("server.key", "server.crt")
    assert pki.check() == []


def test_a_whole_rollover(
    pki: PkiService, ledger: MemoryLedger, clock: Clock, tmp_path: Path
) -> None:
    old = pki.show().ca
    early = pki.device("a")
    gone = pki.device("x")
    pki.revoke(username="x")
    assert pki.rollover(["a", "b"]) is None
    with pytest.raises(Conflict):
        pki.rollover_finish(["a"])

    changed = pki.rollover_start().changed
    assert set(changed) == {"ca.crt", "trust.crt", "server.crt", "crl.pem"}
    with pytest.raises(Conflict):
        pki.rollover_start()
    new = pki.show().ca
    assert new.fingerprint != old.fingerprint
    assert new.subject != old.subject
    assert pki.show().old_ca == old
    assert pki.check() == []
    assert len(read_crls(pki.paths.crl.read_bytes())) == 2
    assert revoked_on_disk(pki) == {gone.info.serial}

    late = pki.renew("a")
    assert late.info.issuer == new.subject
    assert late.trust.count(b"BEGIN CERTIFICATE") == 2
    pki.revoke(serial=early.info.serial)
    assert revoked_on_disk(pki) == {gone.info.serial, early.info.serial}

    assert pki.seen("a", new.fingerprint.upper())
    assert pki.seen("b", old.fingerprint)
    assert not pki.seen("c", "f" * 64)
    assert not pki.seen("c", "rubbish")
    status = pki.rollover(["a", "b"])
    assert status is not None
    assert (status.on_new, status.on_old, status.waiting) == (1, 1, ("b",))
    with pytest.raises(Conflict, match="1 of 2"):
        pki.rollover_finish(["a", "b"])
    assert pki.show().old_ca == old
    pki.seen("b", new.fingerprint)
    pki.rollover_finish(["a", "b"])
    assert pki.show().old_ca is None
    assert pki.paths.trust.read_bytes() == pki.paths.ca.read_bytes()
    assert revoked_on_disk(pki) == set()
    assert pki.check() == []
    assert not PkiFiles(tmp_path).old_ca_key.exists()


def test_an_expired_ca_is_left_by_a_rollover(pki: PkiService, clock: Clock) -> None:
    clock.now += 3700 * DAY
    with pytest.raises(Gone):
        pki.init()
    pki.rollover_start()
    assert pki.check() == []
    pki.rollover_finish([])
    assert pki.check() == []


def test_show_prints_lines_for_the_shell(pki: PkiService, tmp_path: Path) -> None:
    lines = pki.show(host="mqtt.example.org", port=8884, mtls_port=8885).lines
    assert f"--cafile {tmp_path}/pki/trust.crt" in lines.publish
    assert lines.publish.startswith("mosquitto_pub -h mqtt.example.org -p 8884 ")
    assert "--cert device.crt --key device.key" in lines.subscribe_certificate
    assert "-p 8885" in lines.publish_certificate
    assert pki.show().lines.publish_certificate == ""
