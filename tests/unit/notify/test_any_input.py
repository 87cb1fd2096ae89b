"""Whatever somebody sends as options or target is accepted or rejected, and nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.notify.model import Kind
from mooring.notify.options import document_of, options_of
from mooring.notify.quiet import quiet_until
from mooring.notify.targets import check_target, shown_target
from mooring.settings.notify import SCHEMES

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3)
    ),
    max_leaves=8,
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "", ".", "..", "/etc", "posixrules", "\0"]) | JSON
QUIET = st.fixed_dictionaries(
    {},
    optional={
        "days": st.lists(st.sampled_from(["mon", "sun", "sat", "x"]), max_size=8) | JSON,
        "from": st.sampled_from(["00:00", "23:59", "24:00", "1:00"]) | JSON,
        "to": st.sampled_from(["00:00", "06:30"]) | JSON,
        "zone": ZONES,
    },
)
KEYS = ("severity", "alerts", "devices", "wait_seconds", "interval_seconds", "cleared", "more")
OPTIONS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(KEYS, JSON), "quiet": st.lists(QUIET, max_size=3) | JSON}
)


@given(OPTIONS)
def test_any_options(document: dict[str, Any]) -> None:
    with contextlib.suppress(Invalid):  # the other outcome that is wanted
        found = options_of(document)
        assert options_of(document_of(found)) == found
        quiet_until(found.quiet, 1_790_000_000_000)


PARTS = st.sampled_from(["https://", "http://", "mailto://", "a:b@", "[", "::1", "]", "%", "h.org"])
PARTS |= st.sampled_from([":0", ":65536", ":-1", "/x", "?q=1", "#f", "\N{KELVIN SIGN}", "@", "/"])


@given(
    st.sampled_from(list(Kind)),
    st.lists(PARTS | st.text(max_size=3), max_size=7).map("".join),
    st.booleans(),
)
@example(Kind.ALERTMANAGER, "https://https://a:b@", False)
def test_any_target(kind: Kind, target: str, private: bool) -> None:
    with contextlib.suppress(Invalid):  # the other outcome that is wanted
        found = check_target(kind, target, private=private, schemes=SCHEMES)
        assert "b@" not in shown_target(kind, found)
