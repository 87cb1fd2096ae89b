"""``mooring simulate``: a simulated fleet of real MQTT clients."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.frame import Session, command, verbs
from mooring.durations import seconds_of
from mooring.errors import BrokerUnavailable, Invalid
from mooring.later import later

with later():
    import asyncio
    import socket
    import ssl

    import uvloop
    from rich import console as rich_console
    from rich import live as rich_live
    from rich import text as rich_text

    from mooring.broker import address as broker_place
    from mooring.changes import queue as change_queue
    from mooring.run import children
    from mooring.simulate import client as simulate_client
    from mooring.simulate import enrol as simulate_enrol
    from mooring.simulate import fleet, voice

if TYPE_CHECKING:
    import ssl

    from mooring.app import App
    from mooring.dialects import Dialect
    from mooring.simulate.enrol import Enrolled
    from mooring.simulate.figures import Figures
    from mooring.simulate.fleet import Plan

__all__ = ["app"]

app = verbs()

DEMO_DEVICES, DEMO_RATE = 4, 0.5  # of each dialect; messages a second of each device
DEVICES, RATE = 10, 1.0
LINE_SECONDS, LINE_SECONDS_MOST = 5.0, 600.0  # a line this often, later more seldom
ACCEPTANCE_SECONDS = 15.0  # and as much again for every ten devices that are new


@command(app)
def simulate(
    session: Session,
    *,
    dialect: Annotated[
        str | None, typer.Option("--dialect", "-d", help="Dialect the devices speak.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="A few devices of every dialect, at a low rate.")
    ] = False,
    devices: Annotated[
        int | None, typer.Option("--devices", "-n", min=1, help="Number of devices. Default: 10")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", "-r", help="Messages per second of each device. Default: 1"),
    ] = None,
    total_rate: Annotated[
        float | None,
        typer.Option("--total-rate", help="Messages per second of all devices together."),
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="Duration, such as 30s. Default: until Ctrl-C")
    ] = None,
    tenant: Annotated[
        str, typer.Option("--tenant", help="Tenant that owns the devices.")
    ] = "default",
    qos: Annotated[
        int | None,
        typer.Option("--qos", min=0, max=2, help="QoS of all messages. Default: as in the dialect"),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Connect over TLS.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the random values.")] = 0,
    keep: Annotated[
        bool,
        typer.Option("--keep/--no-keep", help="Keep the devices for the next run."),
    ] = True,
) -> int:
    """Run simulated devices. They are real MQTT clients that send plausible values."""
    if (dialect is None) is not demo:
        raise Invalid(
            "No dialect was given.",
            hint="Use `mooring simulate --dialect mooring`, or --demo for all dialects.",
            code="usage",
        )
    if rate is not None and total_rate is not None:
        raise Invalid(
            "--rate and --total-rate cannot be combined.", hint="Use one of them.", code="usage"
        )
    if any(given is not None and given <= 0 for given in (rate, total_rate)):
        raise Invalid(
            "The rate must be more than 0.",
            hint="Use a positive number; 0.1 is one message in ten seconds.",
        )
    seconds = seconds_of(duration) if duration else None
    with (
        session.open() as platform,
        simulate_enrol.own_prefix(platform.settings.data_dir) as prefix,
    ):
        spoken = list(platform.catalogue.all()) if demo else [platform.catalogue.get(dialect or "")]
        count = devices or (DEMO_DEVICES if demo else DEVICES)
        each = total_rate / (count * len(spoken)) if total_rate else rate
        _need_broker(platform, tls=tls)
        enrolled = _enrol(session, platform, spoken, count, tenant=tenant, prefix=prefix)
        try:
            plan = _plan(
                platform,
                enrolled,
                rate=each or (DEMO_RATE if demo else RATE),
                duration=seconds,
                qos=qos,
                tls=tls,
                seed=seed,
            )
            figures = _run(session, plan)
        finally:
            if not keep:
                _remove(session, platform, enrolled)
    if session.out.as_json:
        session.out.document(figures.document())
    else:
        session.out.say(f"{figures.seconds:.0f} s: {figures.line()}")
    if not figures.welcomed:
        raise BrokerUnavailable(
            "The broker accepted none of the devices.", hint="See `mooring status`."
        )
    return 0


# ---------------------------------------------------------------------- devices


def _need_broker(platform: App, *, tls: bool) -> None:
    """Checks that a broker answers before anything is added."""
    settings = platform.settings
    port = settings.mqtt_tls_port if tls else settings.mqtt_port
    try:
        socket.create_connection((settings.mqtt_host, port), timeout=5).close()
    except OSError as exc:
        raise BrokerUnavailable(
            f"The broker at {settings.mqtt_host}:{port} does not answer.",
            hint="Start it with `mooring up`.",
        ) from exc


def _enrol(
    session: Session,
    platform: App,
    dialects: Sequence[Dialect],
    count: int,
    *,
    tenant: str,
    prefix: str,
) -> list[tuple[Dialect, Enrolled]]:

    passwords = simulate_enrol.Passwords(platform.settings.data_dir)
    total = count * len(dialects)
    done = 0
    found: list[tuple[Dialect, Enrolled]] = []
    with session.out.progress("Adding devices", total) as report:

        def one() -> None:
            nonlocal done
            done += 1
            report(done)

        for dialect in dialects:
            ready = simulate_enrol.enrol(
                platform.devices,
                session.actor,
                passwords,
                dialect,
                count,
                tenant=tenant,
                prefix=prefix,
                on_each=one,
            )
            found += [(dialect, each) for each in ready]
    _wait_accepted(session, platform, [e.change for _, e in found if e.change is not None])
    return found


def _wait_accepted(session: Session, platform: App, changes: Sequence[int]) -> None:
    """Waits until the broker accepts the new devices. Devices that take longer keep trying."""
    wanted = set(changes)
    deadline = time.monotonic() + ACCEPTANCE_SECONDS * (1 + len(changes) / 10)
    with session.out.progress("Updating the broker", len(wanted)) as report:
        while wanted and time.monotonic() < deadline:
            with platform.database.read() as connection:
                wanted &= {number for number, _ in change_queue.waiting(connection)}
            report(len(changes) - len(wanted))
            time.sleep(0.1 if wanted else 0)
    if wanted:
        session.out.note(
            f"{len(wanted)} devices are not applied to the broker yet, see `mooring status`. "
            "They keep trying."
        )


def _remove(session: Session, platform: App, enrolled: Sequence[tuple[Dialect, Enrolled]]) -> None:

    passwords = simulate_enrol.Passwords(platform.settings.data_dir)
    with session.out.progress("Removing devices", len(enrolled)) as report:
        for number, (_, each) in enumerate(enrolled, start=1):
            if each.device.label == simulate_enrol.LABEL:
                platform.devices.remove(session.actor, each.device.username, reason="simulation")
                passwords.forget(each.device.username)
            report(number)
    passwords.save()


# ---------------------------------------------------------------------- the run


def _plan(
    platform: App,
    enrolled: Sequence[tuple[Dialect, Enrolled]],
    *,
    rate: float,
    duration: float | None,
    qos: int | None,
    tls: bool,
    seed: int,
) -> fleet.Plan:

    settings = platform.settings
    context = _trust(platform) if tls else None
    members = [
        fleet.Member(
            voice.Voice(dialect, each.device.identity, seed=seed, qos=qos),
            simulate_client.Login(
                settings.mqtt_host,
                settings.mqtt_tls_port if tls else settings.mqtt_port,
                each.device.client_id,
                each.device.username,
                each.password,
                context,
            ),
        )
        for dialect, each in enrolled
    ]
    return fleet.Plan(members, rate, duration)


def _trust(platform: App) -> ssl.SSLContext:

    cafile = broker_place.broker_address(platform.settings).cafile
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as exc:
        raise Invalid(
            f"The CA file {cafile} cannot be used: {exc.strerror or exc}.",
            hint="`mooring up` creates it. Set tls_cafile to use another one.",
        ) from exc


def _run(session: Session, plan: Plan) -> Figures:

    children.follow_parent()  # of `mooring up --demo`

    async def run() -> Figures:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with _reporting(session) as report:
            return await fleet.run_fleet(plan, report, stop)

    try:
        runner = uvloop.run
    except ImportError:  # not made for this system; the standard loop does it as well
        return asyncio.run(run())
    return runner(run())


@contextmanager
def _reporting(session: Session) -> Iterator[Callable[[Figures], None]]:
    """A live line on a terminal, otherwise a line every few seconds, none with ``--json``."""
    if session.out.as_json:
        yield lambda _figures: None
    elif sys.stderr.isatty():
        console = rich_console.Console(stderr=True, no_color=not session.out.color or None)
        with rich_live.Live(console=console, transient=True, auto_refresh=False) as live:
            yield lambda figures: live.update(rich_text.Text(figures.line()), refresh=True)
    else:
        began = said_at = time.monotonic()

        def line(figures: Figures) -> None:
            nonlocal said_at
            now = time.monotonic()
            # A fleet that runs for weeks must not fill its log.
            if now - said_at >= min(LINE_SECONDS_MOST, max(LINE_SECONDS, (now - began) / 20)):
                said_at = now
                session.out.note(figures.line())

        yield line
