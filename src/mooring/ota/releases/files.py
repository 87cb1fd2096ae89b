"""Files of releases: each stored once, under its SHA-256.

``artifacts/ab/abcdef…`` below the data directory. A file arrives under ``artifacts/incoming`` and
gets its name when it is complete and durable. Nothing is removed here while anything may refer to
it: ``sweep`` deletes what no row names and nobody has brought again for an hour; ``discard``
deletes files immediately whose row was removed or rejected.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from mooring.errors import Invalid, NotFound, Unavailable
from mooring.files import sync_folder
from mooring.ota.releases.image import HEAD_BYTES
from mooring.ota.releases.model import Stored

__all__ = ["CHUNK_BYTES", "Files", "Incoming"]

CHUNK_BYTES = 1 << 20
KEPT_SECONDS = 3600
"""How long a file stays that no release refers to: its row may just be on its way."""
INCOMING_SECONDS = 86_400


class Files:
    """The store of one installation.

    Args:
        folder: made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def receive(self, most: int) -> Incoming:
        """A file that is about to arrive.

        Args:
            most: bytes; a longer one is rejected.

        Raises:
            Unavailable: the folder cannot be written.
        """
        return Incoming(self, most)

    def path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def read(self, sha256: str) -> Iterator[bytes]:
        """Its content, a piece at a time.

        Raises:
            NotFound: ``artifact_missing``: it is gone from the data directory.
        """
        try:
            file = self.path(sha256).open("rb")
        except OSError as exc:
            raise NotFound(
                "The file is missing from the data directory.",
                hint="Restore `artifacts` from a backup, or upload the file again.",
                code="artifact_missing",
            ) from exc

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(CHUNK_BYTES):
                    yield piece

        return pieces()

    def is_whole(self, sha256: str, progress: Callable[[int], None] | None = None) -> bool:
        """Whether the file is there and has not changed; ``progress`` is given bytes."""
        digest = hashlib.sha256()
        try:
            for piece in self.read(sha256):
                digest.update(piece)
                if progress is not None:
                    progress(len(piece))
        except (NotFound, OSError):
            return False
        return digest.hexdigest() == sha256

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While it lasts, no other process adds or removes a row and its file (``discard``).

        Raises:
            Unavailable: the folder cannot be opened.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY)
        except OSError as exc:
            raise _cannot(self.folder, exc) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def discard(
        self, digests: Collection[str], known: Callable[[Collection[str]], Collection[str]]
    ) -> None:
        """Deletes those of these files that no release refers to.

        Args:
            known: which of some digests a release refers to.

        Raises:
            Unavailable: a file cannot be deleted.
        """
        with self.locked():
            for digest in set(digests) - set(known(digests)):
                try:
                    self.path(digest).unlink(missing_ok=True)
                except OSError as exc:
                    raise _cannot(self.folder, exc) from exc

    def sweep(self, known: Callable[[Collection[str]], Collection[str]], now: float) -> int:
        """Deletes files that nothing refers to; how many.

        Args:
            known: which of some digests a release refers to.
            now: epoch seconds.
        """
        deleted = 0
        for folder in sorted(self.folder.glob("[0-9a-f][0-9a-f]")):
            old = {
                one.name
                for one in folder.iterdir()
                if now - one.stat().st_mtime > KEPT_SECONDS and one.is_file()
            }
            for name in sorted(old - set(known(sorted(old)))) if old else ():
                (folder / name).unlink(missing_ok=True)
                deleted += 1
        for left in self.folder.glob("incoming/*"):
            if now - left.stat().st_mtime > INCOMING_SECONDS:
                left.unlink(missing_ok=True)
                deleted += 1
        return deleted


class Incoming:
    """A file that arrives. Use as a context: what was not kept is gone at its end."""

    def __init__(self, files: Files, most: int) -> None:
        self._files, self._most = files, most
        self._size = 0
        self._head = b""
        self._digests = [hashlib.new(name) for name in ("sha256", "sha1", "md5")]
        folder = files.folder / "incoming"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path = folder / secrets.token_hex(16)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._file = os.fdopen(os.open(self._path, flags, 0o600), "wb")
        except OSError as exc:
            raise _cannot(folder, exc) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """The next bytes.

        Raises:
            Invalid: ``artifact_too_large``.
            Unavailable: the disk is full.
        """
        self._size += len(piece)
        if self._size > self._most:
            raise Invalid(
                f"The file is larger than {self._most:,} bytes.",
                hint="An administrator can raise `firmware_max_bytes`.",
                code="artifact_too_large",
            )
        if len(self._head) < HEAD_BYTES:
            self._head = (self._head + piece)[:HEAD_BYTES]
        for digest in self._digests:
            digest.update(piece)
        try:
            self._file.write(piece)
        except OSError as exc:
            raise _cannot(self._path.parent, exc) from exc

    def finish(self) -> Stored:
        """All bytes have come: they are made durable, and have their name.

        Raises:
            Invalid: ``artifact_empty``.
            Unavailable: the disk is full.
        """
        if not self._size:
            raise Invalid("The file is empty.", code="artifact_empty")
        sha256, sha1, md5 = (digest.hexdigest() for digest in self._digests)
        stored = Stored(self._size, sha256, sha1, md5, self._head)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._name(sha256)
        except OSError as exc:
            raise _cannot(self._path.parent, exc) from exc
        return stored

    def confirm(self, stored: Stored) -> None:
        """A row refers to it now: if it was swept just before, it is put back."""
        self._name(stored.sha256)

    def _name(self, sha256: str) -> None:
        path = self._files.path(sha256)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            os.link(self._path, path)
        except FileExistsError:
            os.utime(path, (time.time(), time.time()))
        sync_folder(path.parent)


def _cannot(folder: Path, exc: OSError) -> Unavailable:
    return Unavailable(f"Files cannot be stored in {folder}: {exc.strerror}.")
