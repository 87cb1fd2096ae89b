"""How a process ends without freeing its memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import atexit, sys, threading, time
from mooring.leaving import leave

class Noticed:
    def __del__(self):
        print("freed")

def slow():
    time.sleep(0.05)
    print("thread done")

kept = Noticed()
atexit.register(print, "at exit")
threading.Thread(target=slow).start()
print("no newline", end=" ")
leave(SystemExit({code!r}))
"""


def left(code: object, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (3, 3), (True, 1), (256 + 7, 7)])
def test_threads_and_exit_functions_are_done_and_the_output_is_complete(
    code: object, expected: int
) -> None:
    done = left(code)
    assert (done.returncode, done.stderr) == (expected, "")
    assert done.stdout == "no newline thread done\nat exit\n"


def test_a_text_is_printed_by_python() -> None:
    done = left("wrong")
    assert (done.returncode, done.stderr) == (1, "wrong\n")
    assert done.stdout.endswith("freed\n")


def test_output_that_cannot_be_written_is_an_error() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = left(0, full.fileno())
    assert done.returncode == 120, "what Python ends with then"
    assert os.strerror(28) in done.stderr
