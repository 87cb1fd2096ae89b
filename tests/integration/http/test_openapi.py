"""Requests made from the OpenAPI document: every answer is one that the document describes.

Hypothesis makes up parameters and bodies, good and bad ones, for each operation; the server
and the broker behind it are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import schemathesis
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mooring.app import open_app
from mooring.devices.model import NewDevice
from mooring.identity.actor import SYSTEM, Role
from mooring.people import passwords
from mooring.people.model import NewKey
from mooring.settings import Settings
from tests.integration.http.conftest import serving
from tests.integration.http.rows import say, spoil, stranger
from tests.support.mosquitto import Mosquitto

EXAMPLES = 4  # for each operation of the document
LONG = 300
T0 = 1_771_000_000_000
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class Served:
    """A platform with something in it.

    ``keys``: role → secret; that of the administrator may do everything.
    """

    url: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, mosquitto_binary: object) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("openapi")
    with (
        pytest.MonkeyPatch.context() as patch,
        Mosquitto(directory / "mosquitto", binary=mosquitto_binary) as broker,
        open_app(
            Settings(data_dir=directory / "data", mqtt_port=broker.port, client_ids="own"),
            upgrade=True,
        ) as platform,
    ):
        patch.setattr(passwords, "_hasher", PasswordHasher(1, 8, 1))
        device = platform.devices.add(SYSTEM, NewDevice("0", "iotflow", "0"))[0].device
        logins = (("admin", None), ("operator", "0"), ("viewer", None))
        keys = {
            role: platform.people.add_key(SYSTEM, NewKey(role, Role.of(role), tenant)).secret
            for role, tenant in logins
        }
        say(platform.database, device, T0, {"temperature": 1})
        spoil(platform.database, T0, b"\xff")
        stranger(platform.database, "x", T0)
        with serving(platform) as url:
            yield Served(url, keys)


def test_every_answer_is_described(served: Served) -> None:
    for operation in operations(served):
        try_out(operation, served, "admin", EXAMPLES)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", ["admin", "operator", "viewer"])
def test_every_answer_is_described_for_long(served: Served, role: str) -> None:
    wrong = []
    for operation in operations(served):
        try:
            try_out(operation, served, role, LONG)
        except (AssertionError, ExceptionGroup) as fault:  # the others are tried all the same
            wrong.append(f"{operation.label}: {fault!r:.2000}")
            print(wrong[-1], flush=True)
    assert not wrong, "\n\n".join(wrong)


def operations(served: Served) -> list[schemathesis.APIOperation]:
    """All of the document, without exception."""
    url = f"{served.url}/api/v1/openapi.json"
    document = httpx.get(url, timeout=60)  # made when asked first
    document.raise_for_status()
    found = [result.ok() for result in schemathesis.openapi.from_url(url).get_all_operations()]
    assert len(found) == sum(len(path) for path in document.json()["paths"].values()) > 100
    return found


def try_out(operation: schemathesis.APIOperation, served: Served, role: str, examples: int) -> None:
    """Good and bad requests to one operation."""

    @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in MODES)))
    @settings(
        max_examples=examples,
        phases=[Phase.explicit, Phase.generate],
        deadline=None,
        derandomize=True,  # the same requests every time: a failure is one of this change
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case) -> None:
        headers = {"Authorization": f"Bearer {served.keys[role]}"}
        answer = case.call(base_url=served.url, headers=headers)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == ["application/problem+json"]

    check()
