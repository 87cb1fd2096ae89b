"""What a view works with: the person, the services, what was asked, and the viewer's time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, TypeVar
from urllib.parse import unquote

from starlette.requests import Request

from mooring.app import App
from mooring.dashboard.answers import Redirect
from mooring.dashboard.forms import Form, FormInvalid, Query
from mooring.errors import MooringError
from mooring.identity.actor import Actor, Role
from mooring.web.publisher import Publisher
from mooring.web.watching import Watcher

__all__ = ["APPLIED_SECONDS", "Call", "Problem"]

APPLIED_SECONDS = 3.0  # for which an action waits until the broker has applied it

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an action failed, for the form that was sent.

    Attributes:
        action: the address the form was sent to.
        fields: name of a field → what is wrong with it.
    """

    action: str
    message: str
    hint: str
    code: str
    status: int
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: MooringError, action: str) -> Problem:
        fields = error.fields if isinstance(error, FormInvalid) else {}
        return cls(action, error.message, error.hint, error.slug, error.status, fields)


@dataclass(slots=True)
class Call:
    """One request of a person, seen by a view. Views run in a thread.

    Attributes:
        who: the person, with role and tenant.
        app: the platform with the dialects as they are now.
        path: values of the page's path.
        url: the path that was asked for.
        query, form: what was asked and sent.
        now: epoch milliseconds, the same for the whole page.
        zone: the viewer's.
        theme: ``light``, ``dark`` or ``system``.
        html_target: the region that htmx replaces; ``None`` without htmx.
        problem: of the action that failed, while its page is shown again.
    """

    who: Actor
    app: App
    path: Mapping[str, str]
    url: str
    query: Query
    form: Form
    now: int
    zone: tzinfo
    theme: str
    html_target: str | None
    request: Request
    loop: asyncio.AbstractEventLoop
    problem: Problem | None = None

    def service(self, kind: type[T]) -> T:
        """The service of that class."""
        return self.app.service(kind)

    def resident(self, kind: type[T]) -> T:
        """What lives as long as this process, by its class."""
        found = self.request.app.state.residents[kind]
        assert isinstance(found, kind)
        return found

    @property
    def publisher(self) -> Publisher:
        """The process's connection to the broker."""
        found = self.request.app.state.publisher
        assert isinstance(found, Publisher)
        return found

    def may(self, role: str, *, whole: bool = False) -> bool:
        """Whether the person has the role (``viewer``, ``operator``, ``admin``), and, with
        ``whole``, sees the whole installation: what a person may not do is absent."""
        return self.who.role >= Role.of(role) and (not whole or self.who.tenant is None)

    def applied(self, changes: Sequence[int], seconds: float = APPLIED_SECONDS) -> bool:
        """Whether the broker has applied these changes within ``seconds``."""
        if not changes:
            return True
        watcher = self.request.app.state.watcher
        assert isinstance(watcher, Watcher)
        waiting = asyncio.run_coroutine_threadsafe(watcher.applied(changes, seconds), self.loop)
        return waiting.result(seconds + 30)

    def stored(self, what: str, changes: Sequence[int] = ()) -> str:
        """The sentence about a change: stored, and whether the broker has applied it."""
        if not changes:
            return f"{what}: stored."
        if self.applied(changes):
            return f"{what}: stored, and applied by the broker."
        return f"{what}: stored. The broker has not applied it yet; it is retried until it has."

    def redirect(self, to: str, notice: str = "", kind: str = "ok") -> Redirect:
        """The answer of an action that is done: the page to show, with a notice."""
        return Redirect(to, notice, kind)

    # -------------------------------------------------------------- for templates

    def typed(self, action: str, name: str, default: Any = "") -> Any:
        """What was typed into the field of a form that failed; ``default`` in any other."""
        return self.form.raw(name) if self.failed(action) else default

    def wrong(self, action: str, name: str) -> str:
        """What is wrong with the field of a form that failed."""
        problem = self.failed(action)
        return problem.fields.get(name, "") if problem else ""

    def failed(self, action: str) -> Problem | None:
        """The problem of the form that is sent to that address."""
        # A page writes its addresses quoted; the one that was asked for is not.
        problem = self.problem
        same = problem is not None and unquote(problem.action) == unquote(action)
        return problem if same else None
