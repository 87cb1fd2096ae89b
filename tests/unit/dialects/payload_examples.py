"""Payloads as the fleets send them today, as data for every test that needs one.

Each names its dialect, the channel, and the topic it comes or goes by.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EXAMPLES", "SKETCH_EXAMPLES", "Example", "example"]


@dataclass(frozen=True, slots=True)
class Example:
    dialect: str
    channel: str
    topic: str
    payload: str

    def __str__(self) -> str:
        return f"{self.dialect}-{self.channel}"


EXAMPLES = (
    Example(
        "smarthome",
        "telemetry",
        "smarthome/1/ESP32_001/telemetry",
        """{
  "timestamp": "2026-02-13T12:00:00.000Z",
  "deviceId": "ESP32_001",
  "sensors": {
    "current": 0.75,
    "gasPpm": 450,
    "flame": false,
    "binLevel": 45.2,
    "powerW": 120.5,
    "energyKwh": 2.45,
    "voltageV": 220.3,
    "currentA": 0.55,
    "frequencyHz": 50.1,
    "powerFactor": 0.95,
    "distanceCm": 15.2,
    "temperature": 23.5,
    "humidity": 65.2
  },
  "metadata": {
    "firmwareVersion": "v2.1.0",
    "signalStrength": -45,
    "batteryLevel": 85
  }
}""",
    ),
    Example(
        "smarthome",
        "status",
        "smarthome/1/ESP32_001/status",
        """{
  "timestamp": "2026-02-13T12:00:00.000Z",
  "deviceId": "ESP32_001",
  "online": true,
  "status": {
    "uptime": 86400,
    "freeMemory": 45000,
    "wifiSignal": -45,
    "batteryLevel": 85,
    "firmwareVersion": "v2.1.0"
  },
  "errors": []
}""",
    ),
    Example(
        "smarthome",
        "heartbeat",
        "smarthome/1/ESP32_001/heartbeat",
        """{
  "timestamp": "2026-02-13T12:00:00.000Z",
  "deviceId": "ESP32_001",
  "uptime": 86400,
  "freeMemory": 45000,
  "wifiSignal": -45
}""",
    ),
    Example(
        "smarthome",
        "command",
        "smarthome/1/ESP32_001/commands",
        """{
  "commandId": "cmd_123456789",
  "timestamp": "2026-02-13T12:00:00.000Z",
  "type": "SET_POWER",
  "payload": {
    "power": true,
    "brightness": 80,
    "color": "#FF5733"
  },
  "source": "USER",
  "correlationId": "corr_987654321"
}""",
    ),
    Example(
        "smarthome",
        "config",
        "smarthome/1/ESP32_001/config",
        """{
  "timestamp": "2026-02-13T12:00:00.000Z",
  "config": {
    "sampleRate": 30,
    "alertThresholds": {
      "gas": 800,
      "temperature": 35,
      "humidity": 80
    },
    "powerSaving": true,
    "wifiConfig": {
      "ssid": "SmartHome_Network",
      "reconnectInterval": 30
    },
    "mqttConfig": {
      "keepAlive": 60,
      "qos": 1
    }
  }
}""",
    ),
    Example(
        "iotflow",
        "telemetry",
        "iotflow/devices/sensor_001/telemetry/sensors",
        """{
  "temperature": 23.5,
  "humidity": 65.2,
  "pressure": 1013.25,
  "timestamp": "2025-07-01T10:30:00Z",
  "device_id": "sensor_001"
}""",
    ),
    Example(
        "iotflow",
        "commands_config",
        "iotflow/devices/sensor_001/commands/config",
        """{
  "command": "update_interval",
  "parameters": {
    "interval_seconds": 30
  },
  "command_id": "cmd_12345",
  "timestamp": "2025-07-01T10:30:00Z"
}""",
    ),
    Example(
        "iotflow",
        "heartbeat",
        "iotflow/devices/sensor_001/status/heartbeat",
        """{
  "status": "online",
  "uptime": 86400,
  "battery_level": 95,
  "signal_strength": -45,
  "timestamp": "2025-07-01T10:30:00Z"
}""",
    ),
)

# What the boards' sketch really sends: the milliseconds since it was switched on, as a text.
SKETCH_EXAMPLES = (
    Example(
        "smarthome",
        "telemetry",
        "smarthome/1/ESP32_001/telemetry",
        '{"timestamp":"184467","deviceId":"ESP32_001","sensors":{"temperature":23.5,'
        '"humidity":65.2,"gasPpm":450,"flame":false,"current":0.75},'
        '"metadata":{"firmwareVersion":"v2.1.0","signalStrength":-45,"freeMemory":45000}}',
    ),
    Example(
        "smarthome",
        "status",
        "smarthome/1/ESP32_001/status",
        '{"timestamp":"184467","deviceId":"ESP32_001","online":false,'
        '"status":{"uptime":184,"freeMemory":45000,"wifiSignal":-45,'
        '"firmwareVersion":"v2.1.0"}}',
    ),
    Example(
        "smarthome",
        "heartbeat",
        "smarthome/1/ESP32_001/heartbeat",
        '{"timestamp":"184467","deviceId":"ESP32_001","uptime":184,"freeMemory":45000,'
        '"wifiSignal":-45}',
    ),
)


def example(dialect: str, channel: str) -> Example:
    """The documented payload of a channel."""
    return next(e for e in EXAMPLES if (e.dialect, e.channel) == (dialect, channel))
