"""The part people: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun

with later():
    from mooring.people import api, view_api, views
    from mooring.settings import people as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "people",
    routers=lambda: (api.router, view_api.router),
    scopes={
        "GET /api/v1/me": "login",
        "POST /api/v1/logout": "login",
        "PUT /api/v1/me/password": "login",
        "GET /api/v1/device-views": "login",
        "POST /api/v1/device-views": "login",
        "DELETE /api/v1/device-views/{view:path}": "login",
        "GET /api/v1/users": Scope.ADMIN,
        "GET /api/v1/users/{name}": Scope.ADMIN,
        "GET /api/v1/api-keys": Scope.ADMIN,
    },
    services=lambda: {
        views.SavedViews: lambda app: views.SavedViews(app.database, app.settings),
    },
    tables=lambda: (
        schema.users,
        schema.saved_views,
        schema.sessions,
        schema.api_keys,
        schema.audit,
    ),
    counters=("logins_refresh_reused", "logins_throttled"),
    settings=lambda: settings.PeopleSettings,
    nouns=(
        noun("user"),
        noun("key"),
        noun("audit"),
    ),
)
