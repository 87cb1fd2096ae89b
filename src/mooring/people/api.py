"""Routes of logins, people, API keys and tenants."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import Field, StringConstraints

from mooring.errors import Forbidden
from mooring.identity.actor import Actor, Role
from mooring.identity.scopes import Scope
from mooring.people import documents
from mooring.people.model import NewKey, NewUser, Session
from mooring.people.passwords import MAX_CHARACTERS
from mooring.people.service import People
from mooring.store.engine import now_ms
from mooring.web.auth import Who, address_of, secret_of
from mooring.web.fields import Document, Name, Reason, Time, Word
from mooring.web.paging import PageOf, PagingDep
from mooring.web.routing import Routes
from mooring.web.services import provided

__all__ = ["SessionOut", "router", "session_document"]

router = Routes(prefix="/api/v1", tags=["people"])

PeopleNow = Annotated[People, provided(People)]

RoleWord = Literal["viewer", "operator", "admin"]
Password = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS)]
DAY_MS = 86_400_000


class LoginIn(Document):
    name: Name
    password: Password


class RefreshIn(Document):
    refresh_token: Annotated[str, StringConstraints(max_length=256)]


class LogoutIn(Document):
    everywhere: bool = Field(
        default=False, description="End all logins of the same person instead of only this one."
    )


class ActorOut(Document):
    """The actor of the request."""

    name: str
    role: RoleWord
    tenant: str | None


class SessionOut(ActorOut):
    """A login. Send the token as `Authorization: Bearer TOKEN`."""

    token: str
    token_type: Literal["bearer"]
    expires_at: Time
    refresh_token: str = Field(description="For POST /api/v1/login/refresh, once.")
    refresh_expires_at: Time


class UserOut(Document):
    name: str
    role: RoleWord
    tenant: str | None
    disabled: bool
    issuer: str | None = Field(description="The sign-in provider; null: a password.")
    created_at: Time


class NewUserOut(UserOut):
    password: str | None = Field(description="Only if it was generated. Shown only once.")


class UserIn(Document):
    """A user to add. Without a password one is generated."""

    name: Name
    role: RoleWord = "viewer"
    tenant: Word | None = None
    password: Password | None = None
    reason: Reason = ""


class UserChange(Document):
    disabled: bool
    reason: Reason = ""


class PasswordIn(Document):
    """A new password. Without one it is generated."""

    password: Password | None = None
    reason: Reason = ""


class PasswordOut(Document):
    password: str | None = Field(description="Only if it was generated. Shown only once.")


class OwnPasswordIn(Document):
    current: Password
    new: Password


class KeyOut(Document):
    prefix: str
    name: str
    role: RoleWord
    tenant: str | None
    scopes: list[Scope] | None = Field(description="null: whatever the role allows.")
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None


class NewKeyOut(KeyOut):
    key: str = Field(description="The secret. Shown only once.")


class KeyIn(Document):
    name: Name
    role: RoleWord = "viewer"
    tenant: Word | None = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] | None = Field(
        default=None, description="What the key may be used for; without it, as its role."
    )
    expires_in_days: Annotated[int, Field(ge=1, le=36500)] | None = None
    reason: Reason = ""


class TenantOut(Document):
    name: str


class TenantIn(Document):
    name: Word
    reason: Reason = ""


# ------------------------------------------------------------------ who is asking


@router.post("/login", response_model=SessionOut)
def login(people: PeopleNow, request: Request, given: LoginIn) -> dict[str, Any]:
    """Returns a token for a name and password."""
    return session_document(people.login(given.name, given.password, address=address_of(request)))


@router.post("/login/refresh", response_model=SessionOut)
def refresh_login(people: PeopleNow, request: Request, given: RefreshIn) -> dict[str, Any]:
    """Returns new tokens for a refresh token. Each refresh token works once; the use of an older
    one ends the login."""
    return session_document(people.renew(given.refresh_token, address=address_of(request)))


@router.post("/logout", status_code=204)
def logout(
    people: PeopleNow, who: Who, request: Request, asked: LogoutIn | None = None
) -> Response:
    """Ends the login of the token, or all logins of its owner."""
    everywhere = asked.everywhere if asked is not None else False
    people.logout(who, secret_of(request), everywhere=everywhere)
    return Response(status_code=204)


@router.get("/me", response_model=ActorOut)
def me(who: Who) -> dict[str, Any]:
    """Returns the owner of the token or key, and its role."""
    return _actor(who)


@router.put("/me/password", status_code=204)
def change_own_password(people: PeopleNow, who: Who, given: OwnPasswordIn) -> Response:
    """Changes the own password. All existing logins end."""
    if who.is_key:
        raise Forbidden(
            "An API key has no password.", hint="Log in as a person.", code="not_a_person"
        )
    people.change_own_password(who, given.current, given.new)
    return Response(status_code=204)


# ------------------------------------------------------------------ people


@router.get("/users", response_model=PageOf[UserOut])
def list_users(people: PeopleNow, who: Who, paging: PagingDep) -> PageOf[dict[str, Any]]:
    """Lists users by name."""
    (after,) = paging.key(str) or ("",)
    found = people.users(who, limit=paging.limit + 1, after=str(after))
    return paging.cut([documents.user(user) for user in found], lambda item: (item["name"],))


@router.post("/users", status_code=201, response_model=NewUserOut)
def add_user(people: PeopleNow, who: Who, new: UserIn, response: Response) -> dict[str, Any]:
    """Adds a user."""
    wanted = NewUser(new.name, Role.of(new.role), new.tenant or who.tenant, new.password)
    user, generated = people.add(who, wanted, reason=new.reason)
    response.headers["Location"] = f"{router.prefix}/users/{user.name}"
    return {**documents.user(user), "password": generated}


@router.get("/users/{name}", response_model=UserOut)
def show_user(people: PeopleNow, who: Who, name: Name) -> dict[str, Any]:
    """Returns a user."""
    return documents.user(people.user(who, name))


@router.patch("/users/{name}", response_model=UserOut)
def change_user(people: PeopleNow, who: Who, name: Name, change: UserChange) -> dict[str, Any]:
    """Enables or disables a user. Tokens of a disabled user are rejected immediately."""
    return documents.user(
        people.set_disabled(who, name, disabled=change.disabled, reason=change.reason)
    )


@router.delete("/users/{name}", status_code=204)
def remove_user(people: PeopleNow, who: Who, name: Name, reason: Reason = "") -> Response:
    """Removes a user."""
    people.remove(who, name, reason=reason)
    return Response(status_code=204)


@router.put("/users/{name}/password", response_model=PasswordOut)
def set_password(people: PeopleNow, who: Who, name: Name, given: PasswordIn) -> dict[str, Any]:
    """Sets a new password for a user. Existing logins end."""
    return {"password": people.set_password(who, name, given.password, reason=given.reason)}


@router.delete("/users/{name}/sessions", status_code=204)
def end_sessions(people: PeopleNow, who: Who, name: Name, reason: Reason = "") -> Response:
    """Ends all logins of a user. The user can log in again."""
    people.end_sessions(who, name, reason=reason)
    return Response(status_code=204)


# ------------------------------------------------------------------ keys


@router.get("/api-keys", response_model=PageOf[KeyOut])
def list_keys(people: PeopleNow, who: Who, paging: PagingDep) -> PageOf[dict[str, Any]]:
    """Lists API keys without their secrets, newest first."""
    (before,) = paging.key(int) or (None,)
    found = people.keys(
        who, limit=paging.limit + 1, before=int(before) if before is not None else None
    )
    shown = found[: paging.limit]
    return paging.page(
        [documents.key(key) for _, key in shown],
        (shown[-1][0],) if len(found) > paging.limit else None,
    )


@router.post("/api-keys", status_code=201, response_model=NewKeyOut)
def add_key(people: PeopleNow, who: Who, new: KeyIn) -> dict[str, Any]:
    """Creates an API key. The answer shows its secret only once."""
    expires = now_ms() + new.expires_in_days * DAY_MS if new.expires_in_days else None
    scopes = None if new.scopes is None else frozenset(new.scopes)
    wanted = NewKey(new.name, Role.of(new.role), new.tenant or who.tenant, expires, scopes)
    issued = people.add_key(who, wanted, reason=new.reason)
    return {**documents.key(issued.key), "key": issued.secret}


@router.delete("/api-keys/{prefix}", status_code=204)
def revoke_key(people: PeopleNow, who: Who, prefix: Name, reason: Reason = "") -> Response:
    """Revokes a key immediately."""
    people.revoke_key(who, prefix, reason=reason)
    return Response(status_code=204)


# ------------------------------------------------------------------ tenants


@router.get("/tenants", response_model=PageOf[TenantOut])
def list_tenants(people: PeopleNow, who: Who, paging: PagingDep) -> PageOf[dict[str, Any]]:
    """Lists tenants by name."""
    (after,) = paging.key(str) or ("",)
    names = people.tenants(who, limit=paging.limit + 1, after=str(after))
    return paging.cut([documents.tenant(name) for name in names], lambda item: (item["name"],))


@router.post("/tenants", status_code=201, response_model=TenantOut)
def add_tenant(people: PeopleNow, who: Who, new: TenantIn) -> dict[str, Any]:
    """Adds a tenant. Adding a device also creates its tenant."""
    people.add_tenant(who, new.name, reason=new.reason)
    return documents.tenant(new.name)


# ------------------------------------------------------------------ values to documents


def session_document(session: Session) -> dict[str, Any]:
    """A login, as its routes answer."""
    return {
        **_actor(session.actor),
        "token": session.token,
        "token_type": "bearer",
        "expires_at": session.expires_at,
        "refresh_token": session.refresh,
        "refresh_expires_at": session.refresh_expires_at,
    }


def _actor(actor: Actor) -> dict[str, Any]:
    return {"name": actor.name, "role": actor.role.name.lower(), "tenant": actor.tenant}
