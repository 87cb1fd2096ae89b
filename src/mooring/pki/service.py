"""Operations on the PKI; every change goes to the ledger first, then to the files.

A crash in between is fixed by ``settle``, which is called at every start. Nothing here talks to
the broker: a method that returns ``changed`` files leaves it to the caller to reload it, and one
that returns ``usernames`` leaves it to the caller to end their sessions *after* the reload.
Call none of them inside a database transaction: the directory's lock is taken first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mooring.clock import FLOOR_MS, utc_now
from mooring.errors import Conflict, Invalid, NotFound, Unavailable
from mooring.pki.authority import CertificateAuthority, make_ca, redated
from mooring.pki.bundle import DeviceBundle
from mooring.pki.describe import describe
from mooring.pki.ensure import ca_name, server_hosts, settle
from mooring.pki.files import PkiFiles
from mooring.pki.inspect import Problem, check_crl, check_pair
from mooring.pki.issue import DEVICE_DAYS, issue_device, read_csr
from mooring.pki.keys import PrivateKey, PublicKey, check_public_key, make_key
from mooring.pki.ledger import CertificateLedger, CertificateRecord, Sighting
from mooring.pki.model import CertificateInfo, KeyType, PkiPaths, Reason, Revocation
from mooring.pki.operator import OperatorFiles
from mooring.pki.report import Report, report
from mooring.pki.rollover import RolloverStatus, check_finish, check_start, rollover_status
from mooring.pki.show import Shown, client_lines

__all__ = ["PkiService", "Revoked", "Settled"]

log = logging.getLogger(__name__)

SET_SINCE = datetime.fromtimestamp(FLOOR_MS / 1000, UTC)
"""A clock before this was never set."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The broker's certificate after a change, and the names of the files that changed."""

    server: CertificateInfo
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """What a revocation did.

    Attributes:
        certificates: the records that were live until now; empty when all were revoked before.
        usernames: whose sessions must end; a live session survives a revocation list.
        changed: files that changed; reload the broker, then end the sessions.
    """

    certificates: tuple[CertificateRecord, ...]
    usernames: tuple[str, ...]
    changed: tuple[str, ...]


class PkiService:
    """The CA of one installation.

    Args:
        data_dir: where ``pki/`` is.
        ledger: the database.
        hosts: the names devices dial, in addition to the machine's own.
        key_type: for a CA that has to be made.
        machine: the machine's own names; default: asked from the system.
        held: certificates that are rejected for now without being revoked, asked each time.
        clock: aware, UTC.
        serials: unused certificate numbers.
    """

    def __init__(
        self,
        data_dir: Path,
        ledger: CertificateLedger,
        *,
        hosts: Iterable[str] = (),
        key_type: KeyType = KeyType.EC_P256,
        machine: Iterable[str] | None = None,
        held: Callable[[], Iterable[CertificateRecord]] = tuple,
        clock: Callable[[], datetime] = utc_now,
        serials: Callable[[], int] = x509.random_serial_number,
    ) -> None:
        self._files = PkiFiles(data_dir)
        self._ledger = ledger
        self._hosts = tuple(hosts)
        self._machine = None if machine is None else tuple(machine)
        self._key_type = key_type
        self._held = held
        self._clock = clock
        self._serials = serials

    @property
    def paths(self) -> PkiPaths:
        return self._files.paths

    # ------------------------------------------------------------------ CA and server

    def init(self) -> Settled:
        """Make the CA, the broker's certificate and an empty revocation list, once.

        Also what every start calls: it repairs everything that is missing, stale or older than the
        ledger, and changes nothing else.

        A CA that was made while the clock was ahead gets the right dates, once the time is
        known to be before them: the same key, so that devices that hold it continue.

        Raises:
            Invalid: a host name cannot be used, or ``ca.key`` is broken.
            Gone: the CA has expired.
            Unavailable: the directory cannot be read or written.
        """
        with self._files.locked():
            self._put_dates_right()
            if self._files.authority() is None:
                now = self._clock()
                self._files.write_authority(
                    make_ca(ca_name(now), now=now, serial=self._serials(), key_type=self._key_type)
                )
            return self._settle()

    def server(self, *, new_key: bool = False) -> Settled:
        """Issue the broker's certificate again; in force after a reload, without a restart.

        Args:
            new_key: with a new key too; otherwise devices that pin the key notice nothing.
        """
        with self._files.locked():
            self._authority()
            return self._settle(renew=True, new_key=new_key)

    # ------------------------------------------------------------------ devices

    def device(
        self,
        username: str,
        *,
        csr: bytes | None = None,
        key_type: KeyType | None = None,
        days: int = DEVICE_DAYS,
    ) -> DeviceBundle:
        """A certificate for a device; others it has stay valid.

        Args:
            username: its MQTT username; becomes the common name.
            csr: a signing request made on the device; without it the key is made here and
                returned once.
            key_type: for a key made here; default: P-256.

        Raises:
            Invalid: the request or its key, the username or the days cannot be used.
            NotFound: there is no CA yet.
            Gone: the CA has expired.
        """
        if csr is not None:
            return self._issue(username, read_csr(csr), None, days)
        key = make_key(key_type or self._key_type)
        return self._issue(username, key.public_key(), key, days)

    def sign(self, csr: bytes, username: str, *, days: int = DEVICE_DAYS) -> DeviceBundle:
        """Sign a request made on the device; the subject in it is not looked at."""
        return self.device(username, csr=csr, days=days)

    def renew(
        self, username: str, *, csr: bytes | None = None, days: int = DEVICE_DAYS
    ) -> DeviceBundle:
        """A new certificate for the key of the device's newest one, or for that of a request.

        No secret travels. The old certificate stays valid until it expires or is revoked, so a
        device that loses the answer has lost nothing.

        Raises:
            NotFound: the device has no certificate that is not revoked.
            Invalid, Gone: as ``device``.
        """
        if csr is not None:
            return self.sign(csr, username, days=days)
        records = self._ledger.list(username=username, revoked=False)
        if not records:
            raise NotFound(
                f"{username} has no certificate that could be renewed.",
                hint=f"Create one with `mooring cert device {username}`.",
                code="certificate_not_found",
            )
        key = x509.load_pem_x509_certificate(records[0].pem.encode()).public_key()
        return self._issue(username, check_public_key(key), None, days)

    def revoke(
        self,
        *,
        serial: str | None = None,
        username: str | None = None,
        reason: Reason = Reason.UNSPECIFIED,
    ) -> Revoked:
        """Revoke one certificate, or all of a device.

        Doing it again is not an error and puts the files right again.

        Raises:
            Invalid: neither or both of *serial* and *username*, or a serial that is not hex.
            NotFound: no such certificate, or the device has none.
        """
        records = self._find(serial, username)
        now = self._clock()
        fresh = tuple(record for record in records if record.revoked_at is None)
        for record in fresh:
            self._ledger.revoke(record.serial, now, reason)
        with self._files.locked():
            settled = self._settle()
        names = tuple(dict.fromkeys(record.username for record in records))
        return Revoked(fresh, names, settled.changed)

    def find(self, serial: str) -> CertificateRecord:
        """One certificate by its serial, however a tool writes it.

        Raises:
            Invalid: the text is not a serial number.
            NotFound: none exists by that number.
        """
        return self._find(serial, None)[0]

    def list(self, username: str | None = None) -> list[CertificateRecord]:
        """Device certificates, newest first; all devices' without a name."""
        return self._ledger.list(username=username)

    # ------------------------------------------------------------------ rollover

    def rollover_start(self, key_type: KeyType | None = None) -> Settled:
        """Make a new CA and trust both; the broker shows a certificate of the new one.

        Raises:
            Conflict: a rollover is under way.
        """
        with self._files.locked():
            self._authority()
            check_start(self._files.old_authority() is not None)
            now = self._clock()
            new = make_ca(
                ca_name(now), now=now, serial=self._serials(), key_type=key_type or self._key_type
            )
            self._files.begin_rollover(new)
            return self._settle()

    def rollover(self, fleet: Collection[str]) -> RolloverStatus | None:
        """How far the fleet has come; ``None`` when no rollover is under way."""
        old = self._files.old_authority()
        if old is None:
            return None
        return rollover_status(
            old.info,
            self._authority().info,
            fleet,
            sightings=self._ledger.sightings(),
            records=self._ledger.list(revoked=False),
            now=self._clock(),
        )

    def rollover_finish(self, fleet: Collection[str], *, force: bool = False) -> Settled:
        """Trust the new CA only, and destroy the old one's key.

        Raises:
            Conflict: no rollover is under way, or devices still rely on the old CA.
        """
        with self._files.locked():
            check_finish(self.rollover(fleet), force=force)
            self._files.end_rollover()
            return self._settle()

    def seen(self, username: str, authority: str) -> bool:
        """A device relies on this CA (SHA-256 fingerprint, hex; colons and case do not matter).

        Returns:
            Whether it is one of ours; another word from a device is not kept.
        """
        fingerprint = authority.replace(":", "").lower()
        if fingerprint not in self.authorities():
            return False
        self._ledger.seen(username, fingerprint, self._clock())
        return True

    def authorities(self) -> Sequence[str]:
        """The fingerprints of the CAs trusted now; the one that signs comes first."""
        return [ca.fingerprint for ca in self._trusted()]

    def sightings(self) -> Mapping[str, Sighting]:
        """Username → which CA a device was last seen to rely on."""
        return self._ledger.sightings()

    # ------------------------------------------------------------------ looking

    def show(
        self,
        *,
        host: str = "localhost",
        port: int = 8883,
        mtls_port: int = 0,
        operators: OperatorFiles | None = None,
    ) -> Shown:
        """Where everything is, and command lines that work as they are.

        Args:
            operators: the certificate the broker shows instead of ours.
        """
        ca, old = self._authority(), self._files.old_authority()
        return Shown(
            ca=ca.info,
            old_ca=None if old is None else old.info,
            server=self._server_info(None if operators is None else operators.certificate),
            paths=self.paths,
            lines=client_lines(
                self.paths.trust if operators is None else operators.ca,
                host=host,
                port=port,
                mtls_port=mtls_port,
            ),
        )

    def report(self, server_cert: Path | None = None) -> Report:
        """How near every certificate is to its end.

        Args:
            server_cert: what the broker shows, if it is not ours.

        Raises:
            NotFound: there is no CA yet.
            Invalid, Conflict, Unavailable: a file cannot be used or read.
        """
        old = self._files.old_authority()
        return report(
            {
                "ca": self._authority().info,
                **({} if old is None else {"old_ca": old.info}),
                "server": self._server_info(server_cert),
            },
            self._ledger.list(revoked=False),
            self._clock(),
        )

    def check(self) -> Sequence[Problem]:
        """Everything wrong with our own files now; empty when the broker can load them."""
        paths, now = self.paths, self._clock()
        return [
            *check_pair(paths.server_cert, paths.server_key, paths.trust, self._hosts, now),
            *check_crl(paths.crl, paths.trust, now),
        ]

    # ------------------------------------------------------------------ inside

    def _put_dates_right(self) -> None:
        ca, now, former = self._files.authority(), self._clock(), self._files.former()
        if ca is None:
            return
        begins = ca.certificate.not_valid_before_utc
        # A clock that was never set says nothing; during a rollover the old CA is the way on.
        if SET_SINCE <= now < begins and self._files.old_authority() is None:
            log.warning("the CA was made with a clock ahead (%s); its dates are put right", begins)
            former = ca.certificate
            same, ca = ca, redated(ca, now=now, serial=self._serials())
            self._files.put_dates_right(same, ca)
        if former is not None:
            # After a crash between the two this is done by the next call.
            self._ledger.same_authority(former.fingerprint(hashes.SHA256()).hex(), ca.fingerprint)
            self._files.forget_former()

    def _authority(self) -> CertificateAuthority:
        ca = self._files.authority()
        if ca is None:
            raise NotFound(
                "There is no CA yet.",
                hint="Create it with `mooring cert init` or by starting `mooring up`.",
                code="no_ca",
            )
        return ca

    def _trusted(self) -> Sequence[CertificateAuthority]:
        each = (self._files.authority(), self._files.old_authority())
        return [ca for ca in each if ca is not None]

    def _issue(
        self, username: str, public: PublicKey, key: PrivateKey | None, days: int
    ) -> DeviceBundle:
        # The lock keeps a rollover from slipping in between choosing the CA and recording it.
        with self._files.locked():
            ca, now = self._authority(), self._clock()
            certificate = issue_device(
                ca, username, public, now=now, serial=self._serials(), days=days
            )
            info = describe(certificate)
            pem = certificate.public_bytes(serialization.Encoding.PEM)
            # First the ledger: a certificate that nobody recorded could not be revoked.
            self._ledger.add(
                CertificateRecord(
                    serial=info.serial,
                    username=username,
                    fingerprint=info.fingerprint,
                    authority=ca.fingerprint,
                    key_type=info.key_type,
                    not_before=info.not_before,
                    not_after=info.not_after,
                    issued_at=now,
                    pem=pem.decode("ascii"),
                    own_key=key is None,
                )
            )
            trust = b"".join(each.certificate_pem for each in self._trusted())
        return DeviceBundle(info, pem, trust, key)

    def _find(self, serial: str | None, username: str | None) -> Sequence[CertificateRecord]:
        if (serial is None) == (username is None):
            raise Invalid(
                "Give either the serial number of a certificate or the username of a device.",
                hint="`mooring cert list` shows both.",
                code="which_certificate",
            )
        if serial is None:
            found: Sequence[CertificateRecord] = self._ledger.list(username=username)
        else:
            record = self._ledger.get(_canonical(serial))
            found = [] if record is None else [record]
        if not found:
            raise NotFound(
                f"There is no certificate {f'number {serial}' if serial else f'of {username}'}.",
                hint="`mooring cert list` shows all certificates.",
                code="certificate_not_found",
            )
        return found

    def _settle(self, *, renew: bool = False, new_key: bool = False) -> Settled:
        now = self._clock()
        revoked: dict[str, list[Revocation]] = {}
        for record in self._ledger.list(revoked=True):
            entry = record.revocation()
            # An expired certificate is rejected anyway (RFC 5280, 3.3, lets it leave the list).
            if entry is not None and record.not_after >= now:
                revoked.setdefault(record.authority, []).append(entry)
        for record in self._held():
            if record.revoked_at is None and record.not_after >= now:
                hold = Revocation(record.serial, record.issued_at, Reason.CERTIFICATE_HOLD)
                revoked.setdefault(record.authority, []).append(hold)
        changed = settle(
            self._files,
            server_hosts(self._hosts, self._machine),
            now,
            revoked=revoked,
            renew=renew,
            new_key=new_key,
            serials=self._serials,
        )
        return Settled(self._server_info(), changed)

    def _server_info(self, path: Path | None = None) -> CertificateInfo:
        path = path or self.paths.server_cert
        try:
            return describe(x509.load_pem_x509_certificate(path.read_bytes()))
        except OSError as exc:
            raise Unavailable(
                f"{path} cannot be read: {exc.strerror}.",
                hint="Run `mooring cert init` to recreate the files.",
                code="pki_unreadable",
            ) from exc
        except ValueError as exc:
            raise Conflict(
                f"{path} holds no certificate.",
                hint="Run `mooring cert init` to recreate the files.",
                code="certificate_unusable",
            ) from exc


def _canonical(serial: str) -> str:
    """A serial number as the ledger keeps it, from whatever a tool printed."""
    try:
        return format(int(serial.replace(":", ""), 16), "x")
    except ValueError as exc:
        raise Invalid(
            f"{serial[:60]!r} is not a serial number.",
            hint="Use hexadecimal, as printed by `mooring cert list` and openssl.",
            code="invalid_serial",
        ) from exc
