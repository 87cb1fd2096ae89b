"""``mooring broker`` where nothing runs: accounts in the database, files in and out."""

from __future__ import annotations

import json
import sqlite3
import stat
import tarfile
from pathlib import Path

import pytest

from mooring import running
from mooring.broker import dynsec_file, password_lines
from mooring.secrets import verifiers
from tests.unit.cli.conftest import Mooring

PASSWORD = "a-password-nobody-chose"
VERIFIER = verifiers.make(PASSWORD, salt=b"0123456789ab")


def rows(mooring: Mooring, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(mooring.data_dir / "mooring.db") as database:
        return database.execute(sql).fetchall()


# ------------------------------------------------------------------------- users


def test_users_are_created_listed_and_deleted(mooring: Mooring) -> None:
    made = mooring(
        *("broker", "users", "create", "bridge", "--read", "home/#", "--write", "home/+/set"),
        *("--note", "to the office", "--json"),
    ).json()
    assert made["username"] == "bridge"
    assert made["applied_by_broker"] is False
    (stored,) = rows(mooring, "SELECT verifier FROM broker_users")[0]
    assert isinstance(stored, str)
    assert verifiers.check(made["password"], stored)
    (user,) = mooring("broker", "users", "list", "--json").json()["users"]
    assert user["read"] == ["home/#"]
    assert user["write"] == ["home/+/set"]
    assert "password" not in user
    again = mooring("broker", "users", "create", "bridge", "--json", code=4).error()
    assert again["code"] == "username_taken"
    changed = mooring("broker", "users", "password", "bridge", "--json").json()
    assert changed["password"] != made["password"]
    mooring("broker", "users", "delete", "bridge", code=2)  # nobody to ask
    mooring("broker", "users", "delete", "bridge", "--yes")
    assert mooring("broker", "users", "list", "--json").json()["users"] == []
    mooring("broker", "users", "delete", "bridge", "--yes", code=3)
    actions = [row[0] for row in rows(mooring, "SELECT action FROM audit ORDER BY id")]
    assert actions == ["broker_user.create", "broker_user.password", "broker_user.delete"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["bridge", "--read", "a/#/b"], "invalid_filter"),
        (["bridge", "--write", "$CONTROL/#"], "invalid_filter"),
        (["bridge", "--write", "a/%u"], "invalid_filter"),
        (["service:mooring"], "invalid_username"),
        (["service.mooring"], "invalid_username"),
        (["mooring.reload"], "invalid_username"),
        ([" x"], "invalid_username"),
    ],
)
def test_what_no_broker_user_can_be(mooring: Mooring, words: list[str], code: str) -> None:
    said = mooring("broker", "users", "create", *words, "--json", code=2).error()
    assert said["code"] == code


def test_a_given_password_is_long_enough_and_not_repeated(mooring: Mooring) -> None:
    words = ("broker", "users", "create", "bridge", "--password-stdin", "--json")
    assert mooring(*words, input="short\n", code=2).error()["code"] == "password_too_short"
    assert mooring(*words, input=f"{PASSWORD}\n").json()["password"] is None


def test_a_device_and_a_user_cannot_share_a_name(mooring: Mooring) -> None:
    mooring("broker", "users", "create", "kitchen")
    said = mooring("device", "add", "kitchen", "--dialect", "drivesafe", "--json", code=4).error()
    assert said["code"] == "username_taken"
    mooring("device", "add", "cellar", "--dialect", "drivesafe")
    mooring("broker", "users", "create", "cellar", code=4)


@pytest.mark.parametrize("name", ["service:mooring", "service.mooring", "mooring.reload"])
def test_no_device_takes_the_platforms_name(mooring: Mooring, name: str) -> None:
    mooring("device", "add", name, "--dialect", "drivesafe", code=2)


def test_a_name_the_password_file_cannot_hold_is_refused_at_the_door(
    mooring: Mooring, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("device", "add", "pump", "--dialect", "pulse", "--tenant", "acme", "--json")
    monkeypatch.setenv("MOORING_AUTH_MODE", "password_file")
    assert mooring(*words, code=2).error()["code"] == "username_not_for_password_file"
    assert rows(mooring, "SELECT count(*) FROM devices") == [(0,)]
    monkeypatch.delenv("MOORING_AUTH_MODE")
    mooring(*words)


# ------------------------------------------------------------------------- files


def test_the_configuration_is_printed_or_written(mooring: Mooring, tmp_path: Path) -> None:
    assert "allow_anonymous false" in mooring("broker", "config").out
    target = tmp_path / "mosquitto.conf"
    mooring("broker", "config", "--output", target)
    assert "listener 1883 127.0.0.1" in target.read_text()


@pytest.mark.parametrize("verb", [["sync"], ["reload"]])
def test_without_a_running_platform_it_says_what_to_do(mooring: Mooring, verb: list[str]) -> None:
    said = mooring("broker", *verb, "--json", code=7).error()
    assert said["code"] == "not_running"
    assert "mooring up" in said["hint"]


def test_there_is_no_log_before_the_first_start(mooring: Mooring) -> None:
    assert mooring("broker", "logs", "--json", code=3).error()["code"] == "no_broker_log"


def test_the_end_of_the_log(mooring: Mooring) -> None:
    log = mooring.data_dir / "logs" / "mosquitto.log"
    log.parent.mkdir()
    log.write_text("".join(f"line {n}\n" for n in range(100)) + "steer \x1b[2J\n")
    lines = mooring("broker", "logs", "-n", "2").out.splitlines()
    assert lines == ["line 99", "steer \\x1b[2J"]
    with log.open("a") as more:
        more.write("1: Received PINGREQ from d1\n2: Saving in-memory database to x.\n")
    assert mooring("broker", "logs", "-n", "1").out.splitlines() == ["steer \\x1b[2J"]
    assert "PINGREQ" in mooring("broker", "logs", "-n", "2", "--all").out


# ------------------------------------------------------------------------- taking over


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Files of a broker that Mooring did not set up."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "passwd").write_text(
        f"ESP_1:{VERIFIER}\nESP_2:$6$c2FsdA==$aGFzaA==\nbridge:{VERIFIER}\nodd:{VERIFIER}\n"
    )
    (folder / "acl").write_text(
        "pattern readwrite smarthome/7/%u/#\nuser bridge\ntopic smarthome/#\n"
        "user odd\ntopic write other/topic\n"
    )
    return folder


def take_over(mooring: Mooring, other: Path, *words: str) -> dict[str, object]:
    answer = mooring(
        *("broker", "import", "--passwd", other / "passwd", "--acl", other / "acl"),
        *("--dialect", "smarthome", "--json", *words),
    ).json()
    assert isinstance(answer, dict)
    return answer


def test_a_dry_run_changes_nothing(mooring: Mooring, other: Path) -> None:
    answer = take_over(mooring, other, "--dry-run")
    assert answer["imported"] is False
    assert answer["counts"] == {"device": 2, "user": 2, "skipped": 0, "needs_password": 1}
    assert rows(mooring, "SELECT count(*) FROM devices") == [(0,)]
    table = mooring(
        *("broker", "import", "--passwd", other / "passwd", "--acl", other / "acl"),
        *("--dialect", "smarthome", "--dry-run"),
    ).out
    assert "new one needed" in table
    assert "not a topic of one device" in table


def test_accounts_come_over_with_their_passwords(mooring: Mooring, other: Path) -> None:
    answer = take_over(mooring, other, "--yes", "--map", "odd=-")
    assert answer["imported"] is True
    assert rows(
        mooring,
        "SELECT d.name, d.tenant, d.username, c.verifier FROM devices d"
        " JOIN credentials c ON c.device_id = d.id ORDER BY d.name",
    ) == [("ESP_1", "7", "ESP_1", VERIFIER), ("ESP_2", "7", "ESP_2", None)]
    assert rows(mooring, "SELECT username, verifier FROM broker_users") == [("bridge", VERIFIER)]
    assert rows(mooring, "SELECT action, username FROM broker_changes") == [("replace", "")]
    assert {row[0] for row in rows(mooring, "SELECT action FROM audit")} == {
        "device.import",
        "broker_user.import",
    }
    # Once more changes nothing: they are here already.
    again = take_over(mooring, other, "--yes", "--map", "odd=-")
    assert again["counts"]["skipped"] == 4  # type: ignore[index]
    assert again["imported"] is False


def test_the_operator_says_who_is_who(mooring: Mooring, other: Path) -> None:
    take_over(mooring, other, "--yes", "--map", "odd=9:cellar", "--map", "ESP_1=user")
    named = rows(mooring, "SELECT tenant, name, username FROM devices ORDER BY name")
    assert ("9", "cellar", "odd") in named
    users = {row[0] for row in rows(mooring, "SELECT username FROM broker_users")}
    assert users == {"bridge", "ESP_1"}


@pytest.mark.parametrize("words", [[], ["--acl", "x"], ["--passwd", "x", "--dynsec", "y"]])
def test_one_kind_of_files_is_needed(mooring: Mooring, words: list[str]) -> None:
    said = mooring("broker", "import", "--dialect", "smarthome", *words, "--json", code=2)
    assert said.error()["code"] == "which_files"


@pytest.mark.parametrize("form", ["dynamic_security", "password_file"])
def test_what_is_exported_can_be_taken_over(
    mooring: Mooring, other: Path, tmp_path: Path, form: str
) -> None:
    take_over(mooring, other, "--yes")
    target = tmp_path / "out"
    done = mooring("broker", "export", target, "--as", form, "--json").json()
    assert done["accounts"] == 4
    for path in map(Path, done["files"]):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if form == "dynamic_security":
        text = (target / "dynamic-security.json").read_bytes()
        assert dynsec_file.passwords(text)("ESP_1") == VERIFIER
        files = ["--dynsec", target / "dynamic-security.json"]
    else:
        assert password_lines.parse((target / "passwd").read_text())["bridge"] == VERIFIER
        files = ["--passwd", target / "passwd", "--acl", target / "acl"]
    fresh = ("--data-dir", tmp_path / "fresh")
    mooring("db", "migrate", *fresh)
    answer = mooring(
        *("broker", "import", *files, "--dialect", "smarthome", "--tenant", "7"),
        *("--yes", "--json", *fresh),
    ).json()
    taken = {a["username"]: a for a in answer["accounts"] if a["what"] != "skipped"}
    assert taken["ESP_1"]["what"] == "device"
    assert taken["ESP_1"]["password"] == "kept"
    assert taken["bridge"]["what"] == "user"
    assert mooring("broker", "export", target, "--as", form, code=4).err  # never written over


# ------------------------------------------------------------------------- one device


def test_fresh_credentials_go_into_a_private_file(mooring: Mooring, tmp_path: Path) -> None:
    before = mooring("device", "add", "cab-1", "--dialect", "drivesafe", "--json").json()
    target = tmp_path / "cab-1.json"
    said = mooring("broker", "credentials", "cab-1", "-o", target, "--yes")
    document = json.loads(target.read_text())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert document["password"] not in said.out + said.err
    assert document["password"] != before["password"]
    assert document["topics"] == before["topics"]
    ((verifier,),) = rows(mooring, "SELECT verifier FROM credentials")
    assert isinstance(verifier, str)
    assert verifiers.check(document["password"], verifier)
    mooring("broker", "credentials", "cab-1", "-o", target, "--yes", code=4)
    assert not list(tmp_path.glob("*.part"))


# ------------------------------------------------------------------------- many devices


def test_a_table_is_added_whole_or_not_at_all(mooring: Mooring, tmp_path: Path) -> None:
    table, target = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text("name,tenant\ncab-1,a\ncab-2,b\n")
    words = ("device", "import", table, "--dialect", "drivesafe")
    assert mooring(*words, code=2).err  # nowhere to write the passwords
    assert mooring(*words, "--dry-run", "--json").json() == {"devices": 2, "added": 0}
    done = mooring(*words, "-o", target, "--json").json()
    assert done["added"] == 2
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    table.write_text("name\ncab-3\ncab-1\n\ncab 4/5\n")
    refused = mooring(*words, "-o", tmp_path / "two.csv", "--json", code=2).error()
    assert [line["line"] for line in refused["context"]["lines"]] == [3, 5]
    assert rows(mooring, "SELECT count(*) FROM devices") == [(2,)]
    assert not (tmp_path / "two.csv").exists()
    assert not list(tmp_path.glob("*.part"))
    mooring(*words, "-o", target, code=4)  # never written over


def test_many_are_told_to_the_broker_in_one_row(mooring: Mooring, tmp_path: Path) -> None:
    table = tmp_path / "in.csv"
    table.write_text("name\n" + "\n".join(f"cab-{n}" for n in range(100)) + "\n")
    words = ("device", "import", table, "--dialect", "drivesafe", "-o", tmp_path / "out.csv")
    said = mooring(*words, code=2)  # a restart of the broker needs a yes
    assert "--yes" in said.err
    assert "restarts the broker once" in said.err
    mooring(*words, "--yes")
    assert rows(mooring, "SELECT action, username, sealed_secret FROM broker_changes") == [
        ("replace", "", None)
    ]
    assert rows(mooring, "SELECT count(*) FROM audit WHERE action = 'device.add'") == [(100,)]


# ------------------------------------------------------------------------- backup


def test_a_backup_comes_back(mooring: Mooring, tmp_path: Path) -> None:
    mooring("device", "add", "cab-1", "--dialect", "drivesafe")
    (mooring.data_dir / "dialects").mkdir()
    (mooring.data_dir / "dialects" / "own.toml").write_text("# mine\n")
    (mooring.data_dir / "logs").mkdir(exist_ok=True)
    (mooring.data_dir / "logs" / "up.log").write_text("left out\n")
    target = tmp_path / "backup.tar.gz"
    saved = mooring("backup", target, "--json").json()
    assert saved["database"] is True
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with tarfile.open(target) as archive:
        names = set(archive.getnames())
    assert {"mooring.db", "secrets.json", "dialects/own.toml", "manifest.json"} <= names
    assert not any(name.startswith("logs") for name in names)
    secrets = (mooring.data_dir / "secrets.json").read_bytes()
    mooring("device", "add", "cab-2", "--dialect", "drivesafe")
    (mooring.data_dir / "secrets.json").write_text("{}")
    mooring("restore", target, code=2)  # nobody to ask
    restored = mooring("restore", target, "--yes", "--json").json()
    assert rows(mooring, "SELECT name FROM devices") == [("cab-1",)]
    assert (mooring.data_dir / "secrets.json").read_bytes() == secrets
    assert stat.S_IMODE((mooring.data_dir / "secrets.json").stat().st_mode) == 0o600
    assert (Path(restored["kept"]) / "mooring.db").exists()
    mooring("device", "show", "cab-1")
    mooring("broker", "backup", target, code=4)  # never written over


def test_nothing_is_restored_under_a_running_platform(mooring: Mooring, tmp_path: Path) -> None:
    target = tmp_path / "backup.tar.gz"
    mooring("broker", "backup", target)
    with running.exclusive(mooring.data_dir):
        said = mooring("restore", target, "--yes", "--json", code=4).error()
    assert said["code"] == "already_running"


@pytest.mark.parametrize("how", ["cut", "changed", "other", "escaping"])
def test_a_bad_backup_changes_nothing(mooring: Mooring, tmp_path: Path, how: str) -> None:
    target = tmp_path / "backup.tar.gz"
    mooring("backup", target)
    before = sorted(path.name for path in mooring.data_dir.iterdir())
    if how == "cut":
        target.write_bytes(target.read_bytes()[:-2000])
    elif how == "other":
        target.write_text("no archive")
    else:
        unpacked = tmp_path / "unpacked"
        with tarfile.open(target) as archive:
            archive.extractall(unpacked, filter="data")
        (unpacked / "secrets.json").write_text("{}")
        with tarfile.open(target, "w:gz") as archive:
            for path in unpacked.iterdir():
                name = f"../{path.name}" if how == "escaping" else path.name
                archive.add(path, name)
    said = mooring("restore", target, "--yes", "--json", code=2).error()
    assert said["code"] in {"bad_backup", "invalid"}
    assert sorted(path.name for path in mooring.data_dir.iterdir() if path.name != "up.lock") == [
        name for name in before if name != "up.lock"
    ]
    assert not (tmp_path / "secrets.json").exists()
