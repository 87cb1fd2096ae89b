"""One attempt to hand a notification over, by the kind of its recipient."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mooring.clock import now_ms
from mooring.notify import apprise, http, message, signing
from mooring.notify.model import Kind
from mooring.notify.retries import Answer, Outcome
from mooring.settings.notify import SCHEMES

__all__ = ["Channels", "Parcel"]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A notification with everything that an attempt needs; its secrets are never shown.

    Attributes:
        body: the stored document, JSON.
        secret: signs a webhook; empty for other kinds.
    """

    id: int
    recipient: int
    tenant: str
    kind: Kind
    target: str
    secret: str
    private: bool
    message_id: str
    body: str
    created_at: int

    def __repr__(self) -> str:
        return f"Parcel({self.id})"


@dataclass(frozen=True, slots=True)
class Channels:
    """What attempts share.

    Attributes:
        ca_file: further certificate authorities.
        schemes: of Apprise that are allowed now.
        http_seconds, apprise_seconds: for one attempt.
    """

    tls: ssl.SSLContext
    ca_file: str = ""
    schemes: tuple[str, ...] = SCHEMES
    http_seconds: float = http.TIMEOUT_SECONDS
    apprise_seconds: float = apprise.TIMEOUT_SECONDS

    @classmethod
    def of(cls, ca_file: Path | None, schemes: tuple[str, ...] = SCHEMES) -> Channels:
        """Raises ``OSError`` or ``ssl.SSLError`` when the file cannot be used."""
        tls = ssl.create_default_context()
        if ca_file is None:
            return cls(tls, schemes=schemes)
        tls.load_verify_locations(ca_file)
        return cls(tls, str(ca_file.absolute()), schemes)

    async def send(self, parcel: Parcel) -> Answer:
        """One attempt; never raises for what the receiver does."""
        document: dict[str, Any] = msgspec.json.decode(parcel.body)
        if parcel.kind is Kind.WEBHOOK:
            return await self._webhook(parcel, document)
        if parcel.kind is Kind.ALERTMANAGER:
            return await self._alertmanager(parcel, document)
        scheme = parcel.target.partition(":")[0].lower()
        if scheme not in self.schemes:
            return Answer(Outcome.INVALID, f"the scheme {scheme} is not allowed any more")
        return await apprise.send(
            parcel.target,
            message.title(document),
            message.text(document),
            private=parcel.private,
            ca_file=self.ca_file,
            seconds=self.apprise_seconds,
        )

    async def _webhook(self, parcel: Parcel, document: dict[str, Any]) -> Answer:
        body = message.cloud_event(
            document, message_id=parcel.message_id, created_at=parcel.created_at
        )
        at = int(time.time())
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": parcel.message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": signing.sign(parcel.secret, parcel.message_id, at, body),
        }
        return await self._post(parcel, parcel.target, body, headers)

    async def _alertmanager(self, parcel: Parcel, document: dict[str, Any]) -> Answer:
        url = parcel.target.rstrip("/") + "/api/v2/alerts"
        body = message.alertmanager(document, now=now_ms())
        answer = await self._post(parcel, url, body, {"content-type": "application/json"})
        # Only a webhook says with 410 that it wants nothing more.
        gone = answer.outcome is Outcome.GONE
        return Answer(Outcome.FAILED, "HTTP 410") if gone else answer

    async def _post(self, parcel: Parcel, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        return await http.post(
            url, body, headers, private=parcel.private, tls=self.tls, seconds=self.http_seconds
        )
