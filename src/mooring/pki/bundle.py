"""What a device is handed: its certificate, its key when we made it, and whom to trust."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from mooring.errors import Conflict, Invalid
from mooring.pki.keys import PrivateKey, key_pem
from mooring.pki.model import CertificateInfo

__all__ = ["DeviceBundle"]


@dataclass(frozen=True, slots=True)
class DeviceBundle:
    """One device's certificate, returned once.

    Attributes:
        info: the certificate in plain values.
        certificate: PEM.
        trust: every CA the device shall trust, PEM; two during a rollover.
        key: the private key, or ``None`` when it was made on the device. Never stored here,
            never logged.
    """

    info: CertificateInfo
    certificate: bytes
    trust: bytes
    key: PrivateKey | None = field(default=None, repr=False)

    @property
    def key_pem(self) -> bytes | None:
        """The key as PKCS#8 PEM without a password: for files of mode 0600."""
        return None if self.key is None else key_pem(self.key)

    def pem_files(self) -> dict[str, bytes]:
        """File names and contents: what the SDK, Mosquitto's tools and paho take."""
        files = {"device.crt": self.certificate, "ca.crt": self.trust}
        secret = self.key_pem
        return files if secret is None else {**files, "device.key": secret}

    def pkcs12(self, password: str) -> bytes:
        """Key, certificate and CAs in one encrypted file (AES-256, for Java, Windows, phones).

        Raises:
            Conflict: the key was made on the device, so it is not here to be packed.
            Invalid: the password is empty.
        """
        if self.key is None:
            raise Conflict(
                "A PKCS#12 bundle needs the private key, which was created on the device.",
                hint="Create the bundle there: openssl pkcs12 -export -inkey device.key -in "
                "device.crt.",
                code="key_not_here",
            )
        if not password:
            raise Invalid(
                "A PKCS#12 bundle needs a password.",
                hint="Give one, or let Mooring generate one.",
                code="empty_password",
            )
        return pkcs12.serialize_key_and_certificates(
            self.info.subject.encode(),
            self.key,
            x509.load_pem_x509_certificate(self.certificate),
            x509.load_pem_x509_certificates(self.trust),
            serialization.BestAvailableEncryption(password.encode()),
        )
