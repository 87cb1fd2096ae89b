"""A thermometer: readings, an alert, a command, settings and firmware updates.

It is set up by environment variables (MQTT_BROKER, MQTT_USERNAME, MQTT_PASSWORD, ...);
`docs/reference/device-sdk.md` lists them. INTERVAL sets the seconds between two readings.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from mooring_device import Device, Firmware

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

device = Device.from_env(firmware="1.0.0")
interval = float(os.environ.get("INTERVAL", "10"))
limit = 60.0
stopping = threading.Event()


def temperature() -> float:
    """The processor's temperature in degrees Celsius; 21 where there is no sensor."""
    sensor = Path("/sys/class/thermal/thermal_zone0/temp")
    return int(sensor.read_text()) / 1000 if sensor.exists() else 21.0


@device.command("read")
def read_now() -> dict[str, float]:
    return {"temperature": temperature()}


@device.command("set_limit")
def set_limit(args: dict[str, Any]) -> dict[str, float]:
    global limit  # noqa: PLW0603  the one setting of a small program
    limit = float(args["limit"])
    return {"limit": limit}


@device.on_config
def configure(config: dict[str, Any]) -> None:
    global interval  # noqa: PLW0603  as above
    interval = max(0.01, float(config.get("interval", interval)))


@device.on_firmware
def install(update: Firmware) -> None:
    # A real device writes the image to its other slot here, and restarts.
    Path(f"firmware-{update.version}.bin").write_bytes(update.path.read_bytes())


def measure() -> None:
    hot = False
    while not stopping.wait(interval):
        now = temperature()
        device.publish({"temperature": now})
        if (now > limit) != hot:
            hot = now > limit
            channel = "alert" if hot else "alert_cleared"
            device.publish({"alert": "too_hot", "values": {"temperature": now}}, channel=channel)


if __name__ == "__main__":
    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    device.run_forever()
    stopping.set()
