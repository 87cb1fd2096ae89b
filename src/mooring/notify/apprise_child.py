"""The process that holds Apprise: one request on standard input, one answer on standard output.

Started by ``apprise.send`` with a fresh environment. Before the target is read, an audit hook
closes what a notification never needs: files outside the installation, other programs, and every
address that is not allowed. A connection is checked at the moment it is made, with the address it
is made to, so neither a redirect nor a second DNS answer leads elsewhere. The hook cannot be
removed while the process lives.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import resource
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mooring.notify.addresses import allowed_address

__all__ = ["Blocked", "guard", "scrubbed", "send"]

MEMORY_BYTES = 1 << 30  # address space; an endless answer fails here
SECRET_MIN = 4  # characters of a part of a target that is masked in messages
READ_FROM = ("/usr", "/lib", "/etc/ssl", "/etc/pki", "/etc/mime.types", "/etc/hosts", "/dev")
READ_ALSO = ("/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/localtime", "/opt/homebrew")
FORBIDDEN = frozenset(
    {
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
        "os.forkpty", "os.remove", "os.rename", "os.mkdir", "ctypes.dlopen", "socket.bind",
        "socket.sendto", "socket.sendmsg",
    }
)  # fmt: skip


class Blocked(OSError):
    """What a notification must not do."""


class guard:  # noqa: N801 - used as a function that remembers
    """Audit hook.

    Attributes:
        blocked: the first thing that was blocked.
        final: it was the connection itself, so another attempt is useless.
    """

    def __init__(self, *, private: bool, folders: tuple[str, ...]) -> None:
        self._private = private
        self._folders = folders
        self.blocked = ""
        self.final = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self._connect(arguments[1])
        elif event == "open":
            self._open(arguments[0], arguments[1], arguments[2])
        elif event in FORBIDDEN:
            self._block(f"{event} is not allowed")

    def _connect(self, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if not isinstance(host, str) or not allowed_address(host, private=self._private):
            self.final = True
            # Without the address: a tenant learns nothing of names that only this network knows.
            self.blocked = "the address of the target is not allowed for notifications"
            raise Blocked(self.blocked)

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        whole = os.path.realpath(os.fsdecode(path))
        inside = any(
            whole == one or whole.startswith(one.rstrip("/") + "/") for one in self._folders
        )
        if (writing and whole != os.devnull) or not inside:
            self._block("a file is read or written")

    def _block(self, what: str) -> None:
        self.blocked = self.blocked or what
        raise Blocked(what)


class _Said(logging.Handler):
    """The last complaint of Apprise."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.words = record.getMessage()


def send(request: dict[str, Any], watch: guard) -> dict[str, str]:
    """What the parent learns: an outcome and, without secrets, an error."""
    apprise = import_module("apprise")
    said = _Said()
    log = logging.getLogger("apprise")
    log.handlers = [said]
    log.propagate = False
    asset = apprise.AppriseAsset(
        storage_mode="memory", secure_logging=True, http_redirects=False, default_service_retry=0
    )
    sys.addaudithook(watch)
    found = apprise.Apprise.instantiate(request["target"], asset=asset, suppress_exceptions=True)
    if found is None:
        words = watch.blocked or "Apprise does not understand the target"
        return {"outcome": "invalid", "error": words}
    found.retry, found.redirects = 0, False
    if not request["private"]:
        found.verify_certificate = True
    service = apprise.Apprise(asset=asset)
    service.add(found)
    # Devices choose parts of the text. As text it is escaped where the service expects HTML or
    # Markdown, so it makes no links and mentions nobody.
    if service.notify(body=request["text"], title=request["title"], body_format="text"):
        return {"outcome": "accepted", "error": ""}
    if watch.final:
        return {"outcome": "invalid", "error": watch.blocked}
    words = scrubbed(said.words, request["target"]) or "the service did not accept it"
    return {"outcome": "failed", "error": words[:300]}


def scrubbed(words: str, target: str) -> str:
    """A message of Apprise without the parts of the target, which hold its secrets."""
    parts = urlsplit(target)
    secrets = {parts.netloc, parts.path, parts.query, target}
    for text in (parts.netloc, parts.path, parts.query, parts.fragment):
        pieces = re.split("[/@:&=?,]", text)
        secrets |= {*pieces, *map(unquote, pieces)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_MIN:
            words = words.replace(secret, "****")
    return words


def _folders() -> tuple[str, ...]:
    certifi = import_module("certifi")  # Apprise needs it, so it is there
    found = {sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), *READ_FROM, *READ_ALSO}
    found |= {os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    found |= {str(Path(certifi.where()).parent), *(one for one in sys.path if one)}
    return tuple(os.path.realpath(one) for one in found if one)


def main() -> None:
    """The process."""
    signal.alarm(int(sys.argv[1]))  # its parent may have been killed
    request = json.load(sys.stdin)
    answer = {"outcome": "failed", "error": "Apprise is not installed: pip install mooring[notify]"}
    with contextlib.suppress(ImportError):  # the answer says so
        import_module("apprise")  # before the hook and the limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
        watch = guard(private=request["private"], folders=_folders())
        try:
            answer = send(request, watch)
        except Exception as exc:  # noqa: BLE001 - whatever a plugin does, the parent gets an answer
            words = watch.blocked or f"Apprise failed: {type(exc).__name__}"
            answer = {"outcome": "invalid" if watch.final else "failed", "error": words}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # threads of plugins may hang


if __name__ == "__main__":
    main()
