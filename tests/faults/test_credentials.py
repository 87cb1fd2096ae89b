"""Claim, rotate, lock out, recover: every step, every fault, and what comes of it.

After the fault nobody does anything: the device goes on trying as devices do, whoever asked
over HTTP asks again, the platform is started again. Then database, broker and device must
agree: the device is in session with the password of the database, or, when it was locked out,
is not.

``pytest -s tests/faults/test_credentials.py`` prints what came of each; with ``-m ""`` every
cell of the table, without it a sample of them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from mooring.app import App
from mooring.changes import queue as change_queue
from mooring.changes.waiting import wait_applied
from mooring.credentials.claims.model import NewClaim
from mooring.devices import password_store as passwords
from mooring.devices.model import Credentials, NewDevice
from mooring.errors import MooringError, Unavailable
from mooring.identity.actor import SYSTEM
from mooring.secrets import verifiers
from mooring.store import engine
from mooring.store.engine import now_ms
from tests.faults.credentials.devices import Device, KeepsBoth, StoresNewest
from tests.faults.credentials.points import Fault, Killed
from tests.faults.credentials.stage import Stage
from tests.support.waiting import wait_until

AGREE_SECONDS = 60.0  # the stated time, on a busy machine
MODES = ("dynamic_security", "password_file", "plugin")
CLAIM = ("asking", "committed", "telling", "told", "answering")
ROTATE = ("stored", "sent", "published", "stored by device", "switched", "telling", "told")
ROTATE_LATE = ("in force", "proved")
SIDES = {"switched", "in force"}  # the plugin accepts both passwords and changes no side
LOCK = ("asking", "committed", "telling", "told")
RECOVER = ("asking", "committed", "telling", "told", "answering")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """One cell of the table."""

    mode: str
    act: str
    step: str
    fault: Fault

    def __str__(self) -> str:
        return "-".join((self.mode, self.act, self.step, self.fault)).replace(" ", "_")


def every_case() -> Iterator[Case]:
    acts = {
        "claim": CLAIM,
        "rotate, keeps both": ROTATE + ROTATE_LATE,
        "rotate, stores newest": ROTATE + ROTATE_LATE,
        "rotate, MAC with colons": ROTATE + ROTATE_LATE,
        "lock out": LOCK,
        "recover": RECOVER,
    }
    for mode, (act, steps), fault in itertools.product(MODES, acts.items(), Fault):
        if "colons" in act and mode == "password_file":
            continue  # a password file cannot hold such a username at all
        for step in steps:
            if step in SIDES and mode == "plugin":
                continue
            yield Case(mode, act, step, fault)


SAMPLE = {
    ("claim", "committed", Fault.KILLED),
    ("claim", "answering", Fault.ANSWER),
    ("rotate, keeps both", "published", Fault.KILLED),
    ("rotate, stores newest", "sent", Fault.MESSAGE),
    ("rotate, stores newest", "told", Fault.BROKER),
    ("lock out", "telling", Fault.MESSAGE),
    ("recover", "committed", Fault.BUSY),
}
CASES = [
    pytest.param(
        case,
        id=str(case),
        marks=[] if (case.act, case.step, case.fault) in SAMPLE else pytest.mark.soak,
    )
    for case in every_case()
]


@dataclass
class Table:
    """What came of each cell."""

    outcomes: dict[Case, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        done: dict[tuple[str, str, str], dict[Fault, str]] = {}
        for case, outcome in self.outcomes.items():
            done.setdefault((case.mode, case.act, case.step), {})[case.fault] = outcome
        complete = {key: cells for key, cells in done.items() if len(cells) == len(Fault)}
        if complete:
            yield _line(("authority", "act", "after the step", *Fault))
            for key, cells in complete.items():
                yield _line((*key, *(cells[fault] for fault in Fault)))
        for key, cells in done.items():
            if key not in complete:
                for fault, outcome in cells.items():
                    yield _line((*key, str(fault), outcome))


def _line(cells: tuple[str, ...]) -> str:
    widths = (16, 23, 16)
    head = "  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=False))
    return head + "  " + "  ".join(text.ljust(24) for text in cells[3:])


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[Table]:
    made = Table()
    yield made
    if pytestconfig.getoption("capture") == "no":
        print("\n" + "\n".join(made.lines()))


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stage]]:
    """A platform for each authority, started when it is first needed."""
    started: dict[str, Stage] = {}

    def stage_for(mode: str) -> Stage:
        if mode not in started:
            started[mode] = Stage(tmp_path_factory.mktemp(mode), mode)
            started[mode].start()
        return started[mode]

    with pytest.MonkeyPatch.context() as patch:
        # A locked database is an error soon, and not only after half a minute of waiting.
        patch.setattr(engine, "LOCK_WAIT_SECONDS", 0.3)
        yield stage_for
        for stage in started.values():
            stage.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", CASES)
def test_nobody_is_stranded(case: Case, stages: Callable[[str], Stage], table: Table) -> None:
    stage = stages(case.mode)
    acts: dict[str, Callable[[Stage, Case], str]] = {
        "claim": claim,
        "lock out": lock_out,
        "recover": recover,
    }
    act = acts.get(case.act, rotate)
    try:
        table.outcomes[case] = act(stage, case)
    finally:
        stage.points.disarm()


# ---------------------------------------------------------------------- the four acts


def claim(stage: Stage, case: Case) -> str:
    number = next(_numbers)
    mac = f"02:00:00:00:{number // 256:02x}:{number % 256:02x}"
    wanted = NewClaim("keeper", "t", f"Kitchen {number}")
    code = patiently(lambda: stage.app.claims.new(SYSTEM, wanted)).code
    stage.points.arm(case.step, case.fault)
    began = time.monotonic()
    credentials, asked = ask(
        stage, lambda: _claimed(stage, code, mac), "asking", "committed", "answering"
    )
    device = device_of(stage, KeepsBoth, credentials)
    try:
        agreed = settled(stage, device, began)
        with stage.app.database.read() as connection:
            found = passwords.credential(connection, credentials.device.id)
        assert found is not None
        assert verifiers.check(device.password, found.verifier or "")
        assert stage.points.fired
    finally:
        device.stop()
    return f"connected, {asked}× asked, {agreed:.0f} s"


def rotate(stage: Stage, case: Case) -> str:
    colons = "colons" in case.act
    firmware: type[Device] = KeepsBoth if "both" in case.act else StoresNewest
    device = connected_device(stage, firmware, colons=colons)
    device.may_answer = lambda: not stage.points.lost(Fault.ANSWER)
    killed: list[bool] = []

    def got_command() -> None:
        try:
            stage.points.hit("stored by device")
        except Killed:
            killed.append(True)

    device.got_command = got_command
    try:
        stage.points.arm(case.step, case.fault)
        began = time.monotonic()
        rotation = begin_rotation(stage, device)
        outcome = ""
        deadline = began + AGREE_SECONDS
        while not outcome:
            assert time.monotonic() < deadline, phase_of(stage, rotation)
            if killed:
                killed.clear()
                stage.restart()
            time.sleep(0.1)
            phase, over, why = phase_of(stage, rotation)
            outcome = phase if over else ""
        agreed = settled(stage, device, began)
        row = credential_of(stage, device)
        assert verifiers.check(device.password, row)
        assert stage.points.fired, f"{case.step} was never reached: {phase}, {why}"
    finally:
        device.stop()
    return f"{outcome.replace('_', ' ')}, {agreed:.0f} s"


def lock_out(stage: Stage, case: Case) -> str:
    device = connected_device(stage, StoresNewest)
    try:
        stage.points.arm(case.step, case.fault)
        began = time.monotonic()
        username = device._username

        def disable() -> Any:
            return stage.app.devices.set_enabled(SYSTEM, username, enabled=False)[1]

        ask(stage, disable, "asking", "committed", "")
        wait_until(
            lambda: not device.connected and stage.accounts_agree(),
            "the device to be locked out",
            timeout=AGREE_SECONDS,
        )
        took = time.monotonic() - began
        assert refused(stage, device)
        time.sleep(0.6)
        assert not device.connected
        assert stage.points.fired
        stage.points.disarm()
        patiently(lambda: stage.app.devices.set_enabled(SYSTEM, username, enabled=True))
        wait_until(lambda: device.connected, "the device to come back", timeout=AGREE_SECONDS)
    finally:
        device.stop()
    return f"locked out, {took:.0f} s"


def recover(stage: Stage, case: Case) -> str:
    device = connected_device(stage, StoresNewest)
    had = device.password
    give_another_password(stage, device)
    wait_until(lambda: not device.connected, "the old password to be refused", timeout=20)
    try:
        stage.points.arm(case.step, case.fault)
        began = time.monotonic()
        name = device._client_id

        def recovered() -> Any:
            return stage.app.recovery.recover(name, [(device._username, had)])

        answer, asked = ask(stage, recovered, "asking", "committed", "answering")
        device._password = answer.credentials.password  # type: ignore[attr-defined]
        agreed = settled(stage, device, began)
        assert verifiers.check(device.password, credential_of(stage, device))
        assert stage.points.fired
    finally:
        device.stop()
    return f"connected, {asked}× asked, {agreed:.0f} s"


# ---------------------------------------------------------------------- who takes part


def ask(
    stage: Stage, call: Callable[[], Any], before: str, committed: str, after: str
) -> tuple[Any, int]:
    """Asks until an answer comes, as a device or person does; how often that was."""
    for times in range(1, 60):
        try:
            stage.points.hit(before)
            if stage.points.lost(Fault.MESSAGE):
                raise Unavailable("The request was lost.")
            answer = call()
            stage.points.hit(committed)
            changes = getattr(answer, "changes", answer)
            wait_applied(stage.app.database, changes, 3.0)
            stage.points.hit(after)
            if stage.points.lost(Fault.ANSWER):
                raise Unavailable("The answer was lost.")
        except Killed:
            stage.restart()
        except MooringError as exc:
            assert exc.status >= 500, exc
            time.sleep(0.2)
        else:
            return answer, times
    raise AssertionError("There was never an answer.")


def _claimed(stage: Stage, code: str, mac: str) -> Any:
    claimed = stage.app.claims.claim(code, mac)
    return Answered(claimed.credentials, claimed.changes)


@dataclass(frozen=True)
class Answered:
    """Credentials, and what to wait for."""

    credentials: Credentials
    changes: list[int]

    @property
    def device(self) -> Any:
        return self.credentials.device

    @property
    def password(self) -> str:
        return self.credentials.password

    @property
    def topics(self) -> dict[str, str]:
        return self.credentials.topics


def device_of(stage: Stage, firmware: type[Device], credentials: Any) -> Device:
    device = firmware(
        stage.settings.mqtt_port,
        credentials.device.username,
        credentials.device.client_id,
        credentials.topics,
        credentials.password,
    )
    device.start()
    return device


def connected_device(stage: Stage, firmware: type[Device], *, colons: bool = False) -> Device:
    """A device that is in session and whose password has proved itself."""
    number = next(_numbers)
    mac = f"02{number:010x}"
    if colons:
        mac = ":".join(mac[place : place + 2] for place in range(0, 12, 2))
    dialect = "keeper" if firmware is KeepsBoth else "mousetrap"
    new = NewDevice(f"d{number}", dialect, "t", mac=None if firmware is KeepsBoth else mac)
    credentials, changes = patiently(lambda: stage.app.devices.add(SYSTEM, new))
    assert wait_applied(stage.app.database, changes, 20)
    device = device_of(stage, firmware, credentials)
    wait_until(lambda: device.connected, "the device to connect")
    wait_until(lambda: proved(stage, device), "the password to be proved")
    return device


def patiently(call: Callable[[], Any]) -> Any:
    """The stage is set while others write; the database waits for no one here."""
    while True:
        try:
            return call()
        except MooringError as exc:
            assert exc.status >= 500, exc
            time.sleep(0.2)


def begin_rotation(stage: Stage, device: Device) -> str:
    known = stage.app.devices.get(SYSTEM, device._username)
    rotation: str = patiently(lambda: stage.app.rotations.start(SYSTEM, known)).rotation.id
    try:
        stage.points.hit("stored")
    except Killed:
        stage.restart()
    return rotation


def give_another_password(stage: Stage, device: Device) -> None:
    """As after a rotation that the device does not remember."""
    patiently(lambda: replace_password(stage.app, device._username))


def replace_password(app: App, username: str) -> None:
    secret = verifiers.new_password()
    known = app.devices.get(SYSTEM, username)
    with app.database.write() as connection:
        held = passwords.credential(connection, known.id)
        assert held is not None
        passwords.retire(connection, known, held.verifier, until=now_ms() + 3_600_000)
        passwords.set_password(connection, known.id, verifiers.make(secret))
        change = change_queue.enqueue(
            connection, "put", known.username, sealed_secret=app.instance.seal(secret)
        )
    assert wait_applied(app.database, [change], 20)


# ---------------------------------------------------------------------- what is looked at


def phase_of(stage: Stage, rotation: str) -> tuple[str, bool, str]:
    try:
        (found,) = stage.app.rotations.by_ids([rotation])
    except MooringError as exc:
        return str(exc), False, ""
    return str(found.phase), found.phase.over, found.outcome


def credential_of(stage: Stage, device: Device) -> str:
    with stage.app.database.read() as connection:
        return passwords_of(connection, device._username)


def passwords_of(connection: Any, username: str) -> str:
    from mooring.devices import store

    return store.verifiers(connection, [username])[username]


def proved(stage: Stage, device: Device) -> bool:
    known = stage.app.devices.get(SYSTEM, device._username)
    with stage.app.database.read() as connection:
        found = passwords.credential(connection, known.id)
    return found is not None and found.proved_at is not None


def settled(stage: Stage, device: Device, began: float) -> float:
    """Waits until all agree and the device is in session; how long it took, in seconds."""
    wait_until(
        lambda: device.connected and stage.accounts_agree() and device.connected,
        "database, broker and device to agree",
        timeout=AGREE_SECONDS,
    )
    return time.monotonic() - began


def refused(stage: Stage, device: Device) -> bool:
    """Whether a login with what the device has is refused; asked until somebody answers."""
    answer: list[bool] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=device._client_id)
    client.username_pw_set(device._username, device.password)
    client.on_connect = lambda _c, _u, _f, code, _p: answer.append(code.is_failure)
    client.connect_async("127.0.0.1", stage.settings.mqtt_port)
    client.loop_start()  # it goes on trying while the broker is being started
    wait_until(lambda: bool(answer), "an answer to the login")
    client.disconnect()
    client.loop_stop()
    return answer[0]


def test_the_table_has_every_step_and_every_fault() -> None:
    cells = {(case.mode, case.act, case.step): set[Fault]() for case in every_case()}
    for case in every_case():
        cells[case.mode, case.act, case.step].add(case.fault)
    assert all(faults == set(Fault) for faults in cells.values())
    assert {(act, step, fault) for act, step, fault in SAMPLE} <= {
        (case.act, case.step, case.fault) for case in every_case()
    }
