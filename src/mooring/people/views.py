"""Saved views: lists of devices that a person has given a name. Each person sees only their own.

The audit does not list them: they change nothing that anybody else sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from sqlalchemy.engine import Connection

from mooring.dialects.ids import check_name
from mooring.errors import Forbidden, Invalid, NotFound
from mooring.identity.actor import Actor
from mooring.people import view_store as store
from mooring.people.model import SavedView
from mooring.settings import Settings
from mooring.store.engine import Database, now_ms

__all__ = ["NAME_MAX", "PAIRS_MAX", "PARTS", "QUERY_MAX", "SavedViews", "checked_query"]

NAME_MAX = 64
QUERY_MAX = 2000
"""Characters of a view's query."""
PAIRS_MAX = 50
"""Values in a view's query."""
PARTS = (
    *("q", "state", "problem", "dialect", "tenant", "firmware", "group", "silent", "where"),
    *("sort", "col", "by"),
)
"""Parts of the address of the page Devices that a view keeps."""


@dataclass(frozen=True, slots=True)
class SavedViews:
    """Saved views of one installation."""

    database: Database
    settings: Settings

    def of(self, actor: Actor) -> list[SavedView]:
        """The actor's views, by name; a program has none."""
        with self.database.read() as connection:
            owner = store.owner_of(connection, actor.name)
            return [] if owner is None else store.views_of(connection, owner)

    def save(self, actor: Actor, name: str, query: str) -> SavedView:
        """Saves a view; it replaces the actor's view of the same name.

        Args:
            query: of the address of the page Devices, such as ``state=silent&sort=-last_seen_at``.

        Raises:
            Invalid: ``invalid_name``; ``invalid_view``: the query is not valid.
            Conflict: ``limit_reached``.
            Forbidden: ``not_a_person``.
        """
        name = name.strip()
        check_name(name, "view", most=NAME_MAX, numbered=False)
        if not name.strip("."):
            raise Invalid(
                f"{name!a} is not a valid name of a view: addresses resolve it.",
                hint="Add a letter.",
                code="invalid_name",
            )
        view = SavedView(name, checked_query(query), now_ms())
        with self.database.write() as connection:
            owner = _owner(connection, actor)
            store.delete_view(connection, owner, view.name)
            store.require_view_room(connection, owner, self.settings.saved_views_max_per_user)
            store.insert_view(connection, owner, view)
        return view

    def remove(self, actor: Actor, name: str) -> None:
        """Removes a view of the actor.

        Raises:
            NotFound: the actor has no view of that name.
        """
        with self.database.write() as connection:
            owner = store.owner_of(connection, actor.name)
            if owner is None or not store.delete_view(connection, owner, name):
                raise NotFound(
                    f"You have no saved view {name[:NAME_MAX]!a}.",
                    hint="The page Devices lists your views.",
                    code="view_not_found",
                )


def checked_query(query: str) -> str:
    """A query as it is stored.

    Raises:
        Invalid: ``invalid_view``.
    """
    wrong = ""
    try:
        pairs = parse_qsl(query.removeprefix("?"), max_num_fields=PAIRS_MAX, errors="strict")
    except ValueError:
        pairs, wrong = [], f"It is not text of an address, or has more than {PAIRS_MAX} values."
    unknown = sorted({name for name, _ in pairs} - set(PARTS))
    found = urlencode(pairs)
    if unknown:
        wrong = f"{unknown[0][:40]!a} is not a part of a list of devices."
    elif not all(value.isprintable() for _, value in pairs):
        wrong = "It has characters that cannot be shown."
    elif len(found) > QUERY_MAX:
        wrong = f"It has {len(found):,} characters. The maximum is {QUERY_MAX:,}."
    if wrong:
        raise Invalid(
            f"The query of the view is not valid: {wrong}",
            hint=f"Use {', '.join(PARTS)}, as in state=silent&sort=-last_seen_at.",
            code="invalid_view",
        )
    return found


def _owner(connection: Connection, actor: Actor) -> int:
    # No login has a name with a colon, which names of keys and programs have.
    owner = store.owner_of(connection, actor.name, lock=True)
    if owner is None:
        raise Forbidden(
            "Only people have saved views.", hint="Log in as a person.", code="not_a_person"
        )
    return owner
