"""The certificate files the broker is given: the private CA's, or a copy of the operator's."""

from __future__ import annotations

import logging

from mooring.app import App
from mooring.clock import utc_now
from mooring.pki.model import PkiPaths
from mooring.pki.operator import adopt, operator_files

__all__ = ["prepare_tls"]

log = logging.getLogger(__name__)


def prepare_tls(app: App) -> PkiPaths:
    """Brings every file in line with settings and ledger.

    The revocation lists are made from the ledger, so what was revoked while nothing ran is
    rejected from the first connection on.

    Raises:
        Conflict: the operator's own files cannot be used; each reason is in the message.
        Invalid, Gone, Unavailable: the private CA's cannot be used, made or written.
    """
    pki = app.pki
    pki.init()
    ours = pki.paths
    operators = operator_files(app.settings)
    if operators is None:
        return ours
    copy, warnings = adopt(operators, ours.ca.parent, utc_now())
    for problem in warnings:
        log.warning("%s %s", problem.message, problem.hint)
    return PkiPaths(
        ca=operators.ca or operators.certificate,
        trust=ours.trust,
        server_cert=copy,
        server_key=copy,
        crl=ours.crl,
    )
