"""What stands in the certificates we make, and what a request may not smuggle in."""

from __future__ import annotations

import string

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.errors import Gone, Invalid
from mooring.pki.authority import BACKDATE, cross_sign, load_ca, make_ca
from mooring.pki.describe import describe
from mooring.pki.issue import issue_device, issue_server, read_csr
from mooring.pki.keys import key_pem, make_key, same
from mooring.pki.model import KeyType, Purpose
from tests.unit.pki.making import DAY, NOW, a_ca, a_csr, serial

CA = a_ca()
KEY = make_key(KeyType.EC_P256)


def device(username: str = "device:acme:1", days: int = 30) -> x509.Certificate:
    return issue_device(CA, username, KEY.public_key(), now=NOW, serial=serial(), days=days)


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_ca_may_sign_certificates_and_lists_and_nothing_else(key_type: KeyType) -> None:
    ca = a_ca("CA one", key_type=key_type)
    extensions = ca.certificate.extensions
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert basic.critical
    assert basic.value.ca
    assert basic.value.path_length == 1
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    assert ca.info.key_type == key_type.value
    assert ca.info.subject == ca.info.issuer == "CA one"
    assert ca.info.purpose is Purpose.CA
    assert ca.signed(ca.certificate)


def test_a_ca_survives_its_file() -> None:
    again = load_ca(CA.secret_pem)
    assert again.fingerprint == CA.fingerprint
    assert same(again.key.public_key(), CA.key.public_key())
    assert "PRIVATE" not in repr(CA)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"rubbish",
        CA.certificate_pem,
        key_pem(CA.key),
        key_pem(KEY) + CA.certificate_pem,
        key_pem(KEY) + device().public_bytes(serialization.Encoding.PEM),
    ],
    ids=["empty", "rubbish", "no key", "no certificate", "other key", "not a CA"],
)
def test_a_broken_ca_file_is_named(pem: bytes) -> None:
    with pytest.raises(Invalid, match="key file cannot be used") as caught:
        load_ca(pem)
    assert caught.value.hint


def test_a_server_certificate() -> None:
    hosts = ("Mqtt.Example.org", "192.0.2.7", "[2001:db8::7]", "mqtt.example.org")
    info = describe(issue_server(CA, hosts, KEY.public_key(), now=NOW, serial=0xAB, days=30))
    assert info.sans == ("mqtt.example.org", "192.0.2.7", "2001:db8::7")
    assert info.subject == "mqtt.example.org"
    assert info.purpose is Purpose.SERVER
    assert info.serial == "ab"
    assert info.not_before == NOW - BACKDATE
    assert info.not_after == NOW + 30 * DAY
    assert info.issuer == "Test CA"


def test_a_server_certificate_names_a_host_longer_than_a_common_name() -> None:
    long = ".".join(["a" * 40, "b" * 40, "example"])
    info = describe(issue_server(CA, [long], KEY.public_key(), now=NOW, serial=1))
    assert info.sans == (long,)
    with pytest.raises(Invalid):
        issue_server(CA, [], KEY.public_key(), now=NOW, serial=1)


def test_a_device_certificate_is_for_clients_only() -> None:
    certificate = device()
    extensions = certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    identifier = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert identifier == CA.key_identifier
    assert describe(certificate).purpose is Purpose.DEVICE
    assert CA.signed(certificate)
    assert not a_ca().signed(certificate)


@given(
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=64).filter(
        lambda text: len(text.encode()) <= 64
    )
)
@settings(max_examples=50, deadline=None)
def test_the_common_name_is_the_username(username: str) -> None:
    assert describe(device(username)).subject == username


@pytest.mark.parametrize("username", ["", "x" * 65, "é" * 33, "\ud800", "a\x00b", "a\nb"])
def test_a_username_that_fits_no_common_name_is_refused(username: str) -> None:
    with pytest.raises(Invalid) as caught:
        device(username)
    assert caught.value.slug == "invalid_common_name"


@given(st.integers(1, 20_000))
@settings(max_examples=30, deadline=None)
def test_nothing_outlives_its_ca(days: int) -> None:
    info = describe(device(days=days))
    assert CA.info.not_before <= info.not_before < NOW
    assert NOW < info.not_after <= CA.info.not_after
    assert info.not_after == min(NOW + days * DAY, CA.info.not_after)


def test_an_expired_ca_issues_nothing() -> None:
    ca = a_ca(now=NOW - 100 * DAY, days=10)
    with pytest.raises(Gone, match="expired on 2026-01-31"):
        issue_device(ca, "d", KEY.public_key(), now=NOW, serial=1)
    with pytest.raises(Invalid):
        make_ca("x", now=NOW, serial=1, days=0)


@pytest.mark.parametrize("form", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_a_request_brings_its_key_and_nothing_else(form: serialization.Encoding) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.load_pem_x509_csr(a_csr("somebody-else", key)).public_bytes(form)
    public = read_csr(request)
    certificate = issue_device(CA, "device:acme:1", public, now=NOW, serial=serial())
    assert same(certificate.public_key(), key.public_key())
    assert describe(certificate).subject == "device:acme:1"
    assert describe(certificate).purpose is Purpose.DEVICE  # the request had asked for a CA


def test_a_request_with_a_broken_signature_is_refused() -> None:
    der = bytearray(x509.load_pem_x509_csr(a_csr()).public_bytes(serialization.Encoding.DER))
    der[-3] ^= 1
    with pytest.raises(Invalid) as caught:
        read_csr(bytes(der))
    assert caught.value.slug == "invalid_csr"


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_rubbish_is_no_request(data: bytes) -> None:
    for text in (data, b"-----BEGIN CERTIFICATE REQUEST-----\n" + data):
        with pytest.raises(Invalid):
            read_csr(text)


def test_a_huge_request_is_not_even_parsed() -> None:
    with pytest.raises(Invalid, match="larger than 64 KiB"):
        read_csr(a_csr() + b"\n" * 70_000)


def test_keys_of_a_request() -> None:
    def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the point
    with pytest.raises(Invalid, match="rsa-1024"):
        read_csr(request(weak))
    with pytest.raises(Invalid, match="ec-secp256k1"):
        read_csr(request(ec.generate_private_key(ec.SECP256K1())))
    read_csr(request(ec.generate_private_key(ec.SECP384R1())))
    edwards = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    pem = builder.sign(edwards, None).public_bytes(serialization.Encoding.PEM)
    assert same(read_csr(pem), edwards.public_key())


def test_a_cross_certificate_leads_from_the_new_key_to_the_old_ca() -> None:
    new = a_ca("New CA", now=NOW + DAY)
    cross = cross_sign(CA, new, now=NOW + DAY, serial=serial())
    assert CA.signed(cross)
    assert same(cross.public_key(), new.key.public_key())
    assert cross.subject == new.certificate.subject
    assert cross.not_valid_after_utc == CA.info.not_after
    leaf = issue_server(new, ["h"], KEY.public_key(), now=NOW + 2 * DAY, serial=serial())
    leaf.verify_directly_issued_by(cross)


def test_serials_are_hex_without_leading_zeros() -> None:
    number = x509.random_serial_number()
    info = describe(issue_device(CA, "d", KEY.public_key(), now=NOW, serial=number))
    assert int(info.serial, 16) == number
    assert set(info.serial) <= set(string.hexdigits.lower())
    assert not info.serial.startswith("0")
