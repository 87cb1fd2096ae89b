"""Writes the accounts file that the broker's plugin reads, row by row, for tests of the plugin.

It is not the product's writer: a test can also write what the product never would.
"""

from __future__ import annotations

import functools
import json
import queue
import sqlite3
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mooring.broker.access_rules import AccountFacts
from mooring.broker.plugin_file import FORMAT, SCHEMA
from mooring.secrets import verifiers
from tests.support.mqtt import MqttClient

__all__ = ["CONTROL", "EVENTS", "SERVICE", "AccountsDb", "Watch", "facts", "verifier"]

CONTROL = "$CONTROL/mooring-authority/v1"
EVENTS = "$mooring/authority/event"
SERVICE = "mooring-service"


@functools.cache
def verifier(password: str) -> str:
    """A verifier with a fixed salt: equal passwords have equal ones."""
    return verifiers.make(password, salt=b"0123456789ab")


def facts(username: str, password: str | None = "secret", **more: Any) -> AccountFacts:  # noqa: S107
    """An account with a password, for tests."""
    own = {} if password is None else {"verifier": verifier(password)}
    return AccountFacts(username, **{**own, **more})


class AccountsDb:
    """One accounts file. Every call is one transaction with its rows of the change table."""

    def __init__(self, path: Path, *, journal: str = "WAL") -> None:
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.executescript(
            f"PRAGMA journal_mode={journal};BEGIN;{SCHEMA}PRAGMA user_version={FORMAT};COMMIT;"
        )
        self.put(facts(SERVICE, "service", service=True))

    def close(self) -> None:
        self.db.close()

    def put(self, *accounts: AccountFacts, epoch: int = 0, **columns: object) -> int:
        """Writes accounts; returns the number of the last change."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            for account in accounts:
                self._write(account, epoch, columns)
            return self._changed([account.username for account in accounts])

    def _write(self, a: AccountFacts, epoch: int, columns: dict[str, object]) -> None:
        texts = ("\n".join(a.publish), "\n".join(a.subscribe))
        self.db.execute("INSERT OR IGNORE INTO rights(publish, subscribe) VALUES(?,?)", texts)
        query = "SELECT id FROM rights WHERE publish = ? AND subscribe = ?"
        [rights] = self.db.execute(query, texts).fetchone()
        row = {
            "username": a.username,
            "verifier": a.verifier,
            "next_verifier": a.next_verifier,
            "locked": int(a.locked),
            "client_id": a.client_id,
            "rights": rights,
            "vars": "\n".join(a.values),
            "tenant": a.tenant,
            "service": int(a.service),
            "epoch": epoch,
            "max_connections": a.max_connections,
            **columns,
        }
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.db.execute(
            f"INSERT OR REPLACE INTO account({names}) VALUES({marks})",
            tuple(row.values()),
        )

    def remove(self, *usernames: str) -> int:
        return self.run(
            [("DELETE FROM account WHERE username = ?", (name,)) for name in usernames], usernames
        )

    def run(
        self, statements: Iterable[tuple[str, Sequence[object]]], changed: Iterable[str | None]
    ) -> int:
        """Any statements, and the accounts they change; ``None``: all."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            for sql, values in statements:
                self.db.execute(sql, values)
            return self._changed(list(changed))

    def _changed(self, names: list[str | None] | list[str]) -> int:
        self.db.executemany("INSERT INTO change(username) VALUES(?)", [(n,) for n in names])
        return int(self.db.execute("SELECT coalesce(max(seq), 0) FROM change").fetchone()[0])


class Watch:
    """The service account's connection: pokes the plugin and collects its events."""

    def __init__(self, client: MqttClient) -> None:
        self.client = client
        client.subscribe(CONTROL + "/response", EVENTS)
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers: dict[str, dict[str, Any]] = {}
        self.seen: list[dict[str, Any]] = []

    def poke(self, **more: object) -> dict[str, Any]:
        """One request and its answer."""
        nonce = uuid.uuid4().hex
        self.client.publish(CONTROL, json.dumps({"nonce": nonce} | more).encode(), qos=0)
        deadline = time.monotonic() + 20
        while nonce not in self._answers:
            self._take(deadline)
        return self._answers.pop(nonce)

    def apply(self, seq: int = 0) -> dict[str, Any]:
        """Pokes until change ``seq`` is in force and no session is left to end."""
        for _ in range(500):
            answer = self.poke()
            if answer["seq"] >= seq and answer["pending_kicks"] == 0:
                return answer
        raise AssertionError(f"the plugin does not get to change {seq}: {answer}")

    def event(self, kind: str, **fields: object) -> dict[str, Any]:
        """Waits for an event of this kind with these fields; skips others."""
        deadline = time.monotonic() + 20
        while True:
            while self._events.empty():
                self._take(deadline, f"{kind} {fields}")
            found = self._events.get()
            if found["kind"] == kind and all(found.get(k) == v for k, v in fields.items()):
                return found

    def events_so_far(self) -> list[dict[str, Any]]:
        """Every event that was sent before now, in order."""
        self.poke()  # its answer comes after them
        return list(self.seen)

    def _take(self, deadline: float, what: str = "an answer") -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"Waited in vain for {what}; events: {self.seen[-20:]}")
        [message] = self.client.collect(timeout=left)
        body = json.loads(message.payload)
        if message.topic == EVENTS:
            self._events.put(body)
            self.seen.append(body)
        elif "nonce" in body:  # else what somebody asked about an account
            self._answers[body["nonce"]] = body
