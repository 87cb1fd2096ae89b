"""What a rollout waits for, in words."""

from __future__ import annotations

from dataclasses import replace

from mooring.groups.selector import Selector
from mooring.jobs.model import Job
from mooring.jobs.rules import Counts, Facts, State
from mooring.ota.rollouts.model import PLAN, Reason
from mooring.ota.rollouts.words import gate_in_words, why_nothing

T0 = 1_771_000_000_000


def job(counts: Counts, state: State = State.RUNNING, wave: int = 0) -> Job:
    return Job(
        id=7,
        tenant="a",
        kind="firmware",
        what={},
        title="firmware trap:1.4.0",
        selection=Selector("a"),
        plan=PLAN,
        state=state,
        why="",
        counts=counts,
        actor="ada",
        origin="local",
        reason="",
        created_at=T0,
        expires_at=T0 + 604_800_000,
        started_at=T0,
        finished_at=None,
        due_at=T0,
        prepared_to=0,
        wave=wave,
        wave_over_at=None,
        paced_at=0,
        forgiven=0,
        forgiven_successes=0,
        retrying=False,
    )


def test_a_wave_that_is_not_full() -> None:
    assert "up to 10 more devices" in gate_in_words(job(Counts(waiting=1000)), Facts())


def test_a_wave_that_waits_for_outcomes() -> None:
    words = gate_in_words(job(Counts(waiting=990, handed_over=8, succeeded=2)), Facts())
    assert "2 of 10 devices have an outcome; wave 2 needs 5" in words


def test_nobody_can_be_offered_the_release_now() -> None:
    words = gate_in_words(job(Counts(waiting=1000)), Facts(later=1000))
    assert "no device of it can be offered the release now" in words


def test_too_few_successes() -> None:
    words = gate_in_words(job(Counts(waiting=990, handed_over=5, succeeded=4, failed=1)), Facts())
    assert "4 of 5 are successes; 95% are needed" in words


def test_devices_that_install() -> None:
    counts = Counts(waiting=990, handed_over=3, succeeded=7)
    words = gate_in_words(job(counts), Facts(busy=2))
    assert "2 devices are installing" in words


def test_a_wave_that_is_watched() -> None:
    watched = replace(job(Counts(waiting=990, succeeded=10)), wave_over_at=T0)
    assert "2026-02-13T16:36:40" in gate_in_words(watched, Facts())


def test_what_rests_or_is_over() -> None:
    counts = Counts(waiting=1)
    held = gate_in_words(job(counts), Facts(held="not approved"))
    assert held == "Nothing is offered: not approved."
    stopped = replace(job(counts, State.STOPPED), why="3 targets failed; the limit is 3")
    assert "3 targets failed" in gate_in_words(stopped, Facts())
    for state in State:
        assert gate_in_words(job(counts, state, wave=2), Facts()).endswith(".")


def test_why_no_device_is_eligible() -> None:
    some = [Reason("skipped", "already", 12), Reason("skipped", "hardware_unknown", 3)]
    assert why_nothing(some) == "12 already, 3 hardware unknown"
