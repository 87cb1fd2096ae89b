"""Real servers for the tests: Mosquitto, a small platform, an HTTP server, certificates."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from mooring_device import Backoff, Credentials, Options
from mooring_device.credentials import native_topics

QUICK = Options(
    backoff=Backoff(floor=0.02, first=0.1, cap=0.3, stable=1000.0),
    receipt_timeout=2.0,
    drain_rate=0.0,
    heartbeat=0.0,
    connect_timeout=5.0,
    linger=0.0,
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def until(condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
    """Wait until ``condition`` gives something true, and answer with it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout:.0f} s: {what}")


class Mosquitto:
    """A real Mosquitto on a port of its own. ``lines`` go into its configuration."""

    def __init__(self, folder: Path, *lines: str, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        more = [int(line.split()[1]) for line in lines if line.startswith("listener ")]
        self._ports = [self.port, *more]  # they are opened one after the other
        self.config = folder / "mosquitto.conf"
        as_root = ["user root"] if os.geteuid() == 0 else []
        self.config.write_text(
            "\n".join(
                [
                    *as_root,
                    "per_listener_settings false",
                    "persistence true",
                    f"persistence_location {folder}/",
                    # Nothing is saved in between: what kill -9 takes is gone.
                    "autosave_interval 0",
                    "max_queued_messages 0",
                    f"listener {self.port} 127.0.0.1",
                    *(lines or ["allow_anonymous true"]),
                ]
            )
            + "\n"
        )
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)  # also when a test fails before it stops its broker
        self.start()

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, "-c", str(self.config), "-v"], stdout=log, stderr=log
            )
        until(self._answers, "Mosquitto answers", 15)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            for port in self._ports:
                socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            return False
        return True

    @property
    def log(self) -> str:
        return (self.folder / "mosquitto.log").read_text("utf-8", "replace")

    def reload(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def passwords(folder: Path, **users: str) -> Path:
    """A Mosquitto password file; through standard input, never as an argument."""
    file = folder / "passwd"
    file.write_text("".join(f"{name}:{secret}\n" for name, secret in users.items()))
    file.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True)
    return file


class Platform:
    """The least a platform does: commit what is numbered, tell by receipts.

    ``hold`` keeps it from committing; ``withhold`` lets it commit without receipts.
    """

    def __init__(
        self, port: int, base: str = "mooring/default/d1", login: tuple[str, str] | None = None
    ) -> None:
        self.base = base
        self.stored: dict[int, dict[str, Any]] = {}
        self.copies: dict[int, int] = {}
        self.messages: list[tuple[str, Any]] = []
        self.arrival: list[int] = []
        self.hold = False
        self.withhold = False
        self._upto = 0
        self._lock = threading.Lock()
        client = self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="platform", clean_session=False
        )
        if login:
            client.username_pw_set(*login)
        client.on_message = self._on_message
        client.on_connect = lambda c, *_: c.subscribe(f"{base}/#", 1)
        client.reconnect_delay_set(1, 1)
        self._port = port
        self._granted = threading.Event()
        client.on_subscribe = lambda *_: self._granted.set()
        self.come()

    def come(self) -> None:
        """Connect; its session at the broker is persistent."""
        self._granted.clear()
        self.client.connect("127.0.0.1", self._port, keepalive=10)
        self.client.loop_start()
        assert self._granted.wait(15), "the platform is subscribed"

    def leave(self) -> None:
        """Go away; the broker keeps for it what the devices send meanwhile."""
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        kind = message.topic[len(self.base) + 1 :]
        if kind in ("receipt", "rerequest", "config", "firmware") or kind.startswith("command/"):
            return
        body = json.loads(message.payload) if message.payload else None
        if self.hold and isinstance(body, dict) and "seq" in body:
            return
        with self._lock:
            self.messages.append((kind, body))
            if isinstance(body, dict) and "seq" in body:
                seq = body["seq"]
                self.stored.setdefault(seq, body)
                self.copies[seq] = self.copies.get(seq, 0) + 1
                self.arrival.append(seq)
                while self._upto + 1 in self.stored:
                    self._upto += 1
        if not self.withhold and isinstance(body, dict) and "seq" in body:
            self.receipt()

    def receipt(self) -> None:
        with self._lock:
            while self._upto + 1 in self.stored:
                self._upto += 1
            above: list[list[int]] = []
            if len(self.stored) > self._upto:  # something is missing below
                for seq in sorted(seq for seq in self.stored if seq > self._upto):
                    if above and above[-1][1] == seq - 1:
                        above[-1][1] = seq
                    else:
                        above.append([seq, seq])
            body = {"upto": self._upto, "also": above}
        self.say("receipt", body, qos=0)

    def forget(self) -> None:
        """Begin anew, for a device that counts from 1 again."""
        with self._lock:
            self.stored.clear()
            self._upto = 0

    def say(self, kind: str, body: Any, *, qos: int = 1, retain: bool = False) -> None:
        self.client.publish(f"{self.base}/{kind}", json.dumps(body), qos=qos, retain=retain)

    def of(self, kind: str) -> list[Any]:
        with self._lock:
            return [body for k, body in self.messages if k == kind]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def credentials(port: int, **more: Any) -> Credentials:
    given: dict[str, Any] = {
        "device": "d1",
        "host": "127.0.0.1",
        "port": port,
        "topics": native_topics("default", "d1"),
        "client_id": "default:d1",
    }
    return Credentials(**{**given, **more})


class Web:
    """An HTTP server whose answers a test sets: ``routes[method + path] = function``.

    A function gets (handler, body) and answers with (status, object), or writes itself and
    answers with None.
    """

    def __init__(self) -> None:
        self.routes: dict[str, Callable[[Any, bytes], tuple[int, Any] | None]] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = f"{self.command} {self.path}"
                web.requests.append((key, dict(self.headers), body))
                answer = web.routes.get(key, lambda *_: (404, {"title": "Not found"}))(self, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, value = answer
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = _serve  # noqa: N815  the base class names them so

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
