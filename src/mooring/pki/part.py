"""The part pki: what it brings to the processes."""

from __future__ import annotations

from mooring.identity.scopes import Scope
from mooring.later import later
from mooring.part import Part, noun
from mooring.supervisor.registry import Entry

with later():
    from mooring.pki import api
    from mooring.settings import pki as settings
    from mooring.store import schema

__all__ = ["PART"]

PART = Part(
    "pki",
    routers=lambda: (api.router,),
    scope=Scope.DEVICES,
    tables=lambda: (
        schema.certificates,
        schema.sightings,
    ),
    workers=(
        Entry("certificates", "up", "keeps certificates, revocations and sessions consistent"),
    ),
    settings=lambda: settings.PkiSettings,
    nouns=(noun("cert", "cert_rollover"),),
)
