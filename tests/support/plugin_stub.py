"""The plugin inside the test's own process, with a stub for the broker: fast enough for thousands
of decisions, and its inner functions can be called."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

from mooring.broker.plugin.build import NATIVE
from tests.support.source import ROOT

__all__ = ["READ", "SUBSCRIBE", "WRITE", "PluginStub", "build_stub", "c_call"]

READ, WRITE, SUBSCRIBE = 1, 2, 4
STUB = ROOT / "tests/integration/plugin/native/stub_broker.c"


def build_stub(folder: Path, *flags: str, compiler: str | None = None) -> Path:
    """Compiles sources and stub with every function visible."""
    path = folder / "plugin_stub.so"
    words = [*shlex.split(compiler or os.environ.get("CC") or "cc"), "-std=c11", "-D_GNU_SOURCE"]
    words += ["-g", "-O1", "-fPIC", "-shared", f"-I{NATIVE}", *flags, "-o", str(path)]
    sources = [str(source) for source in sorted(NATIVE.glob("*.c"))]
    subprocess.run([*words, *sources, str(STUB), "-ldl"], check=True)
    return path


def c_call(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    """Calls a function of the library with the result type that it has."""
    function = library[name]
    function.restype = result
    return function(*arguments)


class PluginStub:
    """One start of the plugin. A process can have one at a time."""

    def __init__(self, library: ctypes.CDLL, accounts: Path) -> None:
        self.library = library
        assert c_call(library, "stub_start", ctypes.c_int, str(accounts).encode()) == 0

    def stop(self) -> None:
        c_call(self.library, "stub_stop", None)

    def client(
        self, client_id: str, username: str | None, *, clean: bool = True
    ) -> ctypes.c_void_p:
        name = None if username is None else username.encode()
        made = c_call(self.library, "stub_client", ctypes.c_void_p, client_id.encode(), name, clean)
        return ctypes.c_void_p(made)

    def decide(
        self,
        username: str | None,
        password: bytes | None,
        client_id: str,
        certificate: tuple[str, str] | None = None,
    ) -> str:
        """``+password``, ``+new_password``, ``+certificate``, or why it is refused."""
        name, serial = certificate or (None, None)
        words = [None if word is None else word.encode() for word in (username, name, serial)]
        verdict: bytes = c_call(
            self.library,
            "stub_decide",
            ctypes.c_char_p,
            words[0],
            password,
            client_id.encode(),
            words[1],
            words[2],
        )
        return verdict.decode()

    def login(self, client: ctypes.c_void_p, password: str) -> bool:
        answer = c_call(self.library, "stub_login", ctypes.c_int, client, password.encode())
        return bool(answer == 0)

    def gone(self, client: ctypes.c_void_p) -> None:
        c_call(self.library, "stub_gone", ctypes.c_int, client)

    def may(self, username: str, action: int, topic: str) -> str | None:
        """``None``: it may; otherwise why not. Actions: 0 publish, 1 subscribe, 2 read."""
        found: bytes | None = c_call(
            self.library, "stub_may", ctypes.c_char_p, username.encode(), action, topic.encode()
        )
        return None if found is None else found.decode()

    def acl(self, client: ctypes.c_void_p, access: int, topic: bytes, payload: bytes = b"") -> int:
        """The code that the broker gets: 0 allowed, 12 denied, 13 disconnect."""
        answer: int = c_call(
            self.library, "stub_acl", ctypes.c_int, client, access, topic, payload, len(payload)
        )
        return answer

    def tick(self) -> int:
        """One loop turn; how many milliseconds the plugin lets the broker wait."""
        wait: int = c_call(self.library, "stub_tick", ctypes.c_long)
        return wait

    def poke(self, client: ctypes.c_void_p | None = None, nonce: str = "x") -> dict[str, Any]:
        request = json.dumps({"nonce": nonce}).encode()
        c_call(self.library, "stub_control", ctypes.c_int, client, request)
        return self.messages()[-1]

    def messages(self) -> list[dict[str, Any]]:
        """What it published since the last call."""
        found = []
        size = ctypes.c_int()
        while payload := c_call(self.library, "stub_take", ctypes.c_char_p, ctypes.byref(size)):
            assert len(payload) == size.value
            found.append(json.loads(payload.decode()))
        return found

    @property
    def kicks(self) -> int:
        return ctypes.c_int.in_dll(self.library, "stub_kicks").value
