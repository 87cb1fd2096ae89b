"""The operator's certificate: used by copy, and only when it can be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from mooring.errors import Conflict
from mooring.pki.inspect import check_pair
from mooring.pki.keys import key_pem, make_key
from mooring.pki.model import KeyType
from mooring.pki.operator import COPY, OperatorFiles, adopt, check, operator_files
from mooring.settings import Settings
from tests.unit.pki.making import DAY, NOW, a_ca, write_server

HOST = "mqtt.example.org"
CA = a_ca("Company CA")


@pytest.fixture
def files(tmp_path: Path) -> OperatorFiles:
    cert, key, ca = write_server(tmp_path, CA)
    return OperatorFiles(cert, key, ca, (HOST,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pki").mkdir()
    return tmp_path / "pki"


def test_the_copy_holds_key_and_certificate_and_is_secret(
    files: OperatorFiles, folder: Path
) -> None:
    copy, warnings = adopt(files, folder, NOW)
    assert copy == folder / COPY
    assert warnings == []
    assert copy.stat().st_mode & 0o777 == 0o600
    assert files.ca is not None
    assert check_pair(copy, copy, files.ca, (HOST,), NOW) == []
    assert [path.name for path in folder.iterdir()] == [COPY]


def test_copying_the_same_again_changes_nothing(files: OperatorFiles, folder: Path) -> None:
    copy, _ = adopt(files, folder, NOW)
    before = copy.stat()
    adopt(files, folder, NOW)
    assert copy.stat().st_ino == before.st_ino


def test_a_new_one_takes_its_place(files: OperatorFiles, folder: Path) -> None:
    copy, _ = adopt(files, folder, NOW)
    old = load_pem_x509_certificate(copy.read_bytes())
    write_server(files.certificate.parent, CA, days=30)
    adopt(files, folder, NOW)
    assert load_pem_x509_certificate(copy.read_bytes()) != old


@pytest.mark.parametrize("fault", ["mismatch", "missing", "expired", "wrong host", "rubbish"])
def test_what_cannot_be_used_leaves_the_copy_alone(
    files: OperatorFiles, folder: Path, fault: str
) -> None:
    copy, _ = adopt(files, folder, NOW)
    before, now = copy.read_bytes(), NOW
    match fault:
        case "mismatch":
            files.key.write_bytes(key_pem(make_key(KeyType.EC_P256)))
        case "missing":
            files.key.unlink()
        case "expired":
            now = NOW + 91 * DAY
        case "wrong host":
            files = replace(files, hosts=("elsewhere.example.org",))
        case "rubbish":
            files.certificate.write_text("rubbish")
    with pytest.raises(Conflict) as caught:
        adopt(files, folder, now)
    assert caught.value.slug == "certificate_unusable"
    assert str(files.key) in caught.value.message or str(files.certificate) in caught.value.message
    assert caught.value.hint
    assert copy.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [COPY]


def test_a_warning_is_no_refusal(files: OperatorFiles, folder: Path) -> None:
    files.key.chmod(0o644)
    _, warnings = adopt(files, folder, NOW)
    assert [problem.code for problem in warnings] == ["key_open"]
    assert [problem.code for problem in check(files, NOW)] == ["key_open"]


def test_the_settings_name_both_files_or_none(tmp_path: Path) -> None:
    assert operator_files(Settings()) is None
    cert, key = tmp_path / "a.crt", tmp_path / "a.key"
    for half in (Settings(tls_certfile=cert), Settings(tls_keyfile=key)):
        with pytest.raises(Conflict, match="is not set"):
            operator_files(half)
    found = operator_files(Settings(tls_certfile=cert, tls_keyfile=key))
    assert found is not None
    assert found.paths == (cert, key)
