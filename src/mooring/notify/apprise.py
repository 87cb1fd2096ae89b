"""Sends through Apprise, in a process of its own for each notification.

Apprise is a library of more than a hundred services that read URLs in their own ways. Its process
has no settings, no database and no files of the platform; see ``apprise_child``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys

import msgspec

from mooring.notify.retries import Answer, Outcome

__all__ = ["ANSWER_MAX", "TIMEOUT_SECONDS", "is_installed", "send"]

TIMEOUT_SECONDS = 30.0
ANSWER_MAX = 65_536
_KEPT = ("LANG", "LC_ALL", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ")


def is_installed() -> bool:
    """Whether the optional package is there."""
    return importlib.util.find_spec("apprise") is not None


async def send(
    target: str,
    title: str,
    text: str,
    *,
    private: bool,
    ca_file: str = "",
    seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Sends one notification; never raises for what the receiver or the network does.

    Args:
        target: an Apprise URL, whose scheme was checked.
        private: addresses of private networks are allowed.
        ca_file: further certificate authorities.
    """
    request = {"target": target, "title": title, "text": text, "private": private}
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if ca_file:
        environment["SSL_CERT_FILE"] = environment["REQUESTS_CA_BUNDLE"] = ca_file
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-IB",
        "-m",
        "mooring.notify.apprise_child",
        str(int(seconds) + 5),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
        cwd="/",
        limit=ANSWER_MAX,
    )
    try:
        async with asyncio.timeout(seconds):
            said = await _talk(process, msgspec.json.encode(request))
    except TimeoutError:
        return Answer(Outcome.UNANSWERED, f"no answer within {seconds:g} s")
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            process.kill()
        await process.wait()
    return _answer(said)


async def _talk(process: asyncio.subprocess.Process, request: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what it says tells more
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    return await process.stdout.read(ANSWER_MAX)


def _answer(said: bytes) -> Answer:
    try:
        found = msgspec.json.decode(said, type=dict[str, str])
        return Answer(Outcome(found["outcome"]), found["error"][:300])
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, ValueError):
        return Answer(Outcome.FAILED, "Apprise ended without an answer")
