"""Tests that generate their cases, run for minutes with new seeds each time.

``make test`` runs each of them once with few examples. Here each runs again and again until its
time is over; a failure prints the seed, with which it comes again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest

from tests.support.source import ROOT

MINUTES = float(os.environ.get("MOORING_PROPERTY_MINUTES", "10"))

NAMED = {
    "no two accounts have one role": "tests/unit/broker/test_dynsec_file.py",
    "any set of names starts": "tests/unit/devices/test_names.py",
    "rights and filters": "tests/unit/identity/test_policy.py "
    "tests/unit/broker/test_access_rules.py",
    "no line of the log is forged": "tests/unit/broker/test_log_forgery.py",
    "any bytes in any text": "tests/integration/store/test_outside_text.py "
    "tests/unit/store/test_schema_texts.py",
    "any batch of any payloads": "tests/conformance/sink/test_any_batch.py "
    "tests/conformance/projections/test_every.py",
    "lost numbers": "tests/unit/sequences/test_numbers.py",
    "limits on attempts and connections": "tests/unit/identity/test_throttle.py "
    "tests/unit/presence/test_crowd.py",
    "what is refused costs itself": "tests/unit/store/test_faults.py",
    "clocks that step": "tests/unit/test_clock.py",
    "device and platform agree": "tests/unit/test_both_sides.py",
    "secrets in settings": "tests/unit/test_handover.py",
    "guarded changes in any order": "tests/integration/device_settings/test_any_order.py",
    "a verdict for whatever was seen": "tests/unit/doctor/test_why.py",
}


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", NAMED)
def test_with_new_seeds(name: str) -> None:
    until = time.monotonic() + MINUTES * 60
    rounds = 0
    while rounds == 0 or time.monotonic() < until:
        seed = random.SystemRandom().randrange(2**32)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--hypothesis-seed={seed}", *NAMED[name].split()]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"seed {seed}:\n{done.stdout[-8000:]}"
        rounds += 1
    print(f"{name}: {rounds} runs with new seeds in {MINUTES:g} minutes")


def test_every_named_file_exists_and_generates() -> None:
    for files in NAMED.values():
        texts = [(ROOT / name).read_text(encoding="utf-8") for name in files.split()]
        assert any("@given" in text or "RuleBasedStateMachine" in text for text in texts), files
