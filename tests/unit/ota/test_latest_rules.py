"""What may be announced to every device, and where."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.dialects.load import builtin
from mooring.groups.selector import Selector
from mooring.jobs.model import Job
from mooring.jobs.rules import Counts, State
from mooring.ota.latest.rules import Hardware, hardware_problem, older, places, too_early
from mooring.ota.releases.model import Kind, Release
from mooring.ota.releases.model import State as ReleaseState
from mooring.ota.rollouts.model import PLAN

T0 = 1_771_000_000_000
RELEASE = Release(
    id=1,
    tenant="a",
    product="trap",
    kind=Kind.FIRMWARE,
    version="1.5.0",
    hardware=(),
    requires=(),
    security_version=0,
    notes="",
    state=ReleaseState.PUBLISHED,
    created_at=T0,
    created_by="ada",
    published_at=T0,
    ended_at=None,
    reason="",
)
JOB = Job(
    id=7,
    tenant="a",
    kind="firmware",
    what={},
    title="firmware trap:1.5.0",
    selection=Selector("a"),
    plan=PLAN,
    state=State.RUNNING,
    why="",
    counts=Counts(waiting=2, succeeded=20, failed=1),
    actor="ada",
    origin="local",
    reason="",
    created_at=T0,
    expires_at=T0 + 604_800_000,
    started_at=T0,
    finished_at=None,
    due_at=T0,
    prepared_to=0,
    wave=2,
    wave_over_at=None,
    paced_at=0,
    forgiven=0,
    forgiven_successes=0,
    retrying=False,
)
ONE_WAVE = replace(PLAN, waves=(100.0,))


def cause(job: Job, release: Release = RELEASE) -> str:
    why = too_early(job, release)
    return "" if why is None else why.cause


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (JOB, ""),
        (replace(JOB, state=State.DONE), ""),
        (replace(JOB, state=State.EXPIRED), ""),
        (replace(JOB, state=State.PAUSED), "state"),
        (replace(JOB, state=State.STOPPED), "state"),
        (replace(JOB, state=State.PREPARING), "state"),
        (replace(JOB, state=State.CANCELLED), "state"),
        (replace(JOB, state=State.CANCELLING), "state"),
        (replace(JOB, state=State.EXPIRING), "state"),
        (replace(JOB, wave=1), "gate"),
        (replace(JOB, wave=0, state=State.DONE), "gate"),
        (replace(JOB, wave=0, plan=ONE_WAVE), "gate"),
        (replace(JOB, wave=0, plan=ONE_WAVE, state=State.DONE), ""),
        (replace(JOB, counts=Counts(waiting=5)), "outcomes"),
        (replace(JOB, counts=Counts(succeeded=18, failed=2)), "outcomes"),
        (replace(JOB, counts=Counts(succeeded=19, failed=1)), ""),
        (replace(JOB, counts=Counts(skipped=5), state=State.DONE), "outcomes"),
    ],
)
def test_only_after_the_last_gate(job: Job, expected: str) -> None:
    assert cause(job) == expected


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (replace(RELEASE, state=ReleaseState.DRAFT), "release_state"),
        (replace(RELEASE, state=ReleaseState.DEPRECATED), "release_state"),
        (replace(RELEASE, state=ReleaseState.WITHDRAWN), "release_state"),
        (replace(RELEASE, kind=Kind.OTHER), "kind"),
        (replace(RELEASE, kind=Kind.FILESYSTEM), ""),
        (replace(RELEASE, requires=("1.4.0",)), "requires"),
    ],
)
def test_what_can_be_announced(release: Release, expected: str) -> None:
    assert cause(JOB, release) == expected


@given(
    state=st.sampled_from(State),
    wave=st.integers(0, 2),
    succeeded=st.integers(0, 1000),
    failed=st.integers(0, 1000),
    share=st.floats(0.01, 1.0),
)
def test_never_before_every_gate(
    state: State, wave: int, succeeded: int, failed: int, share: float
) -> None:
    job = replace(
        JOB,
        state=state,
        wave=wave,
        plan=replace(PLAN, gate_share=share),
        counts=Counts(succeeded=succeeded, failed=failed),
    )
    if not cause(job):
        assert wave == 2
        assert succeeded > 0
        assert succeeded >= share * (succeeded + failed)
        assert state in {State.RUNNING, State.DONE, State.EXPIRED}


def test_topics_are_those_that_dialects_declare() -> None:
    dialects = builtin()
    proved = ["mousetrap", "mooring"]
    (firmware,) = places(dialects, Kind.FIRMWARE, proved)
    (filesystem,) = places(dialects, Kind.FILESYSTEM, proved)
    assert (firmware.topic, firmware.dialects) == ("global/firmware/latest", ("mousetrap",))
    assert filesystem.topic == "global/filesystem/latest"
    assert places(dialects, Kind.OTHER, proved) == []
    assert places(dialects, Kind.FIRMWARE, ["mooring", "smarthome"]) == []


def test_everybody_who_reads_a_topic_counts_whoever_proved_it() -> None:
    (trap,) = (one for one in builtin() if one.name == "mousetrap")
    other = replace(trap, name="another", max_packet=256)
    (found,) = places([other, trap], Kind.FIRMWARE, ["mousetrap"])
    assert found.dialects == ("mousetrap", "another")
    assert found.max_packet == 256
    assert found.channel in trap.channels


@pytest.mark.parametrize(
    ("needed", "named", "unknown", "force", "expected"),
    [
        ((), {"esp8266": 9}, 9, False, ""),
        (("esp32",), {"ESP32": 9}, 0, False, ""),
        (("esp32",), {"esp32": 9, "esp8266": 1}, 0, True, "hardware"),
        (("esp32",), {"esp32": 9}, 1, False, "hardware_unknown"),
        (("esp32",), {"esp32": 9}, 1, True, ""),
    ],
)
def test_hardware_of_everybody_who_reads_it(
    needed: tuple[str, ...], named: dict[str, int], unknown: int, force: bool, expected: str
) -> None:
    why = hardware_problem(needed, Hardware(named, unknown), force=force)
    assert ("" if why is None else why.cause) == expected


def test_versions_are_compared_not_texts() -> None:
    assert older(replace(RELEASE, version="1.9.0"), "1.10.0")
    assert not older(replace(RELEASE, version="1.10"), "1.9.0")
    assert not older(RELEASE, "v1.5.0")
