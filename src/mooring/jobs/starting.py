"""Starts some targets of a job in the caller's transaction. The failure of one costs that one
alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from sqlalchemy.engine import Connection

from mooring.devices import store as devices_store
from mooring.devices.model import Device
from mooring.errors import DatabaseUnavailable, MooringError
from mooring.jobs import target_store
from mooring.jobs.kinds import JobKind, Steering
from mooring.jobs.model import Job, Started
from mooring.jobs.rules import TargetState

__all__ = ["LEAST_JUDGED", "MOST_JUDGED", "start_some"]

log = logging.getLogger(__name__)

LEAST_JUDGED, MOST_JUDGED = 20, 500
"""Targets that a kind judges in one turn: most of them may have to wait."""

_GONE = Started(TargetState.SKIPPED, cause="removed", words="The device was removed.")


def start_some(
    connection: Connection, kind: JobKind, job: Job, size: tuple[int, int], at: int
) -> tuple[Job, list[Started]]:
    """Starts at most this number of targets; the job with its counts, and what was done.

    Args:
        size: how many, and how many a ``Steering`` kind looks at to find them.
        at: epoch milliseconds.
    """
    most, judging = size
    limit = max(most, judging) if isinstance(kind, Steering) else most
    found = target_store.candidates(connection, job.id, at, limit)
    numbers = [one.device_id for one in found]
    known = _devices(connection, numbers)
    results = {number: _GONE for number in numbers if number not in known}
    there = [known[number] for number in numbers if number in known]
    if isinstance(kind, Steering):
        judged = kind.judge(connection, job, there, at)
        some = list(zip(there, judged, strict=True))
        results |= {device.id: answer for device, answer in some if answer is not None}
        there = [device for device, answer in some if answer is None][:most]
    results |= _start(connection, kind, job, there)
    skipped = {one.device_id for one in found if one.state is TargetState.SKIPPED}
    done = [(number, results[number]) for number in numbers if number in results]
    return target_store.set_started(connection, job, done, at, skipped), [one for _, one in done]


def _devices(connection: Connection, numbers: Sequence[int]) -> Mapping[int, Device]:
    return {
        one.id: one
        for start in range(0, len(numbers), 500)
        for one in devices_store.by_numbers(connection, numbers[start : start + 500])
    }


def _start(
    connection: Connection, kind: JobKind, job: Job, devices: Sequence[Device]
) -> dict[int, Started]:
    if not devices:
        return {}
    try:
        with connection.begin_nested():
            answers = kind.start(connection, job, devices)
        return {device.id: answer for device, answer in zip(devices, answers, strict=True)}
    except DatabaseUnavailable:
        raise
    except Exception as exc:  # noqa: BLE001 - of one device; found out below
        log.info("targets of job %s are started one by one: %s", job.id, exc)
        return {device.id: _start_alone(connection, kind, job, device) for device in devices}


def _start_alone(connection: Connection, kind: JobKind, job: Job, device: Device) -> Started:
    try:
        with connection.begin_nested():
            (answer,) = kind.start(connection, job, [device])
    except DatabaseUnavailable:
        raise
    except MooringError as exc:
        return Started(TargetState.FAILED, cause=exc.slug, words=exc.message)
    except Exception as exc:  # whatever it is, the other devices continue
        log.warning("job %s could not be started for device %s", job.id, device.id, exc_info=exc)
        words = f"{type(exc).__name__}: {exc}"
        return Started(TargetState.FAILED, cause="internal", words=words[:500])
    return answer
