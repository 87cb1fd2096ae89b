"""Firmware over HTTP: uploads that are larger than other requests, and who may make them."""

from __future__ import annotations

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mooring.app import App
from mooring.identity.actor import SYSTEM
from mooring.ota.releases import manifest
from mooring.ota.releases.files import Files
from mooring.ota.releases.turns import UPLOADS_MAX_PER_TENANT
from mooring.settings import Settings
from mooring.web.errors import BODY_MAX_BYTES
from tests.integration.http.conftest import ClientOf
from tests.support.ports import free_port
from tests.support.waiting import wait_until

MOST = 3 * BODY_MAX_BYTES
PRIVATE = manifest.generate(manifest.ECDSA)


@pytest.fixture
def settings(tmp_path: Path, any_database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=any_database_url,
        mqtt_port=free_port(),
        firmware_max_bytes=MOST,
    )


@pytest.fixture
def admin(client_of: ClientOf, platform: App) -> httpx.Client:
    for tenant in ("home", "elsewhere"):
        platform.people.add_tenant(SYSTEM, tenant)
    return client_of("admin", tenant="home")


def create(client: httpx.Client, version: str = "1.0") -> str:
    answer = client.post("/api/v1/firmware", json={"product": "trap", "version": version})
    assert answer.status_code == 201, answer.text
    return f"/api/v1/firmware/{answer.json()['id']}"


def test_from_upload_to_download(admin: httpx.Client) -> None:
    content = bytes(range(256)) * (MOST // 256)
    key = admin.post(
        "/api/v1/firmware-keys",
        json={"name": "build", "public_key": manifest.public_pem(PRIVATE.public_key())},
    )
    assert key.status_code == 201, key.text
    release = create(admin)
    file = f"{release}/files/app 1+2.bin"
    answer = admin.put(file, content=content)
    assert answer.status_code == 200, answer.text
    (artifact,) = answer.json()["artifacts"]
    assert (artifact["name"], artifact["size"]) == ("app 1+2.bin", len(content))
    for name in ("sha256", "sha1", "md5"):
        assert artifact[name] == hashlib.new(name, content).hexdigest()
    signed = admin.get(f"{file}/manifest").content
    signature = manifest.sign(PRIVATE, signed)
    answer = admin.post(f"{file}/signatures", json=signature._asdict())
    assert answer.status_code == 200, answer.text
    assert admin.post(f"{release}/publish", json={}).json()["state"] == "published"
    assert admin.get(f"{release}/check").json() == {
        "files": [
            {
                "name": "app 1+2.bin",
                "sha256": artifact["sha256"],
                "whole": True,
                "signed_by": ["build"],
                "problems": [],
            }
        ]
    }
    found = admin.get(file)
    assert found.content == content
    assert found.headers["content-length"] == str(len(content))
    assert "app%201%2B2.bin" in found.headers["content-disposition"]
    assert admin.put(file, content=b"other").json()["code"] == "release_state"


def test_too_large(admin: httpx.Client, platform: App) -> None:
    release = create(admin)
    little = admin.put(f"{release}/files/a.bin", content=bytes(MOST + 1))
    assert (little.status_code, little.json()["code"]) == (422, "artifact_too_large")
    for more in (2 * BODY_MAX_BYTES, 3 * BODY_MAX_BYTES):
        try:
            answer = admin.put(f"{release}/files/a.bin", content=bytes(MOST + more))
        except httpx.TransportError:
            continue  # the server does not read what it has rejected
        assert answer.status_code in {413, 422}
    assert admin.get(release).json()["artifacts"] == []
    left = [one for one in (platform.settings.data_dir / "artifacts").rglob("*") if one.is_file()]
    assert left == []


def test_other_requests_keep_their_limit(admin: httpx.Client) -> None:
    answer = admin.post(
        "/api/v1/firmware",
        content=b'{"product":"' + b"x" * BODY_MAX_BYTES + b'"}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("role", ["viewer", "other", "nobody"])
def test_who_may_not_upload(
    admin: httpx.Client, client_of: ClientOf, nobody: httpx.Client, role: str, platform: App
) -> None:
    """They are answered before anything of their file is read."""
    release = create(admin)
    if role == "nobody":
        client, wanted = nobody, 401
    elif role == "other":
        client, wanted = client_of("admin", tenant="elsewhere"), 404
    else:
        client, wanted = client_of("viewer", tenant="home"), 403
    answer = client.put(f"{release}/files/a.bin", content=b"x" * 1000)
    assert answer.status_code == wanted, answer.text
    assert not (platform.settings.data_dir / "artifacts" / "incoming").exists()


def test_half_a_file_leaves_nothing(admin: httpx.Client, platform: App) -> None:
    release = create(admin)
    url = admin.base_url
    token = admin.headers["Authorization"]
    with socket.create_connection((url.host, url.port), 5) as connection:
        connection.sendall(
            f"PUT {release}/files/a.bin HTTP/1.1\r\nHost: {url.host}\r\n"
            f"Authorization: {token}\r\nContent-Length: 2000000\r\n\r\n".encode()
            + b"x" * 700_000
        )
    assert admin.get(release).json()["artifacts"] == []
    answer = admin.put(f"{release}/files/a.bin", content=b"whole")
    assert answer.json()["artifacts"][0]["size"] == 5
    stored = platform.settings.data_dir / "artifacts"
    digest = answer.json()["artifacts"][0]["sha256"]
    assert list(stored.glob("[0-9a-f][0-9a-f]/*")) == [stored / digest[:2] / digest]


def arriving(incoming: Path) -> list[Path]:
    return list(incoming.glob("*"))


def begin(client: httpx.Client, release: str, name: str) -> socket.socket:
    """An upload that does not continue."""
    url = client.base_url
    connection = socket.create_connection((url.host, url.port), 5)
    connection.sendall(
        f"PUT {release}/files/{name} HTTP/1.1\r\nHost: {url.host}\r\n"
        f"Authorization: {client.headers['Authorization']}\r\n"
        "Content-Length: 2000000\r\n\r\n".encode()
        + b"x" * 1000
    )
    return connection


def test_uploads_of_a_tenant_at_the_same_time(
    admin: httpx.Client, client_of: ClientOf, platform: App
) -> None:
    """What has not arrived completely takes disk space that no limit of a tenant counts."""
    release = create(admin)
    incoming = platform.settings.data_dir / "artifacts" / "incoming"
    begun = [begin(admin, release, f"{n}.bin") for n in range(UPLOADS_MAX_PER_TENANT)]
    try:
        wait_until(lambda: len(arriving(incoming)) == len(begun), "uploads have begun")
        answer = admin.put(f"{release}/files/one-more.bin", content=b"x")
        assert (answer.status_code, answer.json()["code"]) == (429, "firmware_busy")
        assert len(arriving(incoming)) == len(begun)
        other = client_of("admin", tenant="elsewhere")
        assert other.put(f"{create(other)}/files/a.bin", content=b"x").status_code == 200
    finally:
        for connection in begun:
            connection.close()
    wait_until(lambda: not arriving(incoming), "cut uploads are gone")
    assert admin.put(f"{release}/files/one-more.bin", content=b"x").status_code == 200


def test_one_check_of_a_tenant_at_a_time(
    admin: httpx.Client, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check reads gigabytes and holds a thread: a viewer could otherwise take all of them."""
    release = create(admin)
    assert admin.put(f"{release}/files/a.bin", content=b"x").status_code == 200
    reading, go_on = threading.Event(), threading.Event()
    whole = Files.is_whole

    def slowly(self: Files, *given: Any) -> bool:
        reading.set()
        return go_on.wait(10) and whole(self, *given)

    monkeypatch.setattr(Files, "is_whole", slowly)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(admin.get, f"{release}/check")
        try:
            assert reading.wait(10)
            viewer = client_of("viewer", tenant="home")
            second = viewer.get(f"{release}/check")
            assert (second.status_code, second.json()["code"]) == (429, "firmware_busy")
            assert second.headers["retry-after"]
        finally:
            go_on.set()
        assert first.result(10).json()["files"][0]["whole"]
    assert viewer.get(f"{release}/check").status_code == 200


def test_private_keys_are_rejected(admin: httpx.Client) -> None:
    pem = manifest.private_pem(PRIVATE).decode()
    answer = admin.post("/api/v1/firmware-keys", json={"name": "oops", "public_key": pem})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_key")
    assert "PRIVATE KEY" not in answer.text
