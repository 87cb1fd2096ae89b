"""Every error Mooring raises on purpose.

    MooringError                 one sentence, and a hint that says what to do
    ├── Invalid                  the input breaks a rule                  422  exit 2
    │   ├── InvalidDialect       a dialect file with its list of mistakes
    │   └── InvalidSetting       a setting that cannot be used
    ├── NotFound                 nothing by that name                     404  exit 3
    ├── Conflict                 it exists already, or is ambiguous       409  exit 4
    ├── Outdated             it has changed since the caller read it      412  exit 4
    ├── Unauthorized             who are you?                             401  exit 5
    ├── Forbidden                known, but not allowed                   403  exit 5
    ├── Gone                     it was there and is revoked or expired   410  exit 3
    ├── TooMany                  a limit was hit; try again later         429  exit 6
    ├── Unavailable              a part that is needed does not answer    503  exit 7
    │   ├── BrokerUnavailable
    │   │   └── BrokerRefusesUs
    │   └── DatabaseUnavailable
    │       └── DatabaseUnusable
    └── Internal                 a fault of ours, worth a report          500  exit 1

Driver errors (socket, SQL, OpenSSL) are translated where they enter, with ``from exc``.
The command line prints ``message`` and ``hint`` and exits with ``exit_code``; HTTP answers
with ``status`` and ``code`` as RFC 9457 problem+json.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BrokerRefusesUs",
    "BrokerUnavailable",
    "Conflict",
    "DatabaseUnavailable",
    "DatabaseUnusable",
    "Forbidden",
    "Gone",
    "Internal",
    "Invalid",
    "InvalidDialect",
    "InvalidSetting",
    "MooringError",
    "NotFound",
    "Outdated",
    "TooMany",
    "Unauthorized",
    "Unavailable",
]


class MooringError(Exception):
    """The root: what went wrong in one sentence, and what to do about it.

    Args:
        message: one sentence for people, with a full stop.
        hint: what to do next, one sentence; empty where there is nothing to do.
        code: a stable machine word that narrows the class's own (``device_not_found``).
        context: facts for machines, shown in problem+json and ``--json`` errors; no secrets.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, hint: str = "", code: str | None = None, **context: Any
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.slug = code or self.code
        self.context = context


class Invalid(MooringError):
    """The input breaks a rule; the message names the rule and the value."""

    code = "invalid"
    status = 422
    exit_code = 2


class InvalidDialect(Invalid):
    """A dialect file with mistakes; ``context["mistakes"]`` lists each with its line."""

    code = "invalid_dialect"


class InvalidSetting(Invalid):
    """A setting that cannot be used; the message names it and where it came from."""

    code = "invalid_setting"


class NotFound(MooringError):
    """Nothing goes by that name."""

    code = "not_found"
    status = 404
    exit_code = 3


class Gone(MooringError):
    """It existed and was revoked, used up or has expired."""

    code = "gone"
    status = 410
    exit_code = 3


class Conflict(MooringError):
    """It exists already, is ambiguous, or is in a state that forbids the change."""

    code = "conflict"
    status = 409
    exit_code = 4


class Outdated(MooringError):
    """It has changed since the version that the caller read."""

    code = "outdated"
    status = 412
    exit_code = 4


class Unauthorized(MooringError):
    """No credentials, or wrong ones."""

    code = "unauthorized"
    status = 401
    exit_code = 5


class Forbidden(MooringError):
    """Known, but without the right to do this."""

    code = "forbidden"
    status = 403
    exit_code = 5


class TooMany(MooringError):
    """A limit was hit; ``context["retry_after"]`` says how many seconds to wait."""

    code = "too_many"
    status = 429
    exit_code = 6


class Unavailable(MooringError):
    """A part that is needed does not answer now."""

    code = "unavailable"
    status = 503
    exit_code = 7


class BrokerUnavailable(Unavailable):
    """The MQTT broker does not answer, or rejects our own account."""

    code = "broker_unavailable"


class BrokerRefusesUs(BrokerUnavailable):
    """The broker answers, and does not know the platform's own account."""

    code = "broker_refuses_us"


class DatabaseUnavailable(Unavailable):
    """The database does not answer, is locked for too long, or its disk is full."""

    code = "database_unavailable"


class DatabaseUnusable(DatabaseUnavailable):
    """The database answers, and somebody has to change something before it can be used: rights,
    a login, its schema, a damaged file. The hint says what."""

    code = "database_unusable"


class Internal(MooringError):
    """A fault of ours: the message says what was being done."""

    code = "internal"
