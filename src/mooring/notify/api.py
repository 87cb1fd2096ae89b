"""Routes of recipients and their notifications."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from mooring.notify.answers import (
    AddedOut,
    NotificationOut,
    RecipientChange,
    RecipientIn,
    RecipientOut,
)
from mooring.notify.documents import added_document, notification_document, recipient_document
from mooring.notify.model import Kind
from mooring.notify.service import Recipients
from mooring.web.auth import Who
from mooring.web.fields import Reason, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["router"]

router = Routes(prefix="/api/v1/recipients", tags=["notifications"])

RecipientsNow = Annotated[Recipients, provided(Recipients)]
RecipientReference = Annotated[
    str,
    Path(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Its name or number.",
    ),
]
OfTenant = Annotated[Word | None, Query(description="Tenant of the recipient.")]


@router.get("", response_model=PageOf[RecipientOut])
def list_recipients(
    recipients: RecipientsNow, who: Who, paging: PagingDep, tenant: OfTenant = None
) -> PageOf[dict[str, Any]]:
    """Lists recipients of notifications, the oldest first."""
    key = paging.key(int)
    after = 0 if key is None else int(key[0])
    found = recipients.listed(who, tenant=tenant, after=after, limit=paging.limit + 1)
    return paging.cut([recipient_document(one) for one in found], lambda item: (item["number"],))


@router.post("", status_code=201, response_model=AddedOut)
def add_recipient(recipients: RecipientsNow, who: Who, given: RecipientIn) -> dict[str, Any]:
    """Adds a recipient. The secret of a webhook is in this answer only."""
    return added_document(
        recipients.add(
            who,
            given.name,
            Kind(given.kind),
            given.target,
            options=given.options,
            private=given.private,
            platform=given.platform,
            tenant=given.tenant,
            reason=given.reason,
        )
    )


@router.get("/{recipient}", response_model=RecipientOut)
def show_recipient(
    recipients: RecipientsNow, who: Who, recipient: RecipientReference, tenant: OfTenant = None
) -> dict[str, Any]:
    """Returns a recipient."""
    return recipient_document(recipients.get(who, recipient, tenant=tenant))


@router.patch("/{recipient}", response_model=AddedOut)
def change_recipient(
    recipients: RecipientsNow,
    who: Who,
    recipient: RecipientReference,
    given: RecipientChange,
    tenant: OfTenant = None,
) -> dict[str, Any]:
    """Changes a recipient, or switches it on or off."""
    return added_document(
        recipients.change(
            who,
            recipient,
            target=given.target,
            options=given.options,
            enabled=given.enabled,
            private=given.private,
            platform=given.platform,
            renew_secret=given.renew_secret,
            tenant=tenant,
            reason=given.reason,
        )
    )


@router.delete("/{recipient}", status_code=204)
def remove_recipient(
    recipients: RecipientsNow,
    who: Who,
    recipient: RecipientReference,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> None:
    """Removes a recipient with its history. Waiting notifications are not sent."""
    recipients.remove(who, recipient, tenant=tenant, reason=reason)


@router.post("/{recipient}/test", status_code=202, response_model=NotificationOut)
def test_recipient(
    recipients: RecipientsNow,
    who: Who,
    recipient: RecipientReference,
    tenant: OfTenant = None,
    reason: Reason = "",
) -> dict[str, Any]:
    """Sends a test notification. Its outcome is in the recipient's notifications."""
    return notification_document(recipients.test(who, recipient, tenant=tenant, reason=reason)[1])


@router.get("/{recipient}/notifications", response_model=PageOf[NotificationOut])
def list_notifications(
    recipients: RecipientsNow,
    who: Who,
    recipient: RecipientReference,
    paging: PagingDep,
    tenant: OfTenant = None,
) -> PageOf[dict[str, Any]]:
    """Lists notifications of a recipient, the newest first."""
    key = paging.key(int)
    before = None if key is None else int(key[0])
    found = recipients.history(who, recipient, tenant=tenant, before=before, limit=paging.limit + 1)
    return paging.cut([notification_document(one) for one in found], lambda item: (item["number"],))
