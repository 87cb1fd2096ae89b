"""Certificates for the broker and for devices, signed by our CA.

Pure: the clock and the serial number are arguments. A certificate signing request brings its
public key and nothing else; what it asks for (subject, names, usages) is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mooring.errors import Invalid
from mooring.hosts import general_names
from mooring.pki.authority import CertificateAuthority, common_name, validity
from mooring.pki.keys import PublicKey, check_public_key

__all__ = ["DEVICE_DAYS", "SERVER_DAYS", "issue_device", "issue_server", "read_csr"]

#: Apple's TLS rejects more than 825 days, browsers more than 398.
SERVER_DAYS = 397
DEVICE_DAYS = 730
_MAX_COMMON_NAME = 64
_MAX_CSR_BYTES = 64 * 1024


def issue_server(
    ca: CertificateAuthority,
    hosts: Iterable[str],
    public_key: PublicKey,
    *,
    now: datetime,
    serial: int,
    days: int = SERVER_DAYS,
) -> x509.Certificate:
    """A certificate for a server that is reached under *hosts* (DNS names and addresses).

    Raises:
        Invalid: no host, or one that is neither a name nor an address.
        Gone: the CA has expired.
    """
    names = general_names(hosts)
    if not names:
        raise Invalid(
            "A server certificate needs at least one host name or address.",
            hint="Name the host that devices connect to.",
            code="invalid_host",
        )
    # Clients look at the alternative names only (RFC 6125); the common name is for people.
    label = next((str(n.value) for n in names if len(str(n.value)) <= _MAX_COMMON_NAME), "server")
    builder = _leaf(ca, common_name(label), public_key, now=now, serial=serial, days=days)
    return (
        builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca.key, hashes.SHA256())
    )


def issue_device(
    ca: CertificateAuthority,
    username: str,
    public_key: PublicKey,
    *,
    now: datetime,
    serial: int,
    days: int = DEVICE_DAYS,
) -> x509.Certificate:
    """A certificate whose common name is the device's MQTT username.

    Mosquitto's ``use_identity_as_username`` takes the login from there, so the device has the
    same account and rights with its certificate as with its password.

    Raises:
        Invalid: the username does not fit into a common name, or the key is unusable.
        Gone: the CA has expired.
    """
    check_public_key(public_key)
    builder = _leaf(ca, common_name(username), public_key, now=now, serial=serial, days=days)
    return builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    ).sign(ca.key, hashes.SHA256())


def read_csr(data: bytes) -> PublicKey:
    """The public key of a signing request (PEM or DER) whose own signature holds.

    The signature proves that the sender has the private key.

    Raises:
        Invalid: not a request, a broken signature, or a key that cannot be used.
    """
    if len(data) > _MAX_CSR_BYTES:
        raise _bad_csr(f"It is larger than {_MAX_CSR_BYTES // 1024} KiB.")
    try:
        if b"-----BEGIN" in data:
            request = x509.load_pem_x509_csr(data)
        else:
            request = x509.load_der_x509_csr(data)
        valid = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as exc:
        raise _bad_csr("It is not PKCS#10 in PEM or DER form.") from exc
    if not valid:
        raise _bad_csr("Its signature does not match its public key.")
    return check_public_key(key)


def _bad_csr(reason: str) -> Invalid:
    return Invalid(
        f"The certificate signing request cannot be used. {reason}",
        hint="Create one with: openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-keyout device.key -out device.csr -subj /CN=device",
        code="invalid_csr",
    )


def _leaf(
    ca: CertificateAuthority,
    subject: x509.Name,
    public_key: PublicKey,
    *,
    now: datetime,
    serial: int,
    days: int,
) -> x509.CertificateBuilder:
    not_before, not_after = validity(now, days, ca.certificate)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.certificate.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_leaf_usage(public_key), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(ca.key_identifier, critical=False)
    )


def _leaf_usage(key: PublicKey) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        # RSA key exchange of TLS 1.2; meaningless for EC keys.
        key_encipherment=isinstance(key, rsa.RSAPublicKey),
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
