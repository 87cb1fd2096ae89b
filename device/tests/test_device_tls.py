"""TLS for real: handshakes on loopback with every kind of bad certificate, and resumption."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from device_certificates import DAY, NOW, Pair, make
from device_servers import QUICK, Mosquitto, credentials, free_port, until
from mooring_device import Credentials, Device, InvalidSetting, Tls
from mooring_device.errors import ConnectFailed
from mooring_device.link import Link, Waker
from mooring_device.tls import Contexts, build_context, gather_facts, trusted, validity
from mooring_device.words import Facts, explain_connect_error, explain_tls_alert, explain_tls_error


@contextmanager
def tls_server(folder: Path, pair: Pair, *chain: Pair) -> Iterator[int]:
    """A TLS server that takes connections until the test is over."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair.write(folder, "server", *chain))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(raw, server_side=True).close()
            except OSError:
                raw.close()  # the client did not like the certificate: that is the test

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def failure(port: int, tls: Tls, host: str = "127.0.0.1") -> ssl.SSLError:
    context = build_context(tls)
    with socket.create_connection(("127.0.0.1", port)) as raw, pytest.raises(ssl.SSLError) as found:
        context.wrap_socket(raw, server_hostname=host)
    return found.value


CA = make("The test CA", ca=True)
OTHER_CA = make("Another CA", ca=True)
TRUST = Tls(ca_pem=CA.pem)
NINETEEN_SEVENTY = 86_400.0


@dataclass(frozen=True)
class Case:
    """One way in which a handshake fails, and what is to be told."""

    id: str
    pair: Pair
    words: str
    deed: str
    host: str = "127.0.0.1"
    now: float = NOW.timestamp()


CASES = [
    Case(
        "expired",
        make("s", CA, begins=NOW - 9 * DAY, ends=NOW - DAY),
        f"expired on {NOW - DAY:%Y-%m-%d %H:%M} UTC",
        "mooring cert renew",
    ),
    Case(
        "future",
        make("s", CA, begins=NOW + DAY),
        f"not valid before {NOW + DAY:%Y-%m-%d %H:%M} UTC",
        "whichever of the two clocks is wrong",
    ),
    Case(
        "clock in 1970",
        make("s", CA, begins=NOW + DAY),
        "clock is wrong: it shows 1970-01-02",
        "start NTP",
        now=NINETEEN_SEVENTY,
    ),
    Case("self-signed", make("s"), "is self-signed", "MQTT_CA_CERTS"),
    Case("unknown CA", make("s", OTHER_CA), "a CA that this device does not know", "claim"),
    Case("wrong address", make("s", CA), "made for another host", "10.9.8.7", host="10.9.8.7"),
    Case(
        "wrong name",
        make("s", CA, host="broker.example"),
        "made for another host",
        "b.example",
        host="b.example",
    ),
    Case("purpose", make("s", CA, client=True), "not one for servers", "server certificate"),
]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_each_failure_has_its_own_words(tmp_path: Path, case: Case) -> None:
    with tls_server(tmp_path, case.pair) as port:
        error = failure(port, TRUST, case.host)
        facts = gather_facts("127.0.0.1", port, TRUST.trusts, error)
    told = explain_tls_error(error, replace(facts, host=case.host, now=case.now))
    assert case.words in told
    assert case.deed in told
    assert "CERTIFICATE_VERIFY_FAILED" not in told
    assert told.endswith(".")


def test_a_chain_up_to_a_ca_of_its_own_is_an_unknown_ca(tmp_path: Path) -> None:
    with tls_server(tmp_path, make("s", OTHER_CA), OTHER_CA) as port:
        error = failure(port, TRUST)
    assert "a CA that this device does not know" in explain_tls_error(error, Facts("h", 1, 2e9))


def test_all_words_differ() -> None:
    facts = Facts("h", 1, 2e9)

    def told(code: int) -> str:
        error = ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED")
        error.verify_code, error.verify_message = code, "some words of OpenSSL"
        return explain_tls_error(error, facts)

    codes = (9, 10, 18, 20, 23, 24, 26, 62)
    assert len({told(code) for code in codes}) == len(codes)
    assert told(19) == told(2) == told(21) == told(20)
    assert told(64) == told(62)
    assert "some words of OpenSSL" in told(999)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "not with TLS"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED]", "wants a certificate from the device"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED]", "device's certificate as expired"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED]", "as revoked"),
        ("[SSL: TLSV1_ALERT_UNKNOWN_CA]", "the CA that signed this device's certificate"),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION]", "no version of TLS"),
        ("EOF occurred in violation of protocol", "closed the connection during"),
        ("The handshake operation timed out", "in time"),
        ("[SSL: SOMETHING_NEW]", "SOMETHING_NEW"),
    ],
)
def test_what_the_broker_refuses(reason: str, words: str) -> None:
    assert words in explain_tls_alert(reason, Facts("h", 1, 2e9))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (ConnectionRefusedError(111, "refused"), "Nothing listens on h:1"),
        (TimeoutError("timed out"), "did not answer in time"),
        (ConnectionResetError(104, "reset"), "ended the connection"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
    ],
)
def test_the_network_has_words_too(error: OSError, words: str) -> None:
    assert words in explain_connect_error(error, Facts("h", 1, 2e9, trusts=""))


def test_a_connection_that_ends_in_the_handshake() -> None:
    told = explain_connect_error(ConnectionResetError(104, "reset"), Facts("h", 1, 2e9))
    assert "during the TLS handshake" in told


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (dt.datetime(1999, 12, 31, 23, 59, 59), dt.datetime(2049, 12, 31)),
        (dt.datetime(2049, 1, 1), dt.datetime(2050, 1, 1)),  # UTCTime, then GeneralizedTime
        (dt.datetime(2051, 2, 3, 4, 5, 6), dt.datetime(2099, 1, 1)),
    ],
)
def test_the_dates_of_a_certificate_are_read(begins: dt.datetime, ends: dt.datetime) -> None:
    begins, ends = (t.replace(tzinfo=dt.timezone.utc) for t in (begins, ends))
    pair = make("s", CA, begins=begins, ends=ends)
    der = ssl.PEM_cert_to_DER_cert(pair.pem)
    assert validity(der) == (begins.timestamp(), ends.timestamp())
    assert validity(b"no certificate") is None


# ------------------------------------------------------------------ files


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    one, other = make("a", CA, client=True), make("b", CA, client=True)
    cert, key = one.write(tmp_path, "a")
    _, wrong_key = other.write(tmp_path, "b")
    (tmp_path / "none.pem").write_text("nothing")
    cases: list[tuple[Tls, str]] = [
        (Tls(ca_file="/not/there"), r"/not/there \(MQTT_CA_CERTS\) does not exist"),
        (Tls(ca_file=str(tmp_path / "none.pem")), "not a PEM file"),
        (Tls(ca_pem="nothing"), "not a PEM file"),
        (Tls(cert_file=cert, key_file=wrong_key), "do not belong together"),
        (Tls(cert_file=cert, key_file="/not/there"), "one is missing"),
        (Tls(cert_file=str(tmp_path / "none.pem"), key_file=key), "cannot be read"),
    ]
    for tls, words in cases:
        with pytest.raises(InvalidSetting, match=words):
            build_context(tls)


def test_a_context_is_made_anew_when_a_file_changes(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text(CA.pem)
    contexts, tls = Contexts(), Tls(ca_file=str(ca))
    first = contexts.get(tls)
    assert contexts.get(tls) is first
    ca.write_text(OTHER_CA.pem)
    os.utime(ca, (1e9, 1e9))
    assert contexts.get(tls) is not first


# ------------------------------------------------------------------ with Mosquitto


@pytest.fixture
def tls_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "tls-broker"
    folder.mkdir()
    cert, key = make("127.0.0.1", CA).write(folder, "server")
    (folder / "ca.crt").write_text(CA.pem)
    server = Mosquitto(
        folder,
        f"certfile {cert}",
        f"keyfile {key}",
        f"cafile {folder / 'ca.crt'}",
        "allow_anonymous true",
    )
    yield server
    server.stop()


def link_to(where: Credentials, contexts: Contexts) -> Link:
    assert where.tls is not None
    return Link(
        where,
        context=contexts.get(where.tls),
        will=None,
        waker=Waker(),
        keepalive=60,
        timeout=5.0,
    )


def test_the_second_connection_resumes_the_first(tls_broker: Mosquitto) -> None:
    where, contexts = credentials(tls_broker.port, tls=TRUST), Contexts()
    resumed = []
    for _ in range(3):
        link = link_to(where, contexts)
        link.open()
        resumed.append(link.resumed)
        link.close()
    assert resumed == [False, True, True]


def test_a_device_over_tls_and_what_a_wrong_ca_looks_like(
    tls_broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    where = credentials(tls_broker.port, tls=TRUST)
    with Device(where, store=tmp_path / "good", options=QUICK) as device:
        assert device.wait_connected(10)
    wrong = credentials(tls_broker.port, tls=Tls(ca_pem=OTHER_CA.pem))
    with Device(wrong, store=tmp_path / "wrong", options=QUICK) as device:
        device.publish({"x": 1})
        until(lambda: "does not know" in device.stats()["last_failure"], "the failure is told")
        assert device.queued == 1
    assert "CERTIFICATE_VERIFY_FAILED" not in caplog.text


def test_insecure_warns_at_every_connect(
    tls_broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    insecure = credentials(tls_broker.port, tls=Tls(insecure=True))
    with (
        caplog.at_level(logging.WARNING),
        Device(insecure, store=tmp_path / "s", options=QUICK) as device,
    ):
        assert device.wait_connected(10)
        tls_broker.kill()
        until(lambda: not device.connected, "the device sees the end")
        tls_broker.start()
        until(lambda: device.connected, "the device is back")
    warned = [r for r in caplog.records if "MQTT_TLS_INSECURE" in r.getMessage()]
    assert len(warned) >= 2


def test_a_broker_that_wants_a_certificate(tmp_path: Path) -> None:
    folder = tmp_path / "tls-broker"
    folder.mkdir()
    cert, key = make("127.0.0.1", CA).write(folder, "server")
    (folder / "ca.crt").write_text(CA.pem)
    server = Mosquitto(
        folder,
        f"certfile {cert}",
        f"keyfile {key}",
        f"cafile {folder / 'ca.crt'}",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
    )
    try:
        own, own_key = make("d1", CA, client=True).write(tmp_path, "d1")
        contexts = Contexts()
        with_one = Tls(ca_pem=CA.pem, cert_file=own, key_file=own_key)
        link = link_to(credentials(server.port, tls=with_one), contexts)
        link.open()
        link.close()
        with pytest.raises(ConnectFailed, match="wants a certificate from the device"):
            link_to(credentials(server.port, tls=TRUST), Contexts()).open()
        strange, strange_key = make("d1", OTHER_CA, client=True).write(tmp_path, "x")
        other = Tls(ca_pem=CA.pem, cert_file=strange, key_file=strange_key)
        with pytest.raises(ConnectFailed, match="does not accept the CA"):
            link_to(credentials(server.port, tls=other), Contexts()).open()
    finally:
        server.stop()


def test_tls_on_a_plain_port_and_the_other_way(broker: Mosquitto, tls_broker: Any) -> None:
    with pytest.raises(ConnectFailed, match=r"not with TLS|closed the connection during"):
        link_to(credentials(broker.port, tls=TRUST), Contexts()).open()
    plain = Link(
        credentials(tls_broker.port), context=None, will=None, waker=Waker(), keepalive=60,
        timeout=3.0,
    )  # fmt: skip
    with pytest.raises(ConnectFailed, match=r"did not answer as an MQTT broker|ended"):
        plain.open()
    nobody = Link(
        credentials(free_port()), context=None, will=None, waker=Waker(), keepalive=60, timeout=3.0
    )
    with pytest.raises(ConnectFailed, match="Nothing listens"):
        nobody.open()


def test_the_cas_it_was_given_are_told(tmp_path: Path) -> None:
    one, other = make("CA 1"), make("CA 2")
    each = [hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca.pem)).hexdigest() for ca in (one, other)]
    both = tmp_path / "trust.crt"
    both.write_text(one.pem + "a comment between them\n" + other.pem)
    assert trusted(Tls(ca_file=str(both))) == " ".join(each)
    assert trusted(Tls(ca_pem=one.pem)) == each[0]
    both.write_text(one.pem * 5)
    assert trusted(Tls(ca_file=str(both))) == ""
    for nothing in (None, Tls(), Tls(insecure=True, ca_pem=one.pem), Tls(ca_file="/not/there")):
        assert trusted(nothing) == ""
