"""Memory that forked processes share stays shared."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc, sys
from mooring.run import holes
gc.disable()
old = [bytes(100) for _ in range(6000)]
del old[::2]
filled = holes.fill() if sys.argv[1] == "filled" else 0
pools = {id(one) // holes.POOL_BYTES for one in old}
new = [bytes(100) for _ in range(100)]
print(filled, sum(id(one) // holes.POOL_BYTES in pools for one in new))
"""


@pytest.mark.parametrize("way", ["filled", "as they are"])
def test_new_objects_are_not_between_old_ones(way: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True
    )
    filled, between = map(int, done.stdout.split())
    if way == "filled":
        assert filled >= 3000
        assert between == 0
    else:
        assert between > 50  # what the test would not notice otherwise
