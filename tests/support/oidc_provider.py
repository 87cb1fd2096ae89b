"""A real OpenID Connect provider for tests: the npm package oidc-provider, run with Node.js."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.programs import find_program
from tests.support.waiting import wait_until

__all__ = ["CLIENT", "REDIRECT", "SECRET", "OidcProvider", "oidc_provider"]

HERE = Path(__file__).parent / "oidc"
CLIENT, SECRET = "mooring", "a client secret / with + signs"
REDIRECT = "https://mooring.example/api/v1/oidc/callback"


def _installed() -> None:
    """``scripts/setup.sh --for test`` has done it; without it the first test does."""
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (HERE / "node_modules" / "oidc-provider").is_dir():
            npm = find_program("npm", package="npm")
            words = [str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(words, cwd=HERE, check=True, capture_output=True, timeout=300)


def new_key(kid: str) -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 2048)
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True), "kid": kid, "use": "sig"}


@dataclass
class OidcProvider:
    """A provider; ``restart`` after a change of what it knows."""

    directory: Path
    port: int = field(default_factory=free_port)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=lambda: [new_key("one")])
    in_token: bool = True  # claims are in the ID token, not only in the userinfo answer
    child: Child | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        _installed()
        client = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [REDIRECT],
            "scope": "openid profile email groups",
        }
        content = {
            "accounts": self.accounts,
            "clients": [client],
            "jwks": {"keys": self.keys},
            "port": self.port,
            "inToken": self.in_token,
        }
        config = self.directory / "oidc.json"
        config.write_text(json.dumps(content))
        node = find_program("node", package="nodejs")
        child = Child([node, HERE / "provider.js", config], self.directory / "oidc.log")
        self.child = child
        wait_until(
            lambda: child.process.poll() is not None or self._answers(), "the provider to answer"
        )
        assert child.process.poll() is None, child.log()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.issuer}/jwks").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self.child is not None:
            self.child.end()
            self.child = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def code_for(self, start: str, subject: str) -> Mapping[str, str]:
        """Goes through the provider's pages as a browser does, from the address that Mooring sends
        it to; gives the parameters of the way back."""
        with httpx.Client(timeout=30) as browser:
            answer = browser.get(start)
            for _ in range(12):
                if answer.is_redirect:
                    where = urljoin(str(answer.url), answer.headers["location"])
                    if where.startswith(REDIRECT):
                        found = parse_qs(urlsplit(where).query)
                        return {name: values[0] for name, values in found.items()}
                    answer = browser.get(where)
                else:  # its page for the login, or for the consent
                    assert answer.status_code == 200, answer.text
                    asks = "login" if 'value="login"' in answer.text else "consent"
                    form = {"prompt": asks, "login": subject, "password": "x"}
                    answer = browser.post(str(answer.url), data=form)
        raise AssertionError(f"no way back from the provider: {answer.url}")


@contextmanager
def oidc_provider(directory: Path, accounts: dict[str, dict[str, Any]]) -> Iterator[OidcProvider]:
    provider = OidcProvider(directory, accounts=accounts)
    try:
        provider.start()
        yield provider
    finally:
        provider.stop()
