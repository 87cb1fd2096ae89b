"""Settings of the sign-in with an OpenID Connect provider."""

from __future__ import annotations

from pathlib import Path

from mooring.settings.checks import role_mapping, safe_url, signature_algorithms
from mooring.settings.field import Declared, Secret, setting

__all__ = ["OidcSettings"]


class OidcSettings(Declared):
    """Units are in the names or descriptions."""

    oidc_issuer: str | None = setting(
        None, "URL of the OpenID Connect provider. None: people log in here only.", check=safe_url
    )
    oidc_client_id: str = setting("", "Client ID of Mooring at the provider.")
    oidc_client_secret: Secret | None = setting(
        None, "Client secret at the provider. None: Mooring is a public client."
    )
    oidc_client_secret_file: Path | None = setting(
        None, "File with the client secret in its first line, instead of oidc_client_secret."
    )
    oidc_redirect_url: str | None = setting(
        None,
        "URL to which the provider sends people back. By default http_url with "
        "/api/v1/oidc/callback.",
        check=safe_url,
    )
    oidc_scopes: tuple[str, ...] = setting(
        ("openid", "profile", "email"),
        "Scopes to ask the provider for; openid is always among them.",
    )
    oidc_algorithms: tuple[str, ...] = setting(
        ("RS256", "ES256"),
        "Signature algorithms that are accepted of the provider's tokens.",
        check=signature_algorithms,
    )
    oidc_name_claim: str = setting("preferred_username", "Claim with the name of the user.")
    oidc_groups_claim: str = setting("groups", "Claim with the groups of the user.")
    oidc_roles: tuple[str, ...] = setting(
        (),
        "GROUP=ROLE or GROUP=ROLE@TENANT, in order: the first group that a user has decides. "
        "The group * is everybody's. Without a match the login is rejected.",
        check=role_mapping,
    )
    oidc_login_hours: float = setting(
        12.0, "How long a login through the provider can be renewed without it.", gt=0
    )
