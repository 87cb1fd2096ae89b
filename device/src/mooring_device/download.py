"""Fetching an image: over HTTPS, continued where it broke off, checked before it is used."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from mooring_device.credentials import Credentials
from mooring_device.errors import ConnectFailed, FirmwareRefused
from mooring_device.http import basic_auth
from mooring_device.offers import Offer, check_address

__all__ = ["Fetcher", "LinkExpired", "ServerBusy", "checked", "fetcher_for"]

CHUNK = 64 * 1024
BUSY_MAX = 3600.0  # seconds; a server may ask for more
ANSWER_MAX = 16_384  # bytes of an error that are read
FULL = (errno.ENOSPC, errno.EDQUOT)


class LinkExpired(ConnectFailed):
    """The link of the offer has expired; the platform sends a fresh offer."""


class ServerBusy(ConnectFailed):
    """The server asks to come back later.

    Args:
        seconds: when.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class _CheckedRedirect(urllib.request.HTTPRedirectHandler):
    """Follows only to where the offer itself might have pointed, without credentials."""

    def redirect_request(self, req: Any, *args: Any) -> Any:
        check_address(str(args[-1]))  # the new address
        request = super().redirect_request(req, *args)
        if request is not None:
            request.remove_header("Authorization")
        return request


class Fetcher:
    """Fetches one image into a folder.

    Args:
        folder: where the part and the whole are kept.
        context: for TLS (``ssl.SSLContext``).
        headers: sent with the request, such as the Authorization for the platform.
        timeout: seconds without a byte until the attempt is given up.
    """

    def __init__(
        self, folder: Path, context: Any, headers: dict[str, str], *, timeout: float = 30.0
    ) -> None:
        self._folder = folder
        self._headers = headers
        self._timeout = timeout
        self._opener = urllib.request.build_opener(
            _CheckedRedirect(), urllib.request.HTTPSHandler(context=context)
        )

    def part(self, offer: Offer) -> Path:
        return self._folder / f"{offer.sha256}.part"

    def have(self, offer: Offer) -> int:
        """How many bytes have arrived."""
        part = self.part(offer)
        return part.stat().st_size if part.exists() else 0

    def drop(self, offer: Offer) -> None:
        """Removes what has arrived."""
        self.part(offer).unlink(missing_ok=True)
        self.part(offer).with_suffix(".bin").unlink(missing_ok=True)

    def tidy(self, offer: Offer) -> None:
        """Removes what has arrived of other images."""
        for one in self._folder.glob("*"):
            if one.stem != offer.sha256 and one.suffix in (".part", ".bin"):
                one.unlink(missing_ok=True)

    def fetch(
        self, offer: Offer, progress: Callable[[int], None], stopping: Callable[[], bool]
    ) -> Path:
        """One attempt; what has arrived is kept for the next one.

        Args:
            progress: called with the percent that are there.
            stopping: asked between chunks.

        Raises:
            LinkExpired: what has arrived is kept until a fresh offer comes.
            ServerBusy: try again when it says.
            ConnectFailed: broken off; try again.
            FirmwareRefused: wrong size or hash, gone, or no room on the disk.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise _disk(exc) from exc
        part, whole = self.part(offer), self.part(offer).with_suffix(".bin")
        if whole.exists():  # the handler has not installed it yet
            whole.replace(part)
        if self.have(offer) > offer.size:
            part.unlink()
        have = self.have(offer)
        if shutil.disk_usage(self._folder).free < offer.size - have:
            raise FirmwareRefused(
                f"The disk has no room for the image ({offer.size} bytes).", code="no_space"
            )
        resumed = have > 0
        if have < offer.size:
            try:
                self._load(offer, part, have, progress, stopping)
            except urllib.error.HTTPError as exc:
                raise self._answered(exc, part) from exc
            except (OSError, http.client.HTTPException) as exc:
                raise ConnectFailed(f"The download broke off: {exc}.") from exc
        try:
            return checked(part, offer)
        except FirmwareRefused as exc:
            if resumed:  # a power cut can leave a part that is longer than what was written
                raise ConnectFailed(
                    "The continued image has another SHA-256; it is downloaded again."
                ) from exc
            raise

    def _answered(self, exc: urllib.error.HTTPError, part: Path) -> Exception:
        """What an HTTP error means for the update."""
        with exc:
            code = _code(exc)
            retry = _seconds(exc.headers.get("Retry-After") or "")
        said = f"The server of the image answered {exc.code}{f' {code}' if code else ''}."
        if exc.code == http.client.GONE and code != "update_over":
            return LinkExpired(said)
        if exc.code in (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE) and retry:
            return ServerBusy(said, retry)
        if exc.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        elif 400 <= exc.code < 500 and exc.code not in (408, 425, 429):
            links = code.startswith("link_") or code == "update_over"
            return FirmwareRefused(said, code="link" if links else "http_4xx")
        return ConnectFailed(said)

    def _load(
        self,
        offer: Offer,
        part: Path,
        have: int,
        progress: Callable[[int], None],
        stopping: Callable[[], bool],
    ) -> None:
        headers = {**self._headers, **({"Range": f"bytes={have}-"} if have else {})}
        request = urllib.request.Request(offer.url, headers=headers)  # noqa: S310  checked
        with self._opener.open(request, timeout=self._timeout) as response:
            # 200 to a Range request: the server sends the whole [RFC 9110 14.2].
            resumed = response.status == http.client.PARTIAL_CONTENT
            begins = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
            if have and not (resumed and begins):
                have = 0
            total = _total(response, have)
            if total is not None and total < offer.size:
                raise FirmwareRefused(
                    f"The server's image has {total} bytes; the offer says {offer.size}.",
                    code="digest",
                )
            try:
                file = part.open("r+b" if have else "wb")
            except OSError as exc:
                raise _disk(exc) from exc
            with file:
                file.seek(have)
                while not stopping():
                    block = response.read(CHUNK)
                    if not block:
                        break
                    have += len(block)
                    if have > offer.size:
                        file.truncate(0)
                        raise FirmwareRefused(
                            "The image is larger than the offer says.", code="digest"
                        )
                    _write(file, block, part)
                    progress(have * 100 // offer.size)
                try:
                    os.fsync(file.fileno())
                except OSError as exc:
                    raise _disk(exc) from exc
        if have < offer.size:
            raise ConnectFailed(f"The download broke off at {have} of {offer.size} bytes.")


def _write(file: BinaryIO, block: bytes, part: Path) -> None:
    try:
        file.write(block)
        file.flush()
    except OSError as exc:
        if exc.errno in FULL:  # the queue of readings needs the room more
            part.unlink(missing_ok=True)
        raise _disk(exc) from exc


def _disk(exc: OSError) -> FirmwareRefused:
    if exc.errno in FULL:
        return FirmwareRefused("The disk is full.", code="no_space")
    return FirmwareRefused(f"The image cannot be stored: {exc.strerror}.")


def _total(response: Any, have: int) -> int | None:
    """How many bytes the server's image has, if it says so."""
    if have:
        total = (response.headers.get("Content-Range") or "").rpartition("/")[2]
    else:
        total = response.headers.get("Content-Length") or ""
    return int(total) if total.isascii() and total.isdigit() and len(total) < 19 else None


def _code(answer: Any) -> str:
    """The word for programs in the platform's answer (RFC 9457), or ""."""
    try:
        said = json.loads(answer.read(ANSWER_MAX))
        return str(said["code"])[:64]
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
        return ""  # another server's words


def _seconds(header: str) -> float:
    """``Retry-After`` [RFC 9110 10.2.3]; 0: it does not say."""
    if header.strip().isascii() and header.strip().isdigit():
        return min(max(float(header), 1.0), BUSY_MAX)
    try:
        return min(max(parsedate_to_datetime(header).timestamp() - time.time(), 1.0), BUSY_MAX)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def checked(part: Path, offer: Offer) -> Path:
    """The image under its final name, when it is what was offered.

    Raises:
        FirmwareRefused: another hash; the file is removed.
    """
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while True:
            block = file.read(CHUNK)
            if not block:
                break
            digest.update(block)
    if digest.hexdigest() != offer.sha256:
        part.unlink()
        raise FirmwareRefused(
            "The image's SHA-256 is not the one of the offer; it was removed.", code="digest"
        )
    whole = part.with_suffix(".bin")
    part.replace(whole)
    return whole


def fetcher_for(offer: Offer, folder: Path, credentials: Credentials) -> Fetcher:
    """A fetcher that trusts what the device trusts. Only the platform itself is shown the
    device's password, no other server of images."""
    headers = {}
    if credentials.http_url and _origin(offer.url) == _origin(credentials.http_url):
        headers["Authorization"] = basic_auth(credentials.username, credentials.password)
    context = ssl.create_default_context()
    if credentials.tls is not None and credentials.tls.ca_pem:
        context.load_verify_locations(cadata=credentials.tls.ca_pem)
    elif credentials.tls is not None and credentials.tls.ca_file:
        context.load_verify_locations(cafile=credentials.tls.ca_file)
    return Fetcher(folder, context, headers)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
