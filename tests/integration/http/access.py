"""Who may do what over HTTP: one line for each route, page and stream.

    METHOD  address  least role  whose

``least role``:

    anybody    nobody needs to be logged in
    code       what the request itself proves: a password, a claim code, a refresh token
    device     the device itself, with its credentials; a person's login does not open it
    viewer, operator, admin    a login of that role or above
    page-viewer, …             the same, signed in with a browser; it opens pages and streams only

``whose``:

    -          each login's own, a list that shows only what it may see, or nobody's in particular
    tenant     a thing of one tenant: logins of others get 403 or 404
    person     the same, and API keys get 403
    all        the installation's: logins of one tenant get 403

To add a route, add a line. A route without one, and a line without a route, fail the test. Pages
and forms of the dashboard have the line that they declare themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from mooring.dashboard.pages import ACTIONS, PAGES

__all__ = ["ACCESS", "Cell"]


class Cell(NamedTuple):
    least: str
    whose: str


_TABLE = """
GET    /healthz                                          anybody   -
GET    /readyz                                           anybody   -
GET    /metrics                                          anybody   -
GET    /api/v1/docs                                      anybody   -
GET    /api/v1/openapi.json                              anybody   -
GET    /api/v1/asyncapi.json                             viewer    -
GET    /api/v1/status                                    viewer    -
GET    /api/v1/audit                                     admin     -
GET    /api/v1/dialects                                  viewer    -
GET    /api/v1/dialects/{name}                           viewer    -
WS     /api/v1/stream                                    viewer    -
GET    /sign-in                                          anybody   -
POST   /sign-in                                          code      -
POST   /sign-out                                         anybody   -
POST   /theme                                            anybody   -
WS     /live                                             page-viewer -
GET    /static/{tree}/{name:path}                        anybody   -

POST   /api/v1/login                                     code      -
POST   /api/v1/login/refresh                             code      -
GET    /api/v1/oidc/start                                anybody   -
GET    /api/v1/oidc/callback                             code      -
GET    /api/v1/oidc/logout                               anybody   -
POST   /api/v1/logout                                    viewer    -
GET    /api/v1/me                                        viewer    -
PUT    /api/v1/me/password                               viewer    -
GET    /api/v1/device-views                              viewer    -
POST   /api/v1/device-views                              viewer    -
DELETE /api/v1/device-views/{view}                       viewer    -
GET    /api/v1/users                                     admin     -
POST   /api/v1/users                                     admin     tenant
GET    /api/v1/users/{name}                              admin     tenant
PATCH  /api/v1/users/{name}                              admin     tenant
DELETE /api/v1/users/{name}                              admin     tenant
PUT    /api/v1/users/{name}/password                     admin     tenant
DELETE /api/v1/users/{name}/sessions                     admin     tenant
GET    /api/v1/api-keys                                  admin     -
POST   /api/v1/api-keys                                  admin     tenant
DELETE /api/v1/api-keys/{prefix}                         admin     tenant
GET    /api/v1/tenants                                   viewer    -
POST   /api/v1/tenants                                   admin     all
GET    /api/v1/tenants/{tenant}                          viewer    tenant
PATCH  /api/v1/tenants/{tenant}                          admin     all
GET    /api/v1/tenants/{tenant}/limits                   viewer    tenant
PUT    /api/v1/tenants/{tenant}/limits                   admin     all

GET    /api/v1/devices                                   viewer    -
POST   /api/v1/devices                                   operator  tenant
GET    /api/v1/device-counts                             viewer    -
GET    /api/v1/device-map                                viewer    -
GET    /api/v1/devices/{device}                          viewer    tenant
DELETE /api/v1/devices/{device}                          operator  tenant
GET    /api/v1/devices/{device}/topics                   viewer    tenant
GET    /api/v1/devices/{device}/can                      viewer    tenant
GET    /api/v1/devices/{device}/why                      viewer    tenant
GET    /api/v1/devices/{device}/presence                 viewer    tenant
GET    /api/v1/devices/{device}/firmware-changes         viewer    tenant
GET    /api/v1/devices/{device}/attributes               viewer    tenant
PATCH  /api/v1/devices/{device}/attributes               operator  tenant
GET    /api/v1/devices/{device}/limits                   viewer    tenant
PUT    /api/v1/devices/{device}/limits                   admin     tenant
POST   /api/v1/devices/{device}/disable                  operator  tenant
POST   /api/v1/devices/{device}/enable                   operator  tenant
GET    /api/v1/devices/{device}/shape                    device    tenant
POST   /api/v1/devices/{device}/recover                  device    tenant
POST   /api/v1/devices/{device}/telemetry                device    tenant

POST   /api/v1/claim-codes                               operator  tenant
GET    /api/v1/claim-codes                               operator  -
DELETE /api/v1/claim-codes/{number}                      operator  tenant
POST   /api/v1/claims                                    code      -
POST   /api/v1/devices/{device}/rotate-credentials       operator  tenant
GET    /api/v1/devices/{device}/rotation                 viewer    tenant
GET    /api/v1/rotations                                 viewer    -
POST   /api/v1/devices/{device}/certificates             operator  tenant
GET    /api/v1/devices/{device}/certificates             viewer    tenant
DELETE /api/v1/devices/{device}/certificates/{serial}    operator  tenant

GET    /api/v1/devices/{device}/keys                     viewer    tenant
POST   /api/v1/devices/{device}/keys                     operator  tenant
DELETE /api/v1/devices/{device}/keys/{fingerprint}       operator  tenant
POST   /api/v1/devices/{device}/token                    code      tenant

GET    /api/v1/latest                                    viewer    -
GET    /api/v1/devices/{device}/latest                   viewer    tenant
GET    /api/v1/devices/{device}/history                  viewer    tenant
GET    /api/v1/devices/{device}/metrics                  viewer    tenant
GET    /api/v1/devices/{device}/series                   viewer    tenant
GET    /api/v1/devices/{device}/chart                    viewer    tenant
GET    /api/v1/devices/{device}/export                   viewer    tenant
GET    /api/v1/gaps                                      viewer    -
GET    /api/v1/devices/{device}/gaps                     viewer    tenant
GET    /api/v1/dead-letters                              viewer    -
POST   /api/v1/dead-letters/resend                       operator  -
GET    /api/v1/traffic                                   viewer    all
GET    /api/v1/strangers                                 viewer    -

GET    /api/v1/devices/{device}/downlinks                viewer    tenant
DELETE /api/v1/devices/{device}/downlinks/{number}       operator  tenant
POST   /api/v1/devices/{device}/commands                 operator  tenant
GET    /api/v1/devices/{device}/commands                 viewer    tenant
GET    /api/v1/commands                                  viewer    -
GET    /api/v1/commands/{number}                         viewer    tenant
POST   /api/v1/commands/{number}/cancel                  operator  tenant
GET    /api/v1/groups                                    viewer    -
POST   /api/v1/groups                                    operator  tenant
GET    /api/v1/groups/{group}                            viewer    tenant
PATCH  /api/v1/groups/{group}                            operator  tenant
DELETE /api/v1/groups/{group}                            operator  tenant
GET    /api/v1/groups/{group}/members                    viewer    tenant
POST   /api/v1/groups/{group}/members                    operator  tenant
POST   /api/v1/groups/{group}/members/remove             operator  tenant

GET    /api/v1/devices/{device}/settings                 viewer    tenant
PATCH  /api/v1/devices/{device}/settings                 operator  tenant
PUT    /api/v1/devices/{device}/settings                 operator  tenant
GET    /api/v1/devices/{device}/settings/history         viewer    tenant
POST   /api/v1/devices/{device}/settings/adopt           operator  tenant
POST   /api/v1/devices/{device}/settings/resend          operator  tenant
GET    /api/v1/settings                                  viewer    -
GET    /api/v1/settings/{level}/{place}                  viewer    tenant
PATCH  /api/v1/settings/{level}/{place}                  admin     tenant
PUT    /api/v1/settings/{level}/{place}                  admin     tenant
GET    /api/v1/settings/{level}/{place}/schema           viewer    tenant
PUT    /api/v1/settings/{level}/{place}/schema           admin     tenant
DELETE /api/v1/settings/{level}/{place}/schema           admin     tenant

POST   /api/v1/jobs                                      operator  tenant
GET    /api/v1/jobs                                      viewer    -
GET    /api/v1/jobs/{number}                             viewer    tenant
GET    /api/v1/jobs/{number}/targets                     viewer    tenant
PATCH  /api/v1/jobs/{number}                             operator  tenant
POST   /api/v1/jobs/{number}/pause                       operator  tenant
POST   /api/v1/jobs/{number}/resume                      operator  tenant
POST   /api/v1/jobs/{number}/cancel                      operator  tenant
POST   /api/v1/jobs/{number}/retry                       operator  tenant
POST   /api/v1/rollouts                                  operator  tenant
GET    /api/v1/rollouts                                  viewer    -
GET    /api/v1/rollouts/{rollout}                         viewer    tenant
GET    /api/v1/rollouts/{rollout}/devices                 viewer    tenant
PATCH  /api/v1/rollouts/{rollout}                         operator  tenant
POST   /api/v1/rollouts/{rollout}/approve                 operator  person
POST   /api/v1/rollouts/{rollout}/pause                   operator  tenant
POST   /api/v1/rollouts/{rollout}/resume                  operator  tenant
POST   /api/v1/rollouts/{rollout}/cancel                  operator  tenant
POST   /api/v1/rollouts/{rollout}/retry                   operator  tenant
POST   /api/v1/rollouts/{rollout}/add                     operator  tenant
GET    /api/v1/firmware-latest                           viewer    all
POST   /api/v1/rollouts/{rollout}/announce                admin     all
POST   /api/v1/rollouts/{rollout}/retract                 admin     all

GET    /api/v1/firmware                                  viewer    -
POST   /api/v1/firmware                                  operator  tenant
GET    /api/v1/firmware/{release}                        viewer    tenant
GET    /api/v1/firmware/{release}/devices                        viewer    tenant
DELETE /api/v1/firmware/{release}                        operator  tenant
GET    /api/v1/firmware/{release}/check                  viewer    tenant
POST   /api/v1/firmware/{release}/{step}                 operator  tenant
PUT    /api/v1/firmware/{release}/files/{file}           operator  tenant
GET    /api/v1/firmware/{release}/files/{file}           viewer    tenant
DELETE /api/v1/firmware/{release}/files/{file}           operator  tenant
GET    /api/v1/firmware/{release}/files/{file}/manifest  viewer    tenant
POST   /api/v1/firmware/{release}/files/{file}/signatures operator tenant
GET    /f/{token}                                        code      -
GET    /{tenant}/controller/v1/{controller}                               code tenant
PUT    /{tenant}/controller/v1/{controller}/configData                    code tenant
GET    /{tenant}/controller/v1/{controller}/deploymentBase/{action}       code tenant
POST   /{tenant}/controller/v1/{controller}/deploymentBase/{action}/feedback code tenant
GET    /{tenant}/controller/v1/{controller}/cancelAction/{action}         code tenant
POST   /{tenant}/controller/v1/{controller}/cancelAction/{action}/feedback code tenant
GET    /{tenant}/controller/v1/{controller}/installedBase/{action}        code tenant
GET    /{tenant}/controller/v1/{controller}/softwaremodules/{module}/artifacts code tenant
GET    /{tenant}/controller/v1/{controller}/softwaremodules/{module}/artifacts/{file} code tenant
GET    /api/v1/firmware-updates                          viewer    -
POST   /api/v1/firmware-updates                          operator  tenant
GET    /api/v1/firmware-updates/{number}                 viewer    tenant
POST   /api/v1/firmware-updates/{number}/cancel          operator  tenant
GET    /api/v1/firmware-keys                             viewer    -
POST   /api/v1/firmware-keys                             admin     tenant
POST   /api/v1/firmware-keys/{key}/retire                admin     tenant
POST   /api/v1/firmware-keys/{key}/revoke                admin     tenant

GET    /api/v1/mqtt/status                               viewer    -
GET    /api/v1/mqtt/topics/structure                     viewer    -
GET    /api/v1/mqtt/topics/device/{device_id}            viewer    tenant
POST   /api/v1/mqtt/topics/validate                      viewer    -
POST   /api/v1/mqtt/subscribe                            viewer    -
POST   /api/v1/mqtt/publish                              operator  tenant
POST   /api/v1/mqtt/device/{device_id}/command           operator  tenant
POST   /api/v1/mqtt/fleet/{group_id}/command             operator  tenant
GET    /api/v1/mqtt/monitoring/metrics                   admin     -

GET    /api/v1/discovery                                 viewer    -
GET    /api/v1/discovery/{unknown}                       viewer    tenant
POST   /api/v1/discovery/{unknown}/accept                operator  tenant
POST   /api/v1/discovery/{unknown}/refuse                operator  tenant
GET    /api/v1/discovery-rules                           viewer    -
POST   /api/v1/discovery-rules                           admin     tenant
DELETE /api/v1/discovery-rules/{number}                  admin     tenant

GET    /api/v1/alerts                                    viewer    -
GET    /api/v1/devices/{device}/alerts                   viewer    tenant
GET    /api/v1/alerts/{number}                           viewer    tenant
POST   /api/v1/alerts/{number}/acknowledge               operator  tenant
POST   /api/v1/alerts/{number}/clear                     operator  tenant
POST   /api/v1/alerts/{number}/snooze                    operator  tenant
POST   /api/v1/alerts/{number}/assign                    operator  tenant
POST   /api/v1/alerts/{number}/severity                  operator  tenant
POST   /api/v1/alerts/{number}/comments                  operator  tenant
GET    /api/v1/rules                                     viewer    -
POST   /api/v1/rules                                     operator  tenant
GET    /api/v1/rules/{rule}                              viewer    tenant
PATCH  /api/v1/rules/{rule}                              operator  tenant
DELETE /api/v1/rules/{rule}                              operator  tenant
GET    /api/v1/rules/{rule}/trial                        viewer    tenant
GET    /api/v1/recipients                                viewer    -
POST   /api/v1/recipients                                admin    tenant
GET    /api/v1/recipients/{recipient}                    viewer    tenant
PATCH  /api/v1/recipients/{recipient}                    admin    tenant
DELETE /api/v1/recipients/{recipient}                    admin    tenant
GET    /api/v1/recipients/{recipient}/notifications      viewer    tenant
POST   /api/v1/recipients/{recipient}/test               operator  tenant
POST   /api/v1/rules/trial                               viewer    -
"""


def _read() -> dict[tuple[str, str], Cell]:
    found: dict[tuple[str, str], Cell] = {}
    for line in filter(None, _TABLE.splitlines()):
        method, path, least, whose = line.split()
        assert (method, path) not in found, f"twice: {line}"
        found[method, path] = Cell(least, whose)
    for method, ones in (("GET", PAGES), ("POST", ACTIONS)):
        for one in ones:
            whose = "all" if one.whole else "tenant" if "{" in one.path else "-"
            found[method, one.path] = Cell(f"page-{one.role.name.lower()}", whose)
    return found


ACCESS = _read()
