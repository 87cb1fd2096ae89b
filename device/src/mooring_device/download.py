"""Fetching an image: over HTTPS, continued where it broke off, checked before it is used."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mooring_device.credentials import Credentials
from mooring_device.errors import ConnectFailed, FirmwareRefused
from mooring_device.http import basic_auth
from mooring_device.offers import Offer, check_address

__all__ = ["Fetcher", "checked", "fetcher_for"]

CHUNK = 64 * 1024


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

    def fetch(
        self, offer: Offer, progress: Callable[[int], None], stopping: Callable[[], bool]
    ) -> Path:
        """One attempt; what has arrived is kept for the next one.

        Args:
            progress: called with the percent that are there.
            stopping: asked between chunks.

        Raises:
            ConnectFailed: broken off; try again.
            FirmwareRefused: wrong size or hash, gone, or no room on the disk.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.part(offer)
        have = part.stat().st_size if part.exists() else 0
        if have > offer.size:
            part.unlink()
            have = 0
        if shutil.disk_usage(self._folder).free < offer.size - have:
            raise FirmwareRefused(f"The disk has no room for the image ({offer.size} bytes).")
        if have < offer.size:
            try:
                self._load(offer, part, have, progress, stopping)
            except urllib.error.HTTPError as exc:
                exc.close()
                if exc.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.unlink(missing_ok=True)
                elif 400 <= exc.code < 500 and exc.code not in (408, 429):
                    raise FirmwareRefused(f"The server of the image answered {exc.code}.") from exc
                raise ConnectFailed(f"The server of the image answered {exc.code}.") from exc
            except (OSError, http.client.HTTPException) as exc:
                raise ConnectFailed(f"The download broke off: {exc}.") from exc
        return checked(part, offer)

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
            with part.open("r+b" if have else "wb") as file:
                file.seek(have)
                while not stopping():
                    block = response.read(CHUNK)
                    if not block:
                        break
                    have += len(block)
                    if have > offer.size:
                        file.truncate(0)
                        raise FirmwareRefused("The image is larger than the offer says.")
                    file.write(block)
                    progress(have * 100 // offer.size)
                file.flush()
                os.fsync(file.fileno())
        if have < offer.size:
            raise ConnectFailed(f"The download broke off at {have} of {offer.size} bytes.")


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
        raise FirmwareRefused("The image's SHA-256 is not the one of the offer; it was removed.")
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
