"""Every wrong file is named, with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.pki.authority import CertificateAuthority, common_name, cross_sign
from mooring.pki.crl import build_crl, crl_pem
from mooring.pki.inspect import Problem, check_crl, check_pair
from mooring.pki.issue import issue_device, issue_server
from mooring.pki.keys import key_pem, make_key
from mooring.pki.model import KeyType
from tests.unit.pki.making import DAY, NOW, a_ca, a_csr, pem, serial, write_server

CA = a_ca("Company CA")
HOST = "mqtt.example.org"


@dataclass
class Pair:
    cert: Path
    key: Path
    ca: Path

    def problems(self, now: datetime = NOW, hosts: tuple[str, ...] = (HOST,)) -> list[Problem]:
        return check_pair(self.cert, self.key, self.ca, hosts, now)

    def codes(self, now: datetime = NOW, hosts: tuple[str, ...] = (HOST,)) -> list[str]:
        return [problem.code for problem in self.problems(now, hosts)]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(*write_server(tmp_path, CA))


def test_a_good_pair_has_no_problem(pair: Pair) -> None:
    assert pair.problems(hosts=(HOST, "192.0.2.7")) == []


def rsa_certificate(ca: CertificateAuthority, bits: int) -> tuple[x509.Certificate, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return issue_server(ca, [HOST], key.public_key(), now=NOW, serial=serial()), key_pem(key)


def weak(pair: Pair) -> None:
    certificate, key = rsa_certificate(CA, 1024)
    pair.cert.write_bytes(pem(certificate))
    pair.key.write_bytes(key)


def self_signed(pair: Pair) -> None:
    key = make_key(KeyType.EC_P256)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(common_name(HOST))
        .issuer_name(common_name(HOST))
        .public_key(key.public_key())
        .serial_number(serial())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair.cert.write_bytes(pem(certificate))
    pair.key.write_bytes(key_pem(key))


def encrypted(pair: Pair) -> None:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


def client_only(pair: Pair) -> None:
    key = make_key(KeyType.EC_P256)
    pair.cert.write_bytes(pem(issue_device(CA, "d", key.public_key(), now=NOW, serial=serial())))
    pair.key.write_bytes(key_pem(key))


def in_der(pair: Pair) -> None:
    certificate = x509.load_pem_x509_certificate(pair.cert.read_bytes())
    pair.cert.write_bytes(certificate.public_bytes(serialization.Encoding.DER))


def swapped(pair: Pair) -> None:
    cert, key = pair.cert.read_bytes(), pair.key.read_bytes()
    pair.cert.write_bytes(key)
    pair.key.write_bytes(cert)


def a_directory(pair: Pair) -> None:
    pair.cert.unlink()
    pair.cert.mkdir()


FAULTS: list[tuple[str, Callable[[Pair], object], list[str]]] = [
    ("no certificate", lambda p: p.cert.unlink(), ["missing"]),
    ("no key", lambda p: p.key.unlink(), ["missing"]),
    ("no CA", lambda p: p.ca.unlink(), ["missing"]),
    ("a directory", a_directory, ["unreadable"]),
    ("empty", lambda p: p.cert.write_bytes(b""), ["not_pem"]),
    ("DER", in_der, ["not_pem"]),
    ("damaged", lambda p: p.cert.write_bytes(p.cert.read_bytes()[:200]), ["not_pem"]),
    ("a request", lambda p: p.cert.write_bytes(a_csr()), ["not_pem"]),
    ("key damaged", lambda p: p.key.write_bytes(p.key.read_bytes()[:90]), ["not_pem"]),
    ("key of zeros", lambda p: p.key.write_bytes(b"\0" * 100), ["not_pem"]),
    ("too large", lambda p: p.cert.write_bytes(b"x" * 2_000_000), ["not_pem"]),
    ("swapped", swapped, ["not_pem", "not_pem"]),
    ("encrypted key", encrypted, ["encrypted_key"]),
    ("other key", lambda p: p.key.write_bytes(key_pem(make_key(KeyType.EC_P256))),
     ["key_mismatch"]),
    ("key open to all", lambda p: p.key.chmod(0o644), ["key_open"]),
    ("other CA", lambda p: p.ca.write_bytes(a_ca("Other CA").certificate_pem), ["wrong_ca"]),
    ("same name, other CA", lambda p: p.ca.write_bytes(a_ca("Company CA").certificate_pem),
     ["wrong_ca"]),
    ("self-signed", self_signed, ["wrong_ca"]),
    ("for clients", client_only, ["wrong_purpose", "wrong_host"]),
    ("weak", weak, ["weak"]),
]  # fmt: skip


@pytest.mark.parametrize(("break_it", "codes"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_fault_is_named(pair: Pair, break_it: Callable[[Pair], object], codes: list[str]) -> None:
    break_it(pair)
    problems = pair.problems()
    assert [problem.code for problem in problems] == codes
    for problem in problems:
        assert problem.message.endswith(".")
        assert problem.hint.endswith(".")
        assert "\n" not in problem.message
        assert str(pair.cert.parent) in problem.message
        assert problem.fatal is (problem.code != "key_open")


def test_times(pair: Pair) -> None:
    assert pair.codes(NOW + 90 * DAY) == []
    assert pair.codes(NOW + 91 * DAY) == ["expired"]
    assert pair.codes(datetime(1970, 1, 1, tzinfo=NOW.tzinfo)) == ["not_yet_valid"]
    (problem,) = pair.problems(datetime(1970, 1, 1, tzinfo=NOW.tzinfo))
    assert "1970-01-01" in problem.message
    assert "clock" in problem.hint


def test_hosts(pair: Pair) -> None:
    assert pair.codes(hosts=()) == []
    (problem,) = pair.problems(hosts=(HOST, "other.example.org", "192.0.2.8"))
    assert problem.code == "wrong_host"
    assert "other.example.org, 192.0.2.8 (it names: mqtt.example.org" in problem.message


def test_everything_wrong_is_listed(pair: Pair) -> None:
    pair.key.write_bytes(key_pem(make_key(KeyType.EC_P256)))
    pair.ca.write_bytes(a_ca("Other CA").certificate_pem)
    codes = pair.codes(NOW + 200 * DAY, ("other.example.org",))
    assert codes == ["key_mismatch", "expired", "wrong_host", "wrong_ca"]


def test_intermediates_lead_to_the_ca(tmp_path: Path) -> None:
    middle = a_ca("Middle CA")
    cert, key, ca = write_server(tmp_path, middle)
    leaf = cert.read_bytes()
    ca.write_bytes(CA.certificate_pem)
    pair = Pair(cert, key, ca)
    assert pair.codes() == ["wrong_ca"]
    (problem,) = pair.problems()
    assert "Middle CA" in problem.message
    assert "intermediates" in problem.hint
    link = cross_sign(CA, middle, now=NOW, serial=serial())
    cert.write_bytes(leaf + pem(link))
    assert pair.codes() == []
    cert.write_bytes(pem(link) + leaf)
    assert "wrong_purpose" in pair.codes()


def test_a_chain_that_runs_in_a_circle_ends(tmp_path: Path) -> None:
    one, two = a_ca("One"), a_ca("Two")
    cert, key, ca = write_server(tmp_path, one)
    circle = [cross_sign(two, one, now=NOW, serial=1), cross_sign(one, two, now=NOW, serial=2)]
    cert.write_bytes(cert.read_bytes() + pem(*circle))
    ca.write_bytes(CA.certificate_pem)
    assert Pair(cert, key, ca).codes() == ["wrong_ca"]


def test_an_expired_ca_is_named(tmp_path: Path) -> None:
    short = a_ca("Short CA", days=10)
    pair = Pair(*write_server(tmp_path, short, days=10))
    assert pair.codes(NOW + 11 * DAY) == ["expired", "ca_expired"]


def test_without_a_ca_file_the_public_cas_count(pair: Pair) -> None:
    problems = check_pair(pair.cert, pair.key, None, (HOST,), NOW)
    assert [problem.code for problem in problems] == ["wrong_ca"]
    assert "public CAs" in problems[0].message


def test_a_file_that_this_user_may_not_read(pair: Pair) -> None:
    pair.key.chmod(0o600 if os.geteuid() == 0 else 0)
    for parent in pair.key.parents[:4]:
        if os.geteuid() == 0 and parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(0o755)
    if os.geteuid() == 0:
        os.seteuid(65534)  # nobody
    try:
        problems = pair.problems()
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert [problem.code for problem in problems] == ["unreadable"]
    assert "is not readable for this user" in problems[0].message


@given(st.binary(max_size=400), st.sampled_from(["cert", "key", "ca"]))
@settings(max_examples=60, deadline=None)
def test_no_file_makes_it_fall_over(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, which: str
) -> None:
    pair = Pair(*write_server(tmp_path_factory.mktemp("pair"), CA))
    path: Path = getattr(pair, which)
    good = path.read_bytes()
    path.write_bytes(good[: len(data)] + data + good[2 * len(data) :])
    for problem in pair.problems():
        assert problem.message.endswith(".")


# ---------------------------------------------------------------- revocation lists


@pytest.fixture
def lists(tmp_path: Path) -> tuple[Path, Path]:
    crl, ca = tmp_path / "crl.pem", tmp_path / "trust.crt"
    ca.write_bytes(CA.certificate_pem)
    crl.write_bytes(crl_pem([build_crl(CA, [], now=NOW)]))
    return crl, ca


def test_a_good_list(lists: tuple[Path, Path]) -> None:
    assert check_crl(*lists, NOW) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "crl_missing"),
        (b"rubbish", "crl_missing"),
        (crl_pem([build_crl(CA, [], now=NOW)])[:200], "not_pem"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "not_pem"),
        (crl_pem([build_crl(a_ca("Company CA"), [], now=NOW)]), "crl_missing"),
        (crl_pem([build_crl(CA, [], now=NOW - 9 * DAY, next_update=NOW - DAY)]), "crl_expired"),
        (None, "missing"),
    ],
)
def test_a_wrong_list_is_named(lists: tuple[Path, Path], data: bytes | None, code: str) -> None:
    crl, ca = lists
    if data is None:
        crl.unlink()
    else:
        crl.write_bytes(data)
    assert [problem.code for problem in check_crl(crl, ca, NOW)] == [code]


def test_every_trusted_ca_needs_a_list(lists: tuple[Path, Path]) -> None:
    crl, ca = lists
    other = a_ca("Other CA")
    ca.write_bytes(CA.certificate_pem + other.certificate_pem)
    (problem,) = check_crl(crl, ca, NOW)
    assert problem.code == "crl_missing"
    assert "Other CA" in problem.message
    crl.write_bytes(crl.read_bytes() + crl_pem([build_crl(other, [], now=NOW)]))
    assert check_crl(crl, ca, NOW) == []
