"""A backend as tutorials show it: paho-mqtt, an ORM object a message, a commit each."""

from __future__ import annotations

import json
import os
from datetime import datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import DateTime, Engine, create_engine, func, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The tables."""


class Telemetry(Base):
    """One message."""

    __tablename__ = "telemetry"

    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)


def main() -> None:
    url = make_url(os.environ["BENCH_DATABASE"]).set(drivername="postgresql+psycopg")
    engine: Engine = create_engine(url)
    topic = os.environ["BENCH_TOPIC"]

    def on_connect(client: mqtt.Client, *_: object) -> None:
        client.subscribe(topic, qos=1)

    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with Session(engine) as session:
            session.add(
                Telemetry(
                    device=message.topic.split("/")[2],
                    payload=json.loads(message.payload),
                )
            )
            session.commit()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=os.environ["BENCH_CLIENT_ID"])
    client.username_pw_set(os.environ["BENCH_USERNAME"], os.environ["BENCH_PASSWORD"])
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect(os.environ["BENCH_HOST"], int(os.environ["BENCH_PORT"]))
    client.loop_forever()


if __name__ == "__main__":
    main()
