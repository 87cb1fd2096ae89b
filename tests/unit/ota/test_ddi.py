"""Reports over hawkBit's DDI, whatever a client sends; and who gets offers over HTTP."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import Invalid
from mooring.ota.ddi.documents import sleep
from mooring.ota.ddi.feedback import config_of, feedback_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    execution=st.sampled_from(["closed", "proceeding", "rejected"]),
    finished=JSON,
    progress=JSON,
    details=JSON,
)
def test_only_execution_decides_whether_a_report_is_one(
    execution: str, finished: Any, progress: Any, details: Any
) -> None:
    result = {"finished": finished, "progress": progress}
    status = {"execution": execution, "result": result, "details": details}
    found = feedback_of(json.dumps({"status": status}).encode())
    assert found.execution == execution
    assert found.finished in {"success", "failure", "none"}
    assert found.percent is None or 0 <= found.percent <= 100


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_more_than_not_valid(body: bytes) -> None:
    for read in (feedback_of, config_of):
        try:
            read(body)
        except Invalid as error:
            assert error.slug == "bad_feedback"


def test_how_long_a_client_sleeps() -> None:
    assert [sleep(seconds) for seconds in (1, 300, 86_399)] == ["00:00:01", "00:05:00", "23:59:59"]
