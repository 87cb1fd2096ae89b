"""Lines to paste: how one device connects, with its real address, topics and password.

Pure: values in, text out. The example payload comes from the dialect, without its time and
sequence number where those may be left out, so that pasting a line twice stores two messages.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mooring.dialects.example import put, time_like
from mooring.dialects.model import (
    Channel,
    Dialect,
    Direction,
    Format,
    Identity,
    Kind,
    Path,
)
from mooring.dialects.payload import look_up

__all__ = ["BrokerAddress", "Login", "Snippets", "example_payload", "snippets"]

TEXT_EXAMPLE = "hello"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is for a device.

    Attributes:
        host: its name or address on this machine.
        port: plain MQTT, open on loopback only.
        tls_port: MQTT over TLS.
        ws_port: MQTT over WebSocket.
        cafile: the CA to trust; ``None`` for one that every system trusts.
        network_host: its name or address for devices elsewhere.
        ca_pem: the text of ``cafile``, for firmware that carries it inside.
    """

    host: str
    port: int
    tls_port: int
    ws_port: int
    cafile: str | None
    network_host: str
    ca_pem: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """What a device reports in CONNECT."""

    client_id: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snippets:
    """Ready to paste; ``publish`` is empty for a dialect without a channel up."""

    publish: str
    subscribe: str
    python: str
    esp32: str


def snippets(
    dialect: Dialect, identity: Identity, login: Login, address: BrokerAddress, now_ms: int
) -> Snippets:
    """All lines for one device."""
    up = _speaks_on(dialect, identity)
    downs = _listens_on(dialect, identity)
    payload = example_payload(up[0], identity, now_ms) if up else ""
    return Snippets(
        publish=_publish(login, address, up, payload, fixed=dialect.client_id_fixed),
        subscribe=_subscribe(login, address, downs),
        python=_python(login, address, up, payload, downs),
        esp32=_esp32(login, address, up, payload, downs),
    )


def example_payload(channel: Channel, identity: Identity, now_ms: int) -> str:
    """The channel's example as this device would send it now."""
    shape = channel.payload
    if not shape.example:
        return "{}" if shape.format is Format.JSON else TEXT_EXAMPLE
    try:
        body = json.loads(shape.example)
    except ValueError:
        return shape.example
    if not isinstance(body, dict):
        return shape.example
    for path in shape.time:
        if path in shape.required:
            put(body, path, time_like(now_ms, look_up(body, path), shape.time_format))
        else:
            _drop(body, path)
    if shape.sequence and shape.sequence not in shape.required:
        _drop(body, shape.sequence)
    if shape.device and look_up(body, shape.device) is not None:
        put(body, shape.device, identity.device)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


# ---------------------------------------------------------------------- which topics


def _speaks_on(dialect: Dialect, identity: Identity) -> tuple[Channel, str] | None:
    """The channel to try first: telemetry where there is one, never a Last Will."""
    found = [
        (channel, topic)
        for channel in dialect.channels
        if channel.direction is Direction.UP
        and channel.kind is not Kind.OFFLINE
        and not channel.operator_only
        and (topic := channel.address(identity, name="example"))
    ]
    return next((pair for pair in found if pair[0].kind is Kind.TELEMETRY), next(iter(found), None))


def _listens_on(dialect: Dialect, identity: Identity) -> list[tuple[str, int]]:
    found: dict[str, int] = {}
    for channel in dialect.downs():
        for topic in channel.addresses(identity):
            found.setdefault(topic, channel.qos)
    return list(found.items())


# ---------------------------------------------------------------------- the lines


def _tool(name: str, login: Login, address: BrokerAddress) -> list[str]:
    trust = ["--cafile", address.cafile] if address.cafile else ["--tls-use-os-certs"]
    return [
        name,
        *("-h", address.host, "-p", str(address.tls_port), *trust),
        *("-u", login.username, "-P", login.password),
    ]


def _publish(
    login: Login,
    address: BrokerAddress,
    up: tuple[Channel, str] | None,
    payload: str,
    *,
    fixed: bool,
) -> str:
    """
    Args:
        fixed: the broker accepts the device with its own client ID alone.
    """
    if up is None:
        return ""
    channel, topic = up
    words = _tool("mosquitto_pub", login, address)
    if fixed:  # otherwise any other one is accepted, and does not end the device's own session
        words += ["-i", login.client_id]
    words += ["-q", str(channel.qos), "-t", topic, "-m", payload]
    if channel.retain:
        words.append("-r")
    return shlex.join(words)


def _subscribe(login: Login, address: BrokerAddress, downs: Sequence[tuple[str, int]]) -> str:
    if not downs:
        return ""
    words = [*_tool("mosquitto_sub", login, address), "-i", login.client_id]
    words += ["-v", "-q", str(max(qos for _, qos in downs))]
    for topic, _ in downs:
        words += ["-t", topic]
    return shlex.join(words)


def _python(
    login: Login,
    address: BrokerAddress,
    up: tuple[Channel, str] | None,
    payload: str,
    downs: Sequence[tuple[str, int]],
) -> str:
    trust = repr(address.cafile) if address.cafile else ""
    lines = [
        "import paho.mqtt.client as mqtt",
        "",
        "",
        "def on_connect(client, userdata, flags, reason, properties):",
        "    print(reason)",
    ]
    if downs:
        lines.append(f"    client.subscribe({list(downs)!r})")
    if up is not None:
        channel, topic = up
        retain = ", retain=True" if channel.retain else ""
        lines.append(f"    client.publish({topic!r}, {payload!r}, qos={channel.qos}{retain})")
    lines += [
        "",
        "",
        f"client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id={login.client_id!r})",
        f"client.username_pw_set({login.username!r}, {login.password!r})",
        f"client.tls_set({trust})",
        "client.on_connect = on_connect",
        "client.on_message = lambda client, userdata, message: print(message.topic, "
        "message.payload)",
        f"client.connect({address.host!r}, {address.tls_port})",
        "client.loop_forever()",
    ]
    return "\n".join(lines)


def _esp32(
    login: Login,
    address: BrokerAddress,
    up: tuple[Channel, str] | None,
    payload: str,
    downs: Sequence[tuple[str, int]],
) -> str:
    """For PubSubClient, which sends QoS 0 only and subscribes with QoS 0 or 1."""
    lines = ["WiFiClientSecure net;", "PubSubClient mqtt(net);", ""]
    if address.ca_pem:
        lines.append(f'const char CA[] = R"pem({address.ca_pem.strip()}\n)pem";')
        lines.append("")
    lines.append("void connectMqtt() {")
    if address.ca_pem:
        lines.append("  net.setCACert(CA);")
    elif address.cafile:
        lines.append(f"  net.setCACert(CA);  // the text of {_comment(address.cafile)}")
    else:
        lines.append("  net.setCACert(CA);  // the root certificate of the broker's CA")
    lines.append(f"  mqtt.setServer({_c(address.network_host)}, {address.tls_port});")
    lines.append("  mqtt.setBufferSize(1024);")
    lines.append(
        f"  mqtt.connect({_c(login.client_id)}, {_c(login.username)}, {_c(login.password)});"
    )
    lines += [f"  mqtt.subscribe({_c(topic)}, {min(qos, 1)});" for topic, qos in downs]
    if up is not None:
        retain = ", true" if up[0].retain else ""
        lines.append(f"  mqtt.publish({_c(up[1])}, {_c(payload)}{retain});")
    lines.append("}")
    return "\n".join(lines)


def _c(text: str) -> str:
    """A C string literal. Other bytes than printable ASCII are octal: hexadecimal escapes
    have no fixed length and would swallow what follows."""
    return '"' + "".join(_c_byte(byte) for byte in text.encode()) + '"'


def _c_byte(byte: int) -> str:
    if byte in b'"\\?':  # a question mark could begin a trigraph
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def _comment(text: str) -> str:
    return text.replace("\n", " ").replace("\\", "/")


def _drop(body: dict[str, Any], path: Path) -> None:
    holder = look_up(body, path[:-1])
    if isinstance(holder, dict):
        holder.pop(path[-1], None)
