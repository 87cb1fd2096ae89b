"""Certificates through the real program: issued, used, revoked, renewed, replaced, rolled over."""

from __future__ import annotations

import hashlib
import json
import shlex
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificate

from mooring.pki.authority import CertificateAuthority, make_ca
from mooring.pki.files import PkiFiles
from mooring.pki.issue import issue_server
from mooring.pki.keys import key_pem
from tests.support.mqtt import MqttClient
from tests.support.platform import Login, Platform, running_platform
from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.waiting import wait_until
from tests.support.whys import SITUATIONS, Whys, a_leaf, table
from tests.unit.pki.making import a_csr, pem, serial

# Each test runs the program several times, which takes seconds each on a busy machine.
pytestmark = pytest.mark.timeout(300)

READING = '{"values":{"temperature":21.5}}'


@dataclass
class Place:
    """A platform with a listener for certificates, and what its operator brought."""

    platform: Platform
    folder: Path
    port: int
    operator_ca: CertificateAuthority | None = None

    @property
    def server_trust(self) -> Path:
        """Whom clients trust the broker by."""
        own = self.platform.data_dir / "pki" / "trust.crt"
        return own if self.operator_ca is None else self.folder / "company-ca.crt"

    def put_certificate(self, made: timedelta = timedelta(0), days: int = 90) -> None:
        """What an operator's tool does: certificate and key, one after the other."""
        assert self.operator_ca is not None
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue_server(
            self.operator_ca,
            ["localhost"],
            key.public_key(),
            now=datetime.now(UTC) - made,
            serial=serial(),
            days=days,
        )
        (self.folder / "company.crt").write_bytes(pem(certificate))
        (self.folder / "company.key").write_bytes(key_pem(key))
        (self.folder / "company.key").chmod(0o600)

    def give(self, login: Login, name: str = "device") -> Path:
        """A certificate made by the program; the folder with its files."""
        folder = self.folder / f"{login.device}-{name}"
        self.platform.cli("cert", "device", login.reference, "--out", folder)
        return folder

    def words(self, folder: Path, *, cafile: Path | None = None) -> list[str]:
        return [
            *(
                "-h",
                "localhost",
                "-p",
                str(self.port),
                "--cafile",
                str(cafile or self.server_trust),
            ),
            *("--cert", str(folder / "device.crt"), "--key", str(folder / "device.key")),
        ]

    def publish(self, login: Login, folder: Path) -> subprocess.CompletedProcess[str]:
        topic = login.topics["telemetry"]
        words = [*self.words(folder), "-i", login.client_id]
        return run("mosquitto_pub", *words, "-t", topic, "-q", "1", "-m", READING)

    def listen(self, login: Login, folder: Path) -> MqttClient:
        """A session that stays."""
        context = ssl.create_default_context(cafile=self.server_trust)
        context.load_cert_chain(folder / "device.crt", folder / "device.key")
        client = MqttClient(self.port, host="localhost", client_id=login.client_id, tls=context)
        client.connect()
        client.subscribe(login.topics["command"])
        return client

    def service(self) -> MqttClient:
        """The platform's own account; a password file holds it without the colon."""
        secrets = json.loads((self.platform.data_dir / "secrets.json").read_text())
        return MqttClient(
            self.platform.ports["mqtt_port"],
            username="service:mooring" if self.operator_ca is None else "service.mooring",
            password=secrets["service_password"],
        )

    def shown(self) -> str:
        """The fingerprint of the certificate the broker shows."""
        text = ssl.get_server_certificate(("127.0.0.1", self.platform.ports["mqtt_tls_port"]))
        return load_pem_x509_certificate(text.encode()).fingerprint(hashes.SHA256()).hex()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
    )


@contextmanager
def private_place(folder: Path) -> Iterator[Place]:
    """As ``private``, of a test's own."""
    port = free_port()
    env = {"MOORING_MQTT_MTLS_PORT": str(port)}
    with running_platform(folder / "data", env=env) as platform:
        yield Place(platform, folder, port)


@pytest.fixture(scope="module")
def private(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The plugin, and the CA that Mooring made."""
    return Place(platform, tmp_path_factory.mktemp("private"), platform.ports["mqtt_mtls_port"])


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Password file, and a server certificate that the operator brought."""
    folder, port = tmp_path_factory.mktemp("operated"), free_port()
    # Old enough for certificates that have expired.
    made = datetime.now(UTC) - timedelta(days=30)
    ca = make_ca("Company CA", now=made, serial=serial())
    (folder / "company-ca.crt").write_bytes(ca.certificate_pem)
    env = {
        "MOORING_MQTT_MTLS_PORT": str(port),
        "MOORING_AUTH_MODE": "password_file",
        "MOORING_RELOAD_DEBOUNCE_SECONDS": "0.2",
        "MOORING_TLS_CERTFILE": str(folder / "company.crt"),
        "MOORING_TLS_KEYFILE": str(folder / "company.key"),
        "MOORING_TLS_CAFILE": str(folder / "company-ca.crt"),
    }
    place = Place(Platform(folder / "data", env=env), folder, port, ca)
    place.put_certificate()
    with running_platform(folder / "data", env=env) as platform:
        place.platform = platform
        yield place


@pytest.fixture(params=["private", "operated"])
def place(request: pytest.FixtureRequest) -> Place:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


# ------------------------------------------------------------------ using them


def test_the_lines_of_cert_show_work_as_they_stand(place: Place) -> None:
    login = place.platform.add(f"shown-{serial()}", "mooring")
    folder = place.give(login)
    topic = login.topics["telemetry"]
    lines = place.platform.cli("cert", "show", "--json").json()["lines"]
    before = place.platform.stored(login)
    for kind in ("publish", "publish_certificate"):
        filled = {
            "CLIENT_ID": login.client_id,
            "USERNAME": login.username,
            "PASSWORD": login.password,
            "TOPIC": topic,
            "MESSAGE": READING,
            "device.crt": str(folder / "device.crt"),
            "device.key": str(folder / "device.key"),
        }
        done = run(*(filled.get(word, word) for word in shlex.split(lines[kind])))
        assert done.returncode == 0, done
        before += 1
        wait_until(lambda: place.platform.stored(login) == before, "the message")  # noqa: B023
    command = login.topics["command"].replace("+", "reboot")
    filled["TOPIC"] = login.topics["command"]
    for kind in ("subscribe", "subscribe_certificate"):
        words = [filled.get(word, word) for word in shlex.split(lines[kind])]
        child = Child([*words, "-C", "1"], folder / f"{kind}.log")
        with place.service() as sender:

            def ended(child: Child = child, sender: MqttClient = sender) -> bool:
                """Nothing says when it has subscribed, so it is sent until it comes."""
                sender.publish(command, b'{"args":{}}', qos=1)
                return not child.running

            wait_until(ended, "it to end after one message")
        assert child.log() == f'{command} {{"args":{{}}}}\n'


def test_a_certificate_gives_the_same_rights_as_the_password(place: Place) -> None:
    login = place.platform.add(f"rights-{serial()}", "mooring")
    other = place.platform.add(f"other-{serial()}", "mooring")
    folder = place.give(login)
    words = [*place.words(folder), "-i", login.client_id, "-q", "1", "-m", READING]
    run("mosquitto_pub", *words, "-t", other.topics["telemetry"])
    assert run("mosquitto_pub", *words, "-t", login.topics["telemetry"]).returncode == 0
    wait_until(lambda: place.platform.stored(login) == 1, "the device's own message")
    assert place.platform.stored(other) == 0


def test_a_key_that_never_leaves_the_device(place: Place) -> None:
    login = place.platform.add(f"csr-{serial()}", "mooring")
    folder = place.folder / login.device
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "device.key").write_bytes(key_pem(key))
    (folder / "device.csr").write_bytes(a_csr("somebody else", key))
    answer = place.platform.cli("cert", "sign", folder / "device.csr", login.username, "--json")
    assert (answer.json()["subject"], answer.json()["in_force"]) == (login.username, True)
    assert sorted(path.name for path in folder.iterdir()) == [
        "ca.crt",
        "device.crt",
        "device.csr",
        "device.key",
    ]
    assert place.publish(login, folder).returncode == 0
    renewed = place.platform.cli("cert", "renew", login.reference, "--out", folder, "--json").json()
    assert renewed["serial"] != answer.json()["serial"]
    assert place.publish(login, folder).returncode == 0
    wait_until(lambda: place.platform.stored(login) == 2, "both messages")


def test_a_key_made_here_is_written_once(private: Place) -> None:
    login = private.platform.add(f"key-{serial()}", "mooring")
    folder = private.give(login)
    assert (folder / "device.key").stat().st_mode & 0o777 == 0o600
    refused = private.platform.cli(
        "cert", "device", login.reference, "--out", folder, "--json", expect=4
    )
    assert json.loads(refused.stderr)["error"]["code"] == "key_exists"
    listed = private.platform.cli("cert", "list", login.reference, "--json").json()
    assert listed["total"] == 1


def test_a_bundle_is_encrypted(private: Place) -> None:
    login = private.platform.add(f"bundle-{serial()}", "mooring")
    bundle = private.folder / "bundle"
    private.platform.cli(
        *("cert", "device", login.reference, "--bundle", "--password-stdin", "--out", bundle),
        input="correct horse\n",
    )
    opened = pkcs12.load_pkcs12((bundle / "device.p12").read_bytes(), b"correct horse")
    assert opened.key is not None
    assert (bundle / "device.p12").stat().st_mode & 0o777 == 0o600


def test_over_http(private: Place) -> None:
    login = private.platform.add(f"http-{serial()}", "mooring")
    key = private.platform.cli("key", "new", "ci", "--role", "operator", "--json").json()["secret"]
    base = f"http://127.0.0.1:{private.platform.ports['http_port']}/api/v1/devices"

    def ask(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own address
            f"{base}/{login.device}/certificates{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.load(answer)

    made = ec.generate_private_key(ec.SECP256R1())
    issued = ask("POST", "", {"csr": a_csr(key=made).decode()})
    folder = private.folder / login.device
    folder.mkdir()
    (folder / "device.key").write_bytes(key_pem(made))
    (folder / "device.crt").write_text(issued["certificate"])
    assert (issued["port"], issued["in_force"]) == (private.port, True)
    assert private.publish(login, folder).returncode == 0
    assert [one["serial"] for one in ask("GET", "")["items"]] == [issued["serial"]]
    done = ask("DELETE", f"/{issued['serial']}?reason=keyCompromise")
    assert (done["in_force"], len(done["revoked"])) == (True, 1)
    assert private.publish(login, folder).returncode != 0


# ------------------------------------------------------------------ taking them away


def test_revoking_ends_the_session_and_refuses_the_next(place: Place) -> None:
    login = place.platform.add(f"revoked-{serial()}", "mooring")
    folder = place.give(login)
    session = place.listen(login, folder)
    answer = place.platform.cli("cert", "revoke", login.reference, "--yes", "--json").json()
    assert answer["in_force"] is True
    session.wait_for_disconnect()
    assert place.publish(login, folder).returncode != 0
    # The account is as it was: the password is good, and so is a new certificate.
    place.platform.connect(login).publish(login.topics["telemetry"], READING, qos=1)
    assert place.publish(login, place.give(login, "second")).returncode == 0
    wait_until(lambda: place.platform.stored(login) == 2, "both messages")


def test_one_of_two_certificates_is_revoked_by_its_serial(private: Place) -> None:
    login = private.platform.add(f"two-{serial()}", "mooring")
    first, second = private.give(login, "first"), private.give(login, "second")
    number = load_pem_x509_certificate((first / "device.crt").read_bytes()).serial_number
    colons = ":".join(f"{number:040X}"[i : i + 2] for i in range(0, 40, 2))  # as openssl prints it
    private.platform.cli("cert", "revoke", "--serial", colons, "--yes")
    assert private.publish(login, first).returncode != 0
    assert private.publish(login, second).returncode == 0


def test_a_removed_device_is_out_and_its_successor_does_not_inherit(place: Place) -> None:
    login = place.platform.add(f"removed-{serial()}", "mooring")
    folder = place.give(login)
    session = place.listen(login, folder)
    place.platform.cli("device", "remove", login.reference, "--yes")
    place.platform.add(login.device, "mooring")
    session.wait_for_disconnect()
    assert place.publish(login, folder).returncode != 0
    listed = place.platform.cli("cert", "list", login.reference, "--json").json()["certificates"]
    assert [one["reason"] for one in listed] == ["cessationOfOperation"]


def test_a_disabled_device_is_out_until_it_is_enabled(place: Place) -> None:
    login = place.platform.add(f"disabled-{serial()}", "mooring")
    folder = place.give(login)
    session = place.listen(login, folder)
    place.platform.cli("device", "disable", login.reference)
    session.wait_for_disconnect()
    assert place.publish(login, folder).returncode != 0
    place.platform.cli("device", "enable", login.reference)
    wait_until(lambda: place.publish(login, folder).returncode == 0, "the device to be let in")


# ------------------------------------------------------------------ what must fail


def test_wrong_host_wrong_ca_and_expired(private: Place) -> None:
    login = private.platform.add(f"wrong-{serial()}", "mooring")
    folder = private.give(login)
    good = private.words(folder)
    tail = ["-t", login.topics["telemetry"], "-q", "1", "-m", READING, "-d"]
    wrong_host = run("mosquitto_pub", *good, *tail, "-h", "127.0.0.2")
    assert wrong_host.returncode != 0
    assert "certificate verify failed" in wrong_host.stdout
    other = private.folder / "other-ca.crt"
    stranger = make_ca("Other CA", now=datetime.now(UTC), serial=serial())
    other.write_bytes(stranger.certificate_pem)
    wrong_ca = run("mosquitto_pub", *private.words(folder, cafile=other), *tail)
    assert wrong_ca.returncode != 0
    assert "certificate verify failed" in wrong_ca.stdout

    ours = PkiFiles(private.platform.data_dir).authority()
    assert ours is not None
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    for name, ca, ends in (
        ("foreign", stranger, now + timedelta(days=1)),
        ("expired", ours, now - timedelta(minutes=1)),
        ("unrecorded", ours, now + timedelta(days=1)),
    ):
        place = private.folder / name
        place.mkdir()
        (place / "device.key").write_bytes(key_pem(key))
        (place / "device.crt").write_bytes(pem(a_leaf(ca, login.username, key, ends)))
    assert private.publish(login, private.folder / "foreign").returncode != 0
    assert private.publish(login, private.folder / "expired").returncode != 0
    # Made like the others, and good: what is wrong with those is what their names say.
    # Mooring's plugin asks for each certificate by its number, and nobody recorded this one.
    authority = private.platform.cli("status", "--json").json()["broker"]["authority"]
    unrecorded = private.publish(login, private.folder / "unrecorded")
    assert (unrecorded.returncode == 0) is (authority != "plugin")


def test_an_unknown_device_and_a_bad_request_are_named(private: Place) -> None:
    said = private.platform.cli("cert", "device", "nobody", "--json", expect=3)
    assert json.loads(said.stderr)["error"]["code"] == "device_not_found"
    login = private.platform.add(f"bad-{serial()}", "mooring")
    rubbish = private.folder / "rubbish.csr"
    rubbish.write_text("no request")
    said = private.platform.cli("cert", "sign", rubbish, login.reference, "--json", expect=2)
    assert json.loads(said.stderr)["error"]["code"] == "invalid_csr"
    said = private.platform.cli("cert", "revoke", login.reference, "--yes", "--json", expect=3)
    assert json.loads(said.stderr)["error"]["code"] == "certificate_not_found"


# ------------------------------------------------------------------ the broker's certificate


def tls_client(place: Place, login: Login) -> MqttClient:
    context = ssl.create_default_context(cafile=place.server_trust)
    return MqttClient(
        place.platform.ports["mqtt_tls_port"],
        host="localhost",
        username=login.username,
        password=login.password,
        client_id=login.client_id,
        tls=context,
    )


def test_our_own_is_renewed_without_a_restart(private: Place) -> None:
    login = private.platform.add(f"renewed-{serial()}", "mooring")
    before = private.shown()
    with tls_client(private, login) as client:
        answer = private.platform.cli("cert", "server", "--new-key", "--json").json()
        assert answer["server"]["fingerprint"] != before
        wait_until(lambda: private.shown() == answer["server"]["fingerprint"], "the new one")
        client.publish(login.topics["telemetry"], READING, qos=1)  # the session never ended
    wait_until(lambda: private.platform.stored(login) == 1, "the message")


def test_damaged_files_are_made_anew(private: Place) -> None:
    login = private.platform.add(f"damaged-{serial()}", "mooring")
    folder = private.give(login)
    private.platform.cli("cert", "revoke", login.reference, "--yes")
    crl = private.platform.data_dir / "pki" / "crl.pem"
    crl.write_text("-----BEGIN X509 CRL-----\nrubbish\n-----END X509 CRL-----\n")
    wait_until(lambda: b"rubbish" not in crl.read_bytes(), "the list to be written again")
    crl.unlink()
    wait_until(crl.exists, "the list to be written again")
    assert private.publish(login, folder).returncode != 0


def test_the_operators_own_is_loaded_when_it_changes_and_only_when_it_is_right(
    operated: Place,
) -> None:
    login = operated.platform.add(f"operated-{serial()}", "mooring")
    before = operated.shown()
    with tls_client(operated, login) as client:
        operated.put_certificate()
        wait_until(lambda: operated.shown() != before, "the operator's new certificate")
        good = operated.shown()

        def complaint() -> str:
            answer = operated.platform.cli("status", "--json", expect=None).json()
            return " ".join(answer["problems"])

        (operated.folder / "company.key").write_bytes(
            key_pem(ec.generate_private_key(ec.SECP256R1()))
        )
        wait_until(lambda: "does not belong to the certificate" in complaint(), "the mismatch")
        operated.put_certificate(timedelta(days=9), days=8)
        wait_until(lambda: "expired on" in complaint(), "the expired one")
        # Whatever else makes the broker read its files: it never sees the wrong ones.
        operated.platform.add(f"beside-{serial()}", "mooring")
        assert operated.shown() == good
        client.publish(login.topics["telemetry"], READING, qos=1)
        operated.put_certificate()
        wait_until(lambda: operated.shown() != good, "the one that is right")
        assert "certificate" not in complaint()
    wait_until(lambda: operated.platform.stored(login) == 1, "the message")
    up = operated.platform.up
    assert up is not None
    assert "the broker keeps its current certificate" in up.log()


def test_status_and_metrics_show_the_days_left(private: Place) -> None:
    found = private.platform.cli("status", "--json").json()["certificates"]
    assert found["ca"] == {"days_left": 3649, "level": "ok"}
    assert found["server"]["level"] == "ok"
    with urllib.request.urlopen(
        f"http://127.0.0.1:{private.platform.ports['http_port']}/metrics", timeout=20
    ) as answer:
        text = answer.read().decode()
    assert 'mooring_certificate_days_left{certificate="ca"} 3649.0' in text
    assert "mooring_certificate_problems 0.0" in text
    assert 'mooring_device_certificates{level="ok"}' in text


# ------------------------------------------------------------------ leaving the CA


def test_a_rollover_leaves_nobody_behind(tmp_path: Path) -> None:
    with private_place(tmp_path) as private:
        roll_over(private)


def roll_over(private: Place) -> None:
    early = private.platform.add("early", "mooring")
    late = private.platform.add("late", "mooring")
    folder = private.give(early)
    old_trust = private.folder / "old-ca.crt"
    old_trust.write_bytes((private.platform.data_dir / "pki" / "ca.crt").read_bytes())

    before = private.shown()
    private.platform.cli("cert", "rollover", "start")
    wait_until(lambda: private.shown() != before, "the certificate of the new CA")
    for cafile in (old_trust, private.server_trust):  # who knows one CA or both gets in
        tail = ["-i", early.client_id, "-t", early.topics["telemetry"], "-q", "1", "-m", READING]
        words = private.words(folder, cafile=cafile)
        assert run("mosquitto_pub", *words, *tail).returncode == 0

    def status() -> Any:
        return private.platform.cli("cert", "rollover", "status", "--json").json()

    new_ca = (private.platform.data_dir / "pki" / "ca.crt").read_bytes()
    der = load_pem_x509_certificate(new_ca).public_bytes(serialization.Encoding.DER)
    fingerprint = hashlib.sha256(der).hexdigest()
    assert (status()["fleet"], status()["on_new"]) == (2, 0)
    for login in (early, late):
        client = private.platform.connect(login)
        body = json.dumps({"online": True, "meta": {"ca": fingerprint.upper()}})
        client.publish(login.topics["status"], body.encode(), qos=1)
    seen = "SELECT count(*) FROM sightings WHERE authority = ?"
    wait_until(lambda: private.platform.rows(seen, fingerprint) == [(2,)], "both to be seen")
    found = status()
    assert found["on_new"] == 2
    assert found["waiting"] == [early.username]  # its certificate is the old CA's
    refused = private.platform.cli("cert", "rollover", "finish", "--yes", "--json", expect=4)
    assert json.loads(refused.stderr)["error"]["code"] == "rollover_not_ready"

    private.platform.cli("cert", "renew", early.reference, "--out", folder)
    private.platform.cli("cert", "rollover", "finish", "--yes")

    def accepted(cafile: Path) -> bool:
        words = private.words(folder, cafile=cafile)
        return run("mosquitto_pub", *words, *tail).returncode == 0

    wait_until(lambda: not accepted(old_trust), "the old CA to be given up")
    assert accepted(private.server_trust)
    assert not (private.platform.data_dir / "pki" / "ca-old.key").exists()


# ------------------------------------------------------------------ why a device cannot connect

# What a password file cannot know, and what is the same with every authority is tried with the
# plugin (test_device_why.py) and with Dynamic Security (tests/attacks).
TOLD = (
    "never_reached",
    "limited",
    "wrong_password",
    "no_password",
    "certificate_revoked",
    "tls_failed",
)


@pytest.mark.parametrize("situation", TOLD)
def test_a_password_file_says_what_it_can_of_a_device(operated: Place, situation: str) -> None:
    whys = Whys(operated.platform, operated.folder, operated.port, operated.server_trust)
    SITUATIONS[situation](whys, table()[situation]["password_file"])
    whys.end()
