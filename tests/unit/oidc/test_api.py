"""Routes of the sign-in while the provider hangs."""

from __future__ import annotations

import asyncio
import threading

import httpx
from fastapi import FastAPI

from mooring.oidc import api
from mooring.oidc.service import AT_ONCE_MAX, SignIn

REQUESTS = 60  # more than the threads of a process
PATIENCE_SECONDS = 30.0


class Hanging(SignIn):
    """Its provider answers when ``over`` is set."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(AT_ONCE_MAX)
        self.over, self.full = threading.Event(), threading.Event()
        self.most = self._running = 0
        self._lock = threading.Lock()

    @property
    def secure(self) -> bool:
        return True

    def begin(self) -> tuple[str, str]:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
            if self._running == AT_ONCE_MAX:
                self.full.set()
        assert self.over.wait(PATIENCE_SECONDS)
        with self._lock:
            self._running -= 1
        return "https://id.example/auth", "sealed"


def test_other_routes_are_served_while_the_provider_hangs() -> None:
    asyncio.run(_other_routes())


async def _other_routes() -> None:
    app, sign_in = FastAPI(), Hanging()
    app.state.residents = {SignIn: sign_in}
    app.include_router(api.router)

    @app.get("/other")
    def other() -> str:
        return "served"

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://m.example") as client:
        starts = [asyncio.create_task(client.get("/api/v1/oidc/start")) for _ in range(REQUESTS)]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.to_thread(sign_in.full.wait, PATIENCE_SECONDS)
                assert (await client.get("/other")).json() == "served"
        finally:
            sign_in.over.set()
        answers = await asyncio.gather(*starts)
    assert {one.status_code for one in answers} == {303}
    assert sign_in.most == AT_ONCE_MAX
