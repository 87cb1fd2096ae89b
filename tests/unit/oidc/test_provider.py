"""What is asked of the provider, and how often."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mooring.errors import MooringError, Unavailable
from mooring.oidc import provider as module
from mooring.oidc.provider import Provider
from mooring.settings import Settings

ISSUER = "https://id.example"
KNOWN = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


class Web:
    """Answers, and keeps what was asked and when it is."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document, self.asked, self.now, self.down = document, 0, 0, False

    def ask(self, url: str, *_: Any) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        if self.down:
            raise Unavailable("It is down.", code="oidc_unavailable")
        return 200, self.document


@pytest.fixture
def web() -> Web:
    return Web(dict(KNOWN))


@pytest.fixture
def provider(web: Web) -> Provider:
    settings = Settings(oidc_issuer=f"{ISSUER}/", oidc_client_id="m", http_url="https://m.example")
    return Provider(settings, web.ask, lambda: web.now)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(MooringError) as caught:
        call()
    return caught.value.slug


def test_what_it_says_is_kept_for_an_hour(provider: Provider, web: Web) -> None:
    assert provider.metadata().token == f"{ISSUER}/token"
    web.now = module.FRESH_MS - 1
    provider.metadata()
    assert web.asked == 1
    web.now += 1
    provider.metadata()
    assert web.asked == 2
    web.down, web.now = True, web.now + module.FRESH_MS
    assert provider.metadata().token == f"{ISSUER}/token"  # the old one is better than none
    assert web.asked == 3


def test_one_that_is_down_is_not_asked_by_everybody(provider: Provider, web: Web) -> None:
    web.down = True
    for _ in range(5):
        assert code_of(provider.metadata) == "oidc_unavailable"
    assert web.asked == 1
    web.down, web.now = False, module.AGAIN_MS
    assert provider.metadata().issuer == ISSUER


def test_one_that_hangs_is_not_asked_by_everybody(provider: Provider, web: Web) -> None:
    def hangs(*_: Any) -> tuple[int, dict[str, Any]]:
        web.asked += 1
        web.now += module.AGAIN_MS + 1
        raise Unavailable("It hangs.", code="oidc_unavailable")

    provider._ask = hangs
    for _ in range(5):
        assert code_of(provider.metadata) == "oidc_unavailable"
    assert web.asked == 1


def test_nobody_waits_for_a_newer_document(
    provider: Provider, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old one does while another thread asks, however long that takes."""
    provider.metadata()
    web.now = module.FRESH_MS
    meanwhile: list[str] = []

    def asks(*_: Any) -> tuple[int, dict[str, Any]]:
        with ThreadPoolExecutor(1) as other:
            meanwhile.append(other.submit(provider.metadata).result().token)
        return 200, web.document

    provider._ask = asks
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    assert provider.metadata().token == f"{ISSUER}/token"
    assert meanwhile == [f"{ISSUER}/token"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"token_endpoint": "http://id.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
    ids=str,
)
def test_a_provider_that_cannot_be_right(provider: Provider, web: Web, wrong: Any) -> None:
    web.document.update(wrong)
    assert code_of(provider.metadata) == "oidc_unavailable"


def test_where_people_are_sent_back_to(provider: Provider) -> None:
    assert provider.redirect == "https://m.example/api/v1/oidc/callback"
    assert code_of(lambda: Provider(Settings()).redirect) == "invalid_setting"
