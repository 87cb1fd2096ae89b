"""What one device may do, for every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.broker.topic_rules import within
from mooring.dialects import builtin
from mooring.dialects.model import Dialect, Identity
from mooring.dialects.topics import filters_overlap
from mooring.identity import policy
from mooring.identity.policy import rights_of

DIALECTS = {dialect.name: dialect for dialect in builtin()}
WORDS = st.sampled_from(["a", "b", "devices", "device", "commands", "command", "AA:BB"])


def identity(device: str, tenant: str = "t", mac: str = "AA:BB") -> Identity:
    return Identity(tenant, device, mac, ("g",))


@pytest.mark.parametrize(
    ("dialect", "filters"),
    [
        ("smarthome", ["smarthome/t/dev/#", "smarthome/t/dev/commands/#", "smarthome/t/dev/+"]),
        ("iotflow", ["iotflow/devices/dev/commands/#", "iotflow/devices/dev/#"]),
        ("mooring", ["mooring/t/dev/command/#", "mooring/t/dev/command/+", "mooring/t/dev/#"]),
        ("mousetrap", ["tenant/t/device/dev/command/#", "tenant/t/device/dev/ota/#"]),
        ("drivesafe", ["device/commands/dev", "device/commands/dev/#"]),
        ("pulse", ["pulse/t/dev/#"]),
    ],
)
def test_a_device_may_subscribe_inside_its_own_prefix(dialect: str, filters: list[str]) -> None:
    own = rights_of(DIALECTS[dialect], identity("dev")).subscribe
    for wanted in filters:
        assert any(within(one, (), wanted, subscribing=True) for one in own), wanted
    for foreign in ("#", "+/#", filters[0].replace("dev", "+"), filters[0].replace("dev", "de")):
        assert not any(within(one, (), foreign, subscribing=True) for one in own), foreign


def test_a_prefix_that_others_share_is_not_a_devices_own() -> None:
    """Alerts go by the MAC address, at the level of other devices' names."""
    own = rights_of(DIALECTS["mousetrap"], identity("dev")).subscribe
    assert "tenant/t/device/dev/#" not in own


@given(st.sampled_from(sorted(DIALECTS)), WORDS, WORDS, WORDS, WORDS)
def test_no_device_reads_what_another_one_sends(
    dialect: str, one: str, other: str, tenant: str, elsewhere: str
) -> None:
    """Whatever their names are: also those of levels in topics."""
    spoken: Dialect = DIALECTS[dialect]
    if one == other and (tenant == elsewhere or not spoken.tenanted):
        return
    reader = rights_of(spoken, identity(one, tenant, "AA:BB:CC:00:00:01"))
    sender = rights_of(spoken, identity(other, elsewhere, "AA:BB:CC:00:00:02"))
    for sent in sender.publish:
        assert not any(filters_overlap(read, sent) for read in reader.subscribe), sent


@given(st.sampled_from(sorted(DIALECTS)), WORDS, WORDS, st.one_of(st.none(), WORDS))
def test_rights_from_what_a_dialects_devices_share_are_those_worked_out_for_one(
    name: str, tenant: str, device: str, mac: str | None
) -> None:
    one = Identity(tenant, device, mac, ())
    shared, alone = rights_of(DIALECTS[name], one), policy._worked_out(DIALECTS[name], one)
    assert set(shared.publish) == set(alone.publish)
    assert set(shared.subscribe) == set(alone.subscribe)
