"""The part oidc: what it brings to the processes."""

from __future__ import annotations

from mooring.later import later
from mooring.part import Part

with later():
    from mooring.oidc import api, provider, service
    from mooring.settings import oidc as settings

__all__ = ["PART"]

PART = Part(
    "oidc",
    routers=lambda: (api.router,),
    residents=lambda: {
        service.SignIn: lambda app, _: service.SignIn(app.people, provider.Provider(app.settings)),
    },
    counters=("sign_ins_refused",),
    settings=lambda: settings.OidcSettings,
)
