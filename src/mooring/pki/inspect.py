"""What is wrong with a certificate and its key, before a broker is asked to load them.

Mosquitto answers a bad file with one line in its log; a listener that asks for certificates
then rejects everybody until the file is right. This names the file, the fault and the way out,
and lists everything that is wrong, not only the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mooring.hosts import host_matches
from mooring.pki.crl import read_crls
from mooring.pki.describe import describe
from mooring.pki.keys import key_name, same
from mooring.pki.model import Purpose
from mooring.pki.problems import (
    Problem,
    not_pem,
    read,
    read_certificates,
    read_key,
    read_roots,
)

__all__ = ["Problem", "check_crl", "check_pair"]

_MIN_RSA_BITS = 2048  # OpenSSL's security level 2, Debian's default, rejects less
_MAX_LINKS = 10
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)


def check_pair(
    cert: Path,
    key: Path,
    ca: Path | None,
    hosts: Iterable[str],
    now: datetime,
) -> list[Problem]:
    """Everything wrong with a server certificate, its key and its way to a CA.

    Args:
        cert: PEM, the server's certificate first, then its intermediates.
        key: PEM, unencrypted.
        ca: PEM with the CAs that clients trust; ``None``: the system's own list (a public CA).
        hosts: what devices dial; each must be in the certificate.
        now: aware.

    Returns:
        An empty list when the pair can be used.
    """
    problems: list[Problem] = []
    chain = read_certificates(cert, "certificate", problems)
    private = read_key(key, problems)
    roots = read_roots(ca, problems)
    if not chain:
        return problems
    leaf = chain[0]
    if private is not None and not same(leaf.public_key(), private.public_key()):
        problems.append(
            Problem(
                "key_mismatch",
                f"The key in {key} does not belong to the certificate in {cert}.",
                "Give the key that the certificate was requested with; after a renewal, "
                "replace both files. The server's certificate must be the first in its file.",
            )
        )
    problems += _check_time(cert, chain, now)
    problems += _check_use(cert, leaf)
    problems += _check_hosts(cert, leaf, hosts)
    if roots:
        problems += _check_chain(cert, ca, chain, roots, now)
    return problems


def check_crl(path: Path, trust: Path, now: datetime) -> list[Problem]:
    """Everything wrong with the revocation lists for a broker that asks for certificates.

    Check it before every reload: Mosquitto 2.0 that finds the file missing or damaged on SIGHUP
    says so in its log and from then on **lets revoked certificates in**; past a list's end it
    rejects every certificate.

    Args:
        path: PEM, one list for each CA.
        trust: PEM, the CAs that client certificates may come from.
    """
    problems: list[Problem] = []
    data = read(path, "revocation list", problems)
    issuers = read_certificates(trust, "CA", problems)
    if data is None:
        return problems
    try:
        lists = read_crls(data)
        made_by = [(ca, [crl for crl in lists if _signed_list(ca, crl)]) for ca in issuers]
    except (ValueError, UnsupportedAlgorithm):
        return [*problems, not_pem(path, "revocation list", "the text is damaged")]
    for issuer, own in made_by:
        if issuer.not_valid_after_utc < now:
            continue  # its certificates are rejected for their age, whatever a list says
        name = issuer.subject.rfc4514_string()
        ends = [crl.next_update_utc for crl in own if crl.next_update_utc is not None]
        if not own:
            problems.append(
                Problem(
                    "crl_missing",
                    f"The file {path} has no revocation list of the CA {name!r}.",
                    "Restart Mooring, or run `mooring cert init`, which writes the file again.",
                )
            )
        elif ends and max(ends) < now:
            problems.append(
                Problem(
                    "crl_expired",
                    f"The revocation list of the CA {name!r} in {path} ended on "
                    f"{max(ends):%Y-%m-%d}.",
                    "Check this machine's clock, and run `mooring cert init`.",
                )
            )
    return problems


def _check_time(cert: Path, chain: Sequence[x509.Certificate], now: datetime) -> list[Problem]:
    problems = []
    for index, link in enumerate(chain):
        what = "certificate" if index == 0 else f"intermediate {link.subject.rfc4514_string()!r}"
        if now > link.not_valid_after_utc:
            problems.append(
                Problem(
                    "expired",
                    f"The {what} in {cert} expired on {link.not_valid_after_utc:%Y-%m-%d %H:%M} "
                    "UTC.",
                    "Renew it. If it is new, check this machine's clock.",
                )
            )
        elif now < link.not_valid_before_utc:
            problems.append(
                Problem(
                    "not_yet_valid",
                    f"The {what} in {cert} is valid from {link.not_valid_before_utc:%Y-%m-%d %H:%M}"
                    f" UTC, and it is {now:%Y-%m-%d %H:%M} here.",
                    "Set this machine's clock, or wait until then.",
                )
            )
    return problems


def _check_use(cert: Path, leaf: x509.Certificate) -> list[Problem]:
    problems = []
    purpose = describe(leaf).purpose
    if purpose in {Purpose.CA, Purpose.DEVICE}:
        what = "of a CA" if purpose is Purpose.CA else "for clients only"
        problems.append(
            Problem(
                "wrong_purpose",
                f"The first certificate in {cert} is one {what}, not for a server.",
                "Use a certificate for TLS servers, and put it first in its file.",
            )
        )
    key = leaf.public_key()
    weak_key = isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS
    if weak_key or isinstance(leaf.signature_hash_algorithm, _WEAK_HASHES):
        algorithm = leaf.signature_hash_algorithm
        problems.append(
            Problem(
                "weak",
                f"The certificate in {cert} is too weak for TLS today "
                f"({key_name(key)}, {algorithm.name if algorithm else 'no hash'}).",
                "Use a certificate with an EC P-256 key or RSA of 2048 bits, signed with SHA-256.",
            )
        )
    return problems


def _check_hosts(cert: Path, leaf: x509.Certificate, hosts: Iterable[str]) -> list[Problem]:
    sans = describe(leaf).sans
    missing = [host for host in hosts if not host_matches(host, sans)]
    if not missing:
        return []
    named = ", ".join(sans[:8]) + (", …" if len(sans) > 8 else "") if sans else "none at all"
    return [
        Problem(
            "wrong_host",
            f"The certificate in {cert} does not name {', '.join(missing)} (it names: {named}).",
            "Get a certificate for the names that devices connect to, or let devices connect to "
            "a name in it.",
        )
    ]


def _check_chain(
    cert: Path,
    ca: Path | None,
    chain: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> list[Problem]:
    link = chain[0]
    trusted = {root.fingerprint(hashes.SHA256()) for root in roots}
    where = "the public CAs this machine knows" if ca is None else f"the CAs in {ca}"
    for _ in range(_MAX_LINKS):
        if link.fingerprint(hashes.SHA256()) in trusted:
            return []
        issuers = [root for root in roots if _issued(root, link)]
        if any(now <= root.not_valid_after_utc for root in issuers):
            return []
        if issuers:
            return [
                Problem(
                    "ca_expired",
                    f"The CA {issuers[0].subject.rfc4514_string()!r} that {cert} leads to expired "
                    f"on {issuers[0].not_valid_after_utc:%Y-%m-%d}.",
                    "Get a certificate from a valid CA, and give the devices that CA.",
                )
            ]
        following = next((c for c in chain[1:] if c is not link and _issued(c, link)), None)
        if following is None:
            break
        link = following
    if link.subject == link.issuer:
        return [
            Problem(
                "wrong_ca",
                f"The certificate in {cert} is signed by itself and is not among {where}.",
                "Give devices this certificate as their CA, or get one from a CA.",
            )
        ]
    return [
        Problem(
            "wrong_ca",
            f"The certificate in {cert} was issued by {link.issuer.rfc4514_string()!r}, which is "
            f"not among {where}.",
            "Append the missing intermediates to the certificate in its file (certbot: "
            "fullchain.pem), or set the correct CA file.",
        )
    ]


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signed_list(issuer: x509.Certificate, crl: x509.CertificateRevocationList) -> bool:
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        return False
    return crl.issuer == issuer.subject and crl.is_signature_valid(key)
