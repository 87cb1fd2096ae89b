"""A server certificate that the operator brings, by path: checked, then copied.

The broker reads the copy, never the operator's files. So a wrong file changes nothing however
often the broker is asked to reload, and certificate and key change in one step: the copy holds
both, and one ``rename`` replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mooring.errors import Conflict, Unavailable
from mooring.pki.files import SECRET, write_atomically
from mooring.pki.inspect import check_pair
from mooring.pki.problems import Problem
from mooring.settings import Settings

__all__ = ["COPY", "OperatorFiles", "adopt", "check", "operator_files", "unusable"]

COPY = "operator.pem"
"""Its name in the directory of the PKI: the key first, then the certificate with its chain."""


@dataclass(frozen=True, slots=True)
class OperatorFiles:
    """What the settings ``tls_certfile``, ``tls_keyfile`` and ``tls_cafile`` name.

    Attributes:
        ca: whom devices trust; ``None``: a public CA.
        hosts: the names devices dial.
    """

    certificate: Path
    key: Path
    ca: Path | None
    hosts: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file to watch."""
        each = (self.certificate, self.key, self.ca)
        return tuple(path for path in each if path is not None)


def operator_files(settings: Settings) -> OperatorFiles | None:
    """The operator's files, or ``None`` when the private CA's certificate is used.

    Raises:
        Conflict: a certificate without a key, or the other way round.
    """
    if settings.tls_certfile is None and settings.tls_keyfile is None:
        return None
    if settings.tls_certfile is None or settings.tls_keyfile is None:
        missing = "tls_certfile" if settings.tls_certfile is None else "tls_keyfile"
        raise Conflict(
            f"The server certificate cannot be used: {missing} is not set.",
            hint="Set tls_certfile and tls_keyfile, or neither to use the private CA.",
            code="certificate_unusable",
        )
    return OperatorFiles(
        settings.tls_certfile.absolute(),
        settings.tls_keyfile.absolute(),
        None if settings.tls_cafile is None else settings.tls_cafile.absolute(),
        settings.public_hosts,
    )


def check(files: OperatorFiles, now: datetime) -> list[Problem]:
    """Everything wrong with the files as they lie there."""
    return check_pair(files.certificate, files.key, files.ca, files.hosts, now)


def adopt(files: OperatorFiles, directory: Path, now: datetime) -> tuple[Path, list[Problem]]:
    """Copy the files for the broker, if it can use them.

    Returns:
        The copy, and what is worth a warning.

    Raises:
        Conflict: they cannot be used; the copy stays what it was.
        Unavailable: the copy cannot be written.
    """
    copy = directory / COPY
    problems = check(files, now)
    if any(problem.fatal for problem in problems):
        raise unusable(problems)
    try:
        data = files.key.read_bytes().rstrip() + b"\n" + files.certificate.read_bytes()
    except OSError as exc:
        raise Unavailable(
            f"{exc.filename} can no longer be read: {exc.strerror}.",
            hint="Is it being replaced? Try again.",
            code="pki_unreadable",
        ) from exc
    candidate = copy.with_name(f"{COPY}.new")
    write_atomically(candidate, data, SECRET)
    try:
        # What was copied, not what was looked at: the files may change in between.
        again = check_pair(candidate, candidate, files.ca, files.hosts, now)
        if any(problem.fatal for problem in again):
            raise unusable(again)
        if copy.exists() and copy.read_bytes() == data:
            candidate.unlink()
        else:
            candidate.replace(copy)
    finally:
        candidate.unlink(missing_ok=True)
    return copy, problems


def unusable(problems: Iterable[Problem]) -> Conflict:
    """The error for files with fatal problems, each of them named."""
    fatal = [problem for problem in problems if problem.fatal]
    return Conflict(
        "The server certificate cannot be used: " + " ".join(p.message for p in fatal),
        hint=" ".join(dict.fromkeys(p.hint for p in fatal)),
        code="certificate_unusable",
        problems=[p.code for p in fatal],
    )
