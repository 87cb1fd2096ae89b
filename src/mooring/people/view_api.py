"""Routes of saved views."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import Field, StringConstraints

from mooring.people.model import SavedView
from mooring.people.views import NAME_MAX, QUERY_MAX, SavedViews
from mooring.web.auth import Who
from mooring.web.fields import Document, Time
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/device-views", tags=["people"])

ViewsNow = Annotated[SavedViews, provided(SavedViews)]
ViewName = Annotated[str, StringConstraints(min_length=1, max_length=NAME_MAX)]
QueryText = Annotated[str, StringConstraints(max_length=QUERY_MAX)]


class ViewOut(Document):
    """A list of devices that has a name."""

    name: str
    query: str = Field(description="Of the page Devices: `/devices?QUERY`.")
    created_at: Time


class ViewsOut(Document):
    items: list[ViewOut]


class ViewIn(Document):
    """A view to save."""

    name: ViewName
    query: QueryText = Field(description="Such as `state=silent&sort=-last_seen_at`.")


def _document(view: SavedView) -> dict[str, Any]:
    return {"name": view.name, "query": view.query, "created_at": view.created_at}


@router.get("", response_model=ViewsOut)
def list_views(views: ViewsNow, who: Who) -> dict[str, Any]:
    """Lists the own saved views by name."""
    return {"items": [_document(view) for view in views.of(who)]}


@router.post("", status_code=201, response_model=ViewOut)
def save_view(views: ViewsNow, who: Who, given: ViewIn) -> dict[str, Any]:
    """Saves a view of the list of devices. It replaces the own view of the same name."""
    return _document(views.save(who, given.name, given.query))


@router.delete("/{view:path}", status_code=204)
def remove_view(
    views: ViewsNow,
    who: Who,
    view: Annotated[str, Path(min_length=1, max_length=NAME_MAX, description="Name of the view.")],
) -> Response:
    """Removes an own view."""
    views.remove(who, view)
    return Response(status_code=204)
