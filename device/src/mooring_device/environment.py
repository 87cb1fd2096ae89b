"""The device's settings from environment variables.

========================  ============================================  =====================
variable                  meaning                                       default
========================  ============================================  =====================
``MQTT_BROKER``           host name of the broker                       ``localhost``
``MQTT_BROKER_PORT``      its port                                      1883, with TLS 8883
``MQTT_USE_TLS``          encrypt                                       ``false``
``MQTT_TLS_INSECURE``     do not verify the broker; warns every time    ``false``
``MQTT_CA_CERTS``         file with the CAs to trust                    the system's
``MQTT_CERTFILE``         the device's certificate, for mutual TLS      none
``MQTT_KEYFILE``          its key                                       none
``MQTT_USERNAME``         username                                      none
``MQTT_PASSWORD``         password                                      none
``MQTT_CLIENT_ID``        client id                                     made once, then kept
``MQTT_DEVICE``           the device's id                               client id or username
``MQTT_TENANT``           its tenant                                    ``default``
``MQTT_TOPICS``           JSON object, kind → topic                     the native dialect's
``MOORING_URL``           the platform's HTTP address                   none
``MOORING_KEY_FILE``      private key, for tokens instead of a password none
``MOORING_AUDIENCE``      the installation's name in tokens             none
``MOORING_FIRMWARE_KEYS`` public keys whose firmware is accepted       none
``MOORING_HARDWARE``      name of the hardware, compared with firmware none
``MOORING_PLAIN_HTTP``    passwords to ``http://`` on other machines    ``false``
========================  ============================================  =====================

An empty variable counts as not set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from mooring_device.credentials import NATIVE, Credentials, Tls, native_topics
from mooring_device.device_key import DeviceKey
from mooring_device.errors import InvalidSetting
from mooring_device.policy import FirmwarePolicy

__all__ = ["VARIABLES", "credentials_from", "key_from", "plain_http_from", "policy_from"]

VARIABLES = (
    "MQTT_BROKER",
    "MQTT_BROKER_PORT",
    "MQTT_USE_TLS",
    "MQTT_TLS_INSECURE",
    "MQTT_CA_CERTS",
    "MQTT_CERTFILE",
    "MQTT_KEYFILE",
    "MQTT_USERNAME",
    "MQTT_PASSWORD",
    "MQTT_CLIENT_ID",
    "MQTT_DEVICE",
    "MQTT_TENANT",
    "MQTT_TOPICS",
    "MOORING_URL",
    "MOORING_KEY_FILE",
    "MOORING_AUDIENCE",
    "MOORING_FIRMWARE_KEYS",
    "MOORING_HARDWARE",
    "MOORING_PLAIN_HTTP",
)

_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "")


def _flag(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "").strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidSetting(f"{name} is {value!r}, which is neither true nor false.")


def _port(environment: Mapping[str, str], default: int) -> int:
    value = environment.get("MQTT_BROKER_PORT", "").strip()
    if not value:
        return default
    try:
        return int(value)
    except ValueError as exc:
        raise InvalidSetting(f"MQTT_BROKER_PORT is {value!r}, which is not a number.") from exc


def _topics(environment: Mapping[str, str]) -> dict[str, str] | None:
    value = environment.get("MQTT_TOPICS", "").strip()
    if not value:
        return None
    try:
        topics = json.loads(value)
    except ValueError as exc:
        raise InvalidSetting(f"MQTT_TOPICS is not JSON: {exc}.") from exc
    if not isinstance(topics, dict) or not all(isinstance(t, str) for t in topics.values()):
        raise InvalidSetting('MQTT_TOPICS is not an object like {"telemetry": "device/data/7"}.')
    return topics


def plain_http_from(environment: Mapping[str, str]) -> bool:
    """Whether passwords may be sent to http:// on other machines.

    Raises:
        InvalidSetting: the variable is neither true nor false.
    """
    return _flag(environment, "MOORING_PLAIN_HTTP")


def key_from(environment: Mapping[str, str]) -> DeviceKey | None:
    """The key that the environment names, if any.

    Raises:
        InvalidSetting: it cannot be used, or its audience is not set.
    """
    file = environment.get("MOORING_KEY_FILE", "").strip()
    if not file:
        return None
    return DeviceKey(file, environment.get("MOORING_AUDIENCE", "").strip())


def policy_from(environment: Mapping[str, str]) -> FirmwarePolicy:
    """Which firmware is accepted: none without keys.

    Raises:
        InvalidSetting: the file cannot be read, or has no keys.
    """
    file = environment.get("MOORING_FIRMWARE_KEYS", "").strip()
    hardware = environment.get("MOORING_HARDWARE", "").strip()
    if not file:
        return FirmwarePolicy(hardware=hardware)
    try:
        text = Path(file).read_text(encoding="ascii")
    except (OSError, ValueError) as exc:
        raise InvalidSetting(f"MOORING_FIRMWARE_KEYS: {file} cannot be read: {exc}.") from exc
    return FirmwarePolicy(keys=(text,), hardware=hardware)


def credentials_from(
    environment: Mapping[str, str],
    *,
    topics: Mapping[str, str] | None = None,
    made_client_id: str = "",
) -> Credentials:
    """The credentials that the environment describes.

    Args:
        environment: usually ``os.environ``.
        topics: kind → topic; before ``MQTT_TOPICS``.
        made_client_id: used when ``MQTT_CLIENT_ID`` is not set; it must be the same at
            every start, or the broker cannot keep the session.

    Raises:
        InvalidSetting: a variable cannot be used; the message names it.
    """
    get = {name: environment.get(name, "").strip() for name in VARIABLES}.__getitem__
    use_tls = _flag(environment, "MQTT_USE_TLS")
    insecure = _flag(environment, "MQTT_TLS_INSECURE")
    if bool(get("MQTT_CERTFILE")) != bool(get("MQTT_KEYFILE")):
        raise InvalidSetting("MQTT_CERTFILE and MQTT_KEYFILE must be set together.")
    tls = Tls(
        insecure=insecure,
        ca_file=get("MQTT_CA_CERTS"),
        cert_file=get("MQTT_CERTFILE"),
        key_file=get("MQTT_KEYFILE"),
    )
    client_id = get("MQTT_CLIENT_ID") or made_client_id
    device = get("MQTT_DEVICE") or get("MQTT_CLIENT_ID") or get("MQTT_USERNAME") or client_id
    tenant = get("MQTT_TENANT") or "default"
    given = dict(topics) if topics is not None else _topics(environment)
    return Credentials(
        device=device,
        tenant=tenant,
        dialect=NATIVE if given is None else "",
        host=get("MQTT_BROKER") or "localhost",
        port=_port(environment, 8883 if use_tls else 1883),
        tls=tls if use_tls else None,
        username=get("MQTT_USERNAME") or None,
        password=environment.get("MQTT_PASSWORD") or None,
        client_id=client_id,
        topics=native_topics(tenant, device) if given is None else given,
        http_url=get("MOORING_URL").rstrip("/"),
    )
