"""Make ``DATA_DIR/pki`` what it should be: at every start, and after every change.

Idempotent, and the only code that writes the derived files: a crash between any two steps is
fixed by the next call. Files that an operator brings himself lie elsewhere and are not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mooring.hosts import LOCAL_HOSTS, machine_hosts, normalise
from mooring.pki.authority import CertificateAuthority, cross_sign, make_ca
from mooring.pki.crl import build_crl, crl_pem, is_by, read_crls
from mooring.pki.describe import describe, serial_text
from mooring.pki.files import PUBLIC, SECRET, PkiFiles, write_atomically
from mooring.pki.issue import issue_server
from mooring.pki.keys import PrivateKey, key_pem, make_key, same
from mooring.pki.model import KeyType, PkiPaths, Purpose, Revocation

__all__ = ["RENEW_BEFORE", "ca_name", "ensure", "server_hosts", "settle"]

log = logging.getLogger(__name__)

RENEW_BEFORE = timedelta(days=30)

#: CA fingerprint → what it has revoked; read from the ledger.
Revoked = Mapping[str, Sequence[Revocation]]
Serials = Callable[[], int]


def ensure(
    data_dir: Path,
    hosts: Iterable[str],
    now: datetime,
    *,
    key_type: KeyType = KeyType.EC_P256,
    revoked: Revoked | None = None,
    machine: Iterable[str] | None = None,
) -> PkiPaths:
    """Make what is missing, renew what runs out, and say where everything is.

    Args:
        hosts: the names devices dial, in addition to the machine's own.
        key_type: for a CA that has to be made; the server's key follows its CA.
        revoked: what the ledger says; without it the lists on disk stay as they are.
        machine: the machine's own names; default: asked from the system.

    Raises:
        Invalid: a host name cannot be used, or ``ca.key`` is broken.
        Gone: the CA has expired.
        Unavailable: the directory cannot be read or written.
    """
    files = PkiFiles(data_dir)
    wanted = server_hosts(hosts, machine)
    with files.locked():
        if files.authority() is None:
            files.write_authority(
                make_ca(
                    ca_name(now), now=now, serial=x509.random_serial_number(), key_type=key_type
                )
            )
        settle(files, wanted, now, revoked=revoked)
    return files.paths


def server_hosts(hosts: Iterable[str], machine: Iterable[str] | None = None) -> tuple[str, ...]:
    """Configured names first, then the machine's own, normalised, each once."""
    own = machine_hosts() if machine is None else machine
    return tuple(dict.fromkeys(normalise(host) for host in (*hosts, *LOCAL_HOSTS, *own)))


def ca_name(now: datetime) -> str:
    """A common name no other CA of ours has: clients look issuers up by name."""
    return f"Mooring CA {now:%Y-%m-%d} {x509.random_serial_number() & 0xFFFFFF:06x}"


def settle(
    files: PkiFiles,
    hosts: Sequence[str],
    now: datetime,
    *,
    revoked: Revoked | None = None,
    renew: bool = False,
    new_key: bool = False,
    serials: Serials = x509.random_serial_number,
) -> tuple[str, ...]:
    """Bring every derived file in line with the CA keys; call it with the lock held.

    Args:
        hosts: exactly what the server certificate shall name.
        renew: issue a new server certificate whatever the old one says.
        new_key: with a new key; otherwise the key stays, for devices that pin it.

    Returns:
        The names of the files that changed; the broker must reload when there is one.
    """
    ca = files.authority()
    if ca is None:
        raise AssertionError("settle() before the CA was made")
    old = files.old_authority()
    trusted = [ca] if old is None else [ca, old]
    changed = [
        _put(files.paths.ca, ca.certificate_pem),
        _put(files.paths.trust, b"".join(each.certificate_pem for each in trusted)),
        *_settle_server(
            files, ca, old, hosts, now=now, renew=renew, new_key=new_key, serials=serials
        ),
        _settle_crl(files, trusted, now, revoked),
    ]
    names = tuple(path.name for path in changed if path is not None)
    if names:
        log.info("PKI files written: %s", ", ".join(names))
    return names


def _put(path: Path, data: bytes, mode: int = PUBLIC) -> Path | None:
    """Write only what differs: a changed time stamp would make watchers reload."""
    if path.exists() and path.read_bytes() == data:
        return None
    write_atomically(path, data, mode)
    return path


def _settle_server(
    files: PkiFiles,
    ca: CertificateAuthority,
    old: CertificateAuthority | None,
    hosts: Sequence[str],
    *,
    now: datetime,
    renew: bool,
    new_key: bool,
    serials: Serials,
) -> list[Path | None]:
    cert_path, key_path = files.paths.server_cert, files.paths.server_key
    key = None if new_key else _load_key(key_path)
    chain = _load_chain(cert_path)
    # An expired CA cannot vouch for anything; the new one has to be alone then.
    bridged = old is not None and old.certificate.not_valid_after_utc > now
    leaf = chain[0] if chain else None
    if key is None or leaf is None or renew or not _leaf_is_good(leaf, key, ca, hosts, now):
        fresh_key = key or make_key(_key_type_of(ca))
        leaf = issue_server(ca, hosts, fresh_key.public_key(), now=now, serial=serials())
        key_written = None if key else _put(key_path, key_pem(fresh_key), SECRET)
    else:
        key_written = None
    links = [leaf]
    if bridged and old is not None:
        present = [link for link in chain[1:] if _is_cross(link, old, ca)]
        links += present[:1] or [cross_sign(old, ca, now=now, serial=serials())]
    pem = b"".join(link.public_bytes(serialization.Encoding.PEM) for link in links)
    return [key_written, _put(cert_path, pem)]


def _leaf_is_good(
    leaf: x509.Certificate,
    key: PrivateKey,
    ca: CertificateAuthority,
    hosts: Sequence[str],
    now: datetime,
) -> bool:
    info = describe(leaf)
    runs_out = info.not_after - now <= RENEW_BEFORE
    # Near the CA's own end a new certificate would not last longer.
    as_long_as_can_be = info.not_after >= ca.certificate.not_valid_after_utc
    return (
        same(leaf.public_key(), key.public_key())
        and ca.signed(leaf)
        and info.purpose is Purpose.SERVER
        and set(info.sans) == {normalise(host) for host in hosts}
        # Before the CA was made it cannot be now: the clock is wrong, the certificate is not.
        and (info.not_before <= now or now < ca.certificate.not_valid_before_utc)
        and (not runs_out or (as_long_as_can_be and info.not_after > now))
    )


def _is_cross(
    certificate: x509.Certificate, old: CertificateAuthority, new: CertificateAuthority
) -> bool:
    return old.signed(certificate) and same(certificate.public_key(), new.key.public_key())


def _settle_crl(
    files: PkiFiles,
    trusted: Sequence[CertificateAuthority],
    now: datetime,
    revoked: Revoked | None,
) -> Path | None:
    present = _load_crls(files.paths.crl)
    lists: list[x509.CertificateRevocationList] = []
    for ca in trusted:
        mine = next((crl for crl in present if is_by(crl, ca)), None)
        wanted = None if revoked is None else revoked.get(ca.fingerprint, ())
        if mine is None or (wanted is not None and not _says(mine, wanted, ca)):
            mine = build_crl(ca, wanted or (), now=now)
        lists.append(mine)
    return _put(files.paths.crl, crl_pem(lists))


def _says(
    crl: x509.CertificateRevocationList, wanted: Sequence[Revocation], ca: CertificateAuthority
) -> bool:
    """Whether the list holds exactly these certificates, for as long as the CA lasts."""
    return crl.next_update_utc == ca.certificate.not_valid_after_utc and {
        serial_text(line.serial_number) for line in crl
    } == {entry.serial for entry in wanted}


def _key_type_of(ca: CertificateAuthority) -> KeyType:
    return KeyType.RSA_2048 if isinstance(ca.key, rsa.RSAPrivateKey) else KeyType.EC_P256


def _load_key(path: Path) -> PrivateKey | None:
    """The server's key, or ``None`` when none exists that can be used."""
    if not path.exists():
        return None
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as exc:
        log.warning("%s is invalid and will be replaced: %s", path, exc)
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


def _load_chain(path: Path) -> list[x509.Certificate]:
    if not path.exists():
        return []
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as exc:
        log.warning("%s is invalid and will be replaced: %s", path, exc)
        return []


def _load_crls(path: Path) -> list[x509.CertificateRevocationList]:
    if not path.exists():
        return []
    try:
        return read_crls(path.read_bytes())
    except ValueError as exc:
        log.warning("%s is invalid and will be replaced: %s", path, exc)
        return []
