"""Our certificates on a real Mosquitto: handshakes, refusals, revocation, rollover."""

from __future__ import annotations

import asyncio
import shlex
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from mooring.broker.reload import by_pid, with_valid_tls
from mooring.errors import BrokerUnavailable, Conflict
from mooring.pki.authority import CertificateAuthority, common_name, make_ca
from mooring.pki.bundle import DeviceBundle
from mooring.pki.describe import describe
from mooring.pki.files import PkiFiles
from mooring.pki.issue import issue_device, issue_server
from mooring.pki.keys import key_pem, make_key
from mooring.pki.model import KeyType
from tests.integration.pki.lab import DEVICE, HOST, OK, PASSWORD, Lab
from tests.support.mqtt import MqttClient
from tests.support.waiting import wait_until
from tests.unit.pki.making import pem, serial

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
REVOKED = "SSLV3_ALERT_CERTIFICATE_REVOKED"
UNKNOWN_CA = "TLSV1_ALERT_UNKNOWN_CA"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path) as lab:
        yield lab


def authority(lab: Lab) -> CertificateAuthority:
    ca = PkiFiles(lab.directory).authority()
    assert ca is not None
    return ca


# ---------------------------------------------------------------- the server


@pytest.mark.parametrize("key_type", list(KeyType))
def test_tls_1_2_and_1_3_and_nothing_older(tmp_path: Path, key_type: KeyType) -> None:
    with Lab(tmp_path, key_type) as lab:
        for version, name in ((V12, "TLSv1.2"), (V13, "TLSv1.3")):
            attempt = lab.attempt(lab.context(version=version))
            assert (attempt.result, attempt.version) == (OK, name)
        with pytest.warns(DeprecationWarning):
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                refused = lab.attempt(lab.context(version=version))
                assert refused.result == "TLSV1_ALERT_PROTOCOL_VERSION"


@pytest.mark.parametrize("key_type", list(KeyType))
def test_tls_1_2_takes_no_cipher_in_cbc_mode_or_with_sha_1(
    tmp_path: Path, key_type: KeyType
) -> None:
    with Lab(tmp_path, key_type) as lab:
        for names, accepted in (("ECDHE+AESGCM", True), ("AES+SHA:AES+SHA256:AES+SHA384", False)):
            context = lab.context(version=V12)
            context.set_ciphers(f"{names}:!AESGCM:@SECLEVEL=0" if not accepted else names)
            assert (lab.attempt(context).result == OK) is accepted, names


def test_passwords_over_tls(lab: Lab) -> None:
    context = lab.context()
    assert lab.attempt(context).result == OK
    assert lab.attempt(context, login=(DEVICE, "wrong")).result == "20020005"
    assert lab.attempt(context, login=None).result == "20020005"


def test_every_name_in_the_certificate_is_taken_and_no_other(lab: Lab) -> None:
    context = lab.context()
    for host in ("localhost", "127.0.0.1", "::1"):
        assert lab.attempt(context, host=host).result == OK
    result = lab.attempt(context, host="mqtt.example.org").result
    assert result == "Hostname mismatch, certificate is not valid for 'mqtt.example.org'."
    assert "IP address mismatch" in lab.attempt(context, host="192.0.2.1").result


def expired(ca: CertificateAuthority, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    then = datetime.now(UTC) - timedelta(days=50)
    return issue_server(ca, [HOST], key, now=then, serial=serial(), days=10)


def of_tomorrow(ca: CertificateAuthority, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    then = datetime.now(UTC) + timedelta(days=1)
    return issue_server(ca, [HOST], key, now=then, serial=serial())


def of_a_client(ca: CertificateAuthority, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    return issue_device(ca, HOST, key, now=datetime.now(UTC), serial=serial())


def of_another_ca(_: CertificateAuthority, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    now = datetime.now(UTC)
    other = make_ca("Other CA", now=now, serial=serial())
    return issue_server(other, [HOST], key, now=now, serial=serial())


@pytest.mark.parametrize(
    ("make", "client_says", "we_say"),
    [
        (expired, "certificate has expired", "expired"),
        (of_tomorrow, "certificate is not yet valid", "not_yet_valid"),
        (of_another_ca, "unable to get local issuer certificate", "wrong_ca"),
        (of_a_client, "unsuitable certificate purpose", "wrong_purpose"),
    ],
)
def test_a_wrong_server_certificate_is_seen_by_clients_and_named_by_us_before(
    lab: Lab,
    make: Callable[[CertificateAuthority, ec.EllipticCurvePublicKey], x509.Certificate],
    client_says: str,
    we_say: str,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    paths = lab.pki.paths
    paths.server_cert.write_bytes(pem(make(authority(lab), key.public_key())))
    paths.server_key.write_bytes(key_pem(key))
    assert we_say in [problem.code for problem in lab.pki.check()]
    lab.reload()
    assert lab.attempt(lab.context()).result == client_says
    assert set(lab.pki.init().changed) == {"server.crt"}
    assert lab.pki.check() == []
    lab.reload()
    assert lab.attempt(lab.context()).result == OK


def test_a_self_signed_server_certificate(lab: Lab) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(common_name(HOST), common_name(HOST), key.public_key(), serial())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    lab.pki.paths.server_cert.write_bytes(pem(certificate))
    lab.pki.paths.server_key.write_bytes(key_pem(key))
    assert [problem.code for problem in lab.pki.check()] == ["wrong_ca"]
    lab.reload()
    context = lab.context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    assert lab.attempt(context).result == "self-signed certificate"


def test_renewal_needs_no_restart_and_ends_no_session(lab: Lab) -> None:
    def shown() -> str:
        text = ssl.get_server_certificate(("127.0.0.1", lab.port))
        return describe(x509.load_pem_x509_certificate(text.encode())).serial

    with MqttClient(
        lab.port, host=HOST, username=DEVICE, password=PASSWORD, tls=lab.context()
    ) as client:
        client.subscribe(f"devices/{DEVICE}/#")
        pid, before = lab.broker.pid, shown()
        settled = lab.pki.server(new_key=True)
        assert lab.pki.check() == []
        assert shown() == before
        lab.reload()
        assert shown() == settled.server.serial != before
        assert lab.broker.pid == pid
        client.publish(f"devices/{DEVICE}/t", b"still here", qos=1)
        assert client.collect()[0].payload == b"still here"


def test_files_that_are_broken_at_a_reload_do_not_end_the_broker(lab: Lab) -> None:
    paths = lab.pki.paths
    paths.server_key.write_bytes(key_pem(make_key(KeyType.EC_P256)))
    assert [problem.code for problem in lab.pki.check()] == ["key_mismatch"]
    reload = with_valid_tls(by_pid(lambda: lab.broker.pid), lab.broker.config)
    with pytest.raises(BrokerUnavailable) as caught:  # the signal alone would end 2.1
        asyncio.run(reload())
    assert caught.value.slug == "tls_files_broken"
    assert lab.broker.running
    assert lab.attempt(lab.context()).result == OK  # it keeps what it has read
    assert lab.attempt_certificate(lab.pki.device(DEVICE)) == OK
    lab.pki.init()
    lab.reload()
    assert lab.attempt_certificate(lab.pki.device(DEVICE)) == OK


# ---------------------------------------------------------------- devices


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_certificate_is_a_login(lab: Lab, version: ssl.TLSVersion, key_type: KeyType) -> None:
    device = lab.pki.device(DEVICE, key_type=key_type)
    assert lab.attempt_certificate(device, version=version) == OK
    assert f"u'{DEVICE}'" in lab.broker.log()


def test_certificate_and_password_lead_to_the_same_rights(lab: Lab) -> None:
    mine, other = (lab.context(lab.pki.device(name)) for name in (DEVICE, "acme-2"))
    with (
        MqttClient(lab.mtls_port, host=HOST, tls=mine) as by_certificate,
        MqttClient(lab.mtls_port, host=HOST, tls=other) as neighbour,
        MqttClient(
            lab.port, host=HOST, username=DEVICE, password=PASSWORD, tls=lab.context()
        ) as by_password,
    ):
        by_password.subscribe(f"devices/{DEVICE}/#")
        neighbour.subscribe("devices/acme-2/#")
        for sender in (by_certificate, by_password):
            sender.publish("devices/acme-2/t", b"not mine", qos=1)
            sender.publish(f"devices/{DEVICE}/t", b"mine", qos=1)
        neighbour.publish("devices/acme-2/t", b"its own", qos=1)
        assert [each.payload for each in by_password.collect(2)] == [b"mine", b"mine"]
        assert neighbour.collect()[0].payload == b"its own"


def device_of(ca: CertificateAuthority, now: datetime, days: int = 10) -> DeviceBundle:
    key = make_key(KeyType.EC_P256)
    certificate = issue_device(ca, DEVICE, key.public_key(), now=now, serial=serial(), days=days)
    return DeviceBundle(describe(certificate), pem(certificate), ca.certificate_pem, key)


@pytest.mark.parametrize("version", [V12, V13])
def test_who_does_not_get_in(lab: Lab, version: ssl.TLSVersion) -> None:
    now = datetime.now(UTC)
    ca = authority(lab)
    same_name = make_ca(ca.info.subject, now=now, serial=serial())
    server_key = make_key(KeyType.EC_P256)
    server = issue_server(ca, [HOST], server_key.public_key(), now=now, serial=serial())
    refused = {
        "none": None,
        "other CA": device_of(make_ca("Other CA", now=now, serial=serial()), now),
        "same name, other key": device_of(same_name, now),
        "expired": device_of(ca, now - timedelta(days=50)),
        "of tomorrow": device_of(ca, now + timedelta(days=1)),
        "the server's": DeviceBundle(describe(server), pem(server), b"", server_key),
        "the CA's": DeviceBundle(ca.info, ca.certificate_pem, b"", ca.key),
    }
    results = {
        what: lab.attempt_certificate(bundle, version=version) for what, bundle in refused.items()
    }
    assert results == {
        "none": "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        if version is V13
        else "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "other CA": UNKNOWN_CA,
        "same name, other key": UNKNOWN_CA,
        "expired": "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "of tomorrow": "SSLV3_ALERT_BAD_CERTIFICATE",
        "the server's": "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "the CA's": "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    }
    assert lab.attempt_certificate(device_of(ca, now), version=version) == OK


# ---------------------------------------------------------------- revocation


@pytest.mark.parametrize("version", [V12, V13])
def test_a_revoked_device_is_refused_after_the_reload(lab: Lab, version: ssl.TLSVersion) -> None:
    lost, kept = lab.pki.device(DEVICE), lab.pki.device("acme-2")
    context = lab.context(lost, version=version)
    first = lab.attempt(context, port=lab.mtls_port, login=None)
    resumed = lab.attempt(context, port=lab.mtls_port, login=None, session=first.session)
    assert (first.result, resumed.result, resumed.resumed) == (OK, OK, True)

    result = lab.pki.revoke(username=DEVICE)
    assert result.changed == ("crl.pem",)
    assert lab.pki.check() == []
    assert lab.attempt_certificate(lost, version=version) == OK  # not before the reload
    lab.reload()
    assert lab.attempt_certificate(lost, version=version) == REVOKED
    # A remembered TLS session is no way around the list.
    again = lab.attempt(context, port=lab.mtls_port, login=None, session=resumed.session)
    assert again.result == REVOKED
    assert lab.attempt_certificate(kept, version=version) == OK
    assert lab.attempt_certificate(lab.pki.device(DEVICE), version=version) == OK


def test_two_revocations_in_one_second_both_count(lab: Lab) -> None:
    one, two = lab.pki.device("one"), lab.pki.device("two")
    lab.pki.revoke(username="one")
    lab.reload()
    lab.pki.revoke(username="two")
    lab.reload()
    assert [lab.attempt_certificate(each) for each in (one, two)] == [REVOKED, REVOKED]


def test_a_live_session_outlives_the_list_so_it_must_be_ended(lab: Lab) -> None:
    device = lab.pki.device(DEVICE)
    with MqttClient(lab.mtls_port, host=HOST, tls=lab.context(device)) as client:
        client.subscribe(f"devices/{DEVICE}/#")
        result = lab.pki.revoke(username=DEVICE)
        lab.reload()
        assert lab.attempt_certificate(device) == REVOKED
        client.publish(f"devices/{DEVICE}/t", b"still in", qos=1)
        assert client.collect()[0].payload == b"still in"
    assert result.usernames == (DEVICE,)  # whom the caller has to kick


def test_a_damaged_list_is_named_before_it_lets_the_revoked_in(lab: Lab) -> None:
    device = lab.pki.device(DEVICE)
    lab.pki.revoke(username=DEVICE)
    lab.reload()
    lab.pki.paths.crl.write_bytes(lab.pki.paths.crl.read_bytes()[:200])
    assert [problem.fatal for problem in lab.pki.check()] == [True]
    assert lab.pki.init().changed == ("crl.pem",)
    lab.reload()
    assert lab.attempt_certificate(device) == REVOKED


# ---------------------------------------------------------------- rollover


def test_a_rollover_loses_nobody_on_the_way(lab: Lab) -> None:
    old_ca = lab.pki.paths.ca.read_bytes()
    early, lost = lab.pki.device(DEVICE), lab.pki.device("lost")
    lab.pki.revoke(username="lost")
    lab.reload()

    lab.pki.rollover_start()
    assert lab.pki.check() == []
    lab.reload()
    new_ca = lab.pki.paths.ca.read_bytes()
    late, late_lost = lab.pki.renew(DEVICE), lab.pki.device("late lost")
    late = DeviceBundle(late.info, late.certificate, late.trust, early.key)
    for version in (V12, V13):
        for trust in (old_ca, new_ca, old_ca + new_ca):
            assert lab.attempt(lab.context(trust=trust, version=version)).result == OK
            for device in (early, late):
                assert lab.attempt_certificate(device, trust=trust, version=version) == OK
            assert lab.attempt_certificate(lost, trust=trust, version=version) == REVOKED
    lab.pki.revoke(username="late lost")
    lab.reload()
    assert lab.attempt_certificate(late_lost) == REVOKED
    assert lab.attempt_certificate(lost) == REVOKED

    with pytest.raises(Conflict):
        lab.pki.rollover_finish([DEVICE])
    assert lab.pki.seen(DEVICE, describe(x509.load_pem_x509_certificate(new_ca)).fingerprint)
    with MqttClient(lab.mtls_port, host=HOST, tls=lab.context(late)) as client:
        client.subscribe(f"devices/{DEVICE}/#")
        lab.pki.rollover_finish([DEVICE])
        lab.reload()
        client.publish(f"devices/{DEVICE}/t", b"through", qos=1)
        assert client.collect()[0].payload == b"through"
    assert lab.attempt(lab.context(trust=new_ca)).result == OK
    assert lab.attempt_certificate(late, trust=new_ca) == OK
    assert lab.attempt_certificate(late_lost, trust=new_ca) == REVOKED
    assert lab.attempt_certificate(early, trust=new_ca) == UNKNOWN_CA
    assert lab.attempt(lab.context(trust=old_ca)).result == (
        "unable to get local issuer certificate"
    )


# ---------------------------------------------------------------- other people's tools


def run(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        arguments, input=stdin, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout + done.stderr


def filled_in(line: str, folder: Path, topic: str, client_id: str) -> list[str]:
    words = {
        "CLIENT_ID": client_id,
        "USERNAME": DEVICE,
        "PASSWORD": PASSWORD,
        "TOPIC": topic,
        "MESSAGE": "Hello TLS",
        "device.crt": str(folder / "device.crt"),
        "device.key": str(folder / "device.key"),
    }
    return [words.get(word, word) for word in shlex.split(line)]


def test_the_lines_that_show_prints_work(lab: Lab, tmp_path: Path) -> None:
    for name, data in lab.pki.device(DEVICE).pem_files().items():
        (tmp_path / name).write_bytes(data)
    lines = lab.pki.show(port=lab.port, mtls_port=lab.mtls_port).lines
    topic = f"devices/{DEVICE}/hello"
    for subscribe, publish in (
        (lines.subscribe, lines.publish_certificate),
        (lines.subscribe_certificate, lines.publish),
    ):
        command = [*filled_in(subscribe, tmp_path, topic, "listening"), "-C", "1", "-W", "20"]
        before = lab.broker.log().count(topic)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:

            def subscribed(before: int = before) -> bool:
                return lab.broker.log().count(topic) > before

            wait_until(subscribed, "the subscription in the broker's log")
            run(*filled_in(publish, tmp_path, topic, "sending"))
            output, _ = listener.communicate(timeout=30)
        assert output == f"{topic} Hello TLS\n"


def test_openssl_agrees(lab: Lab, tmp_path: Path) -> None:
    device = lab.pki.device(DEVICE)
    (tmp_path / "device.crt").write_bytes(device.certificate)
    (tmp_path / "device.p12").write_bytes(device.pkcs12("secret"))
    paths = lab.pki.paths

    def verify(certificate: Path, purpose: str) -> str:
        return run(
            "openssl", "verify", "-x509_strict", "-crl_check", "-purpose", purpose,
            "-CAfile", str(paths.trust), "-CRLfile", str(paths.crl), str(certificate),
        )  # fmt: skip

    assert verify(paths.server_cert, "sslserver").endswith(": OK\n")
    assert verify(tmp_path / "device.crt", "sslclient").endswith(": OK\n")
    opened = run(
        "openssl", "pkcs12", "-in", str(tmp_path / "device.p12"), "-nodes", "-passin", "stdin",
        stdin="secret\n",
    )  # fmt: skip
    assert opened.count("BEGIN CERTIFICATE") == 2
    assert "BEGIN PRIVATE KEY" in opened
    shown = run(
        "openssl", "s_client", "-connect", f"127.0.0.1:{lab.port}", "-servername", HOST,
        "-verify_return_error", "-verify_hostname", HOST, "-CAfile", str(paths.ca),
    )  # fmt: skip
    assert "Verify return code: 0 (ok)" in shown
    assert "TLSv1.3" in shown


def test_a_request_made_by_openssl(lab: Lab, tmp_path: Path) -> None:
    key, request = tmp_path / "device.key", tmp_path / "device.csr"
    run(
        "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", str(key), "-out", str(request), "-subj", "/CN=acme-2",
    )  # fmt: skip
    bundle = lab.pki.sign(request.read_bytes(), DEVICE)
    (tmp_path / "device.crt").write_bytes(bundle.certificate)
    context = lab.context()
    context.load_cert_chain(tmp_path / "device.crt", key)
    assert lab.attempt(context, port=lab.mtls_port, login=None).result == OK
    assert f"u'{DEVICE}'" in lab.broker.log()
    assert "acme-2" not in lab.broker.log()
