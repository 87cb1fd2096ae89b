"""Rollouts on their pages: started, approved, changed, stopped, and what they say of devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mooring.app import open_app
from mooring.dashboard.live import rollouts as live
from mooring.dashboard.live.ask import Ask
from mooring.devices.attributes.service import Attributes
from mooring.errors import MooringError
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.jobs.rules import State
from mooring.ota.releases.model import Release
from mooring.ota.releases.states import Step
from mooring.ota.rollouts.model import GateOn, Rollout
from mooring.serve.app import create_app
from mooring.settings import Settings
from tests.integration.ota.test_latest import Fleet
from tests.integration.ota.test_rollouts import ALL, AT_ONCE, Bench
from tests.support.dashboard import Browser, person
from tests.support.html import HOSTILE, Html, faults
from tests.support.ports import free_port

GONE = {"release": "99"}
WRONG: tuple[tuple[dict[str, str], str], ...] = (
    ({"selected": ""}, "select one of"),
    ({"selected": "group"}, "say which"),
    ({"waves": "one, two"}, "Use rising percentages"),
    ({"waves": "50, 10, 100"}, "no valid waves"),
    ({"pace": "-1"}, "from 0"),
    ({"at_once": "0"}, "from 1"),
    ({"stop_percent": "200"}, "from 0.1 to 100"),
    ({"gate_on": "hope"}, "select one of"),
    ({"begin": "22:00"}, "Give both times"),
    ({"begin": "22:00", "end": "25:00"}, "is not a time of day"),
    ({"zone": "Mars/Base"}, "is not a time zone"),
    ({"release": ""}, "Release is missing"),
    (GONE, "no release"),
)
"""What is typed, and what the page says of it."""


@pytest.fixture
def bench(tmp_path: Path, new_sqlite_url: str) -> Iterator[Bench]:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=new_sqlite_url,
        mqtt_port=free_port(),
        firmware_signatures="optional",
        http_url="https://m.example",
    )
    with open_app(settings, upgrade=True) as app:
        yield Bench(app)


@pytest.fixture
def api(bench: Bench) -> Any:
    return create_app(bench.app)


@pytest.fixture
def operator(bench: Bench, api: Any) -> Browser:
    return person(bench.app, api, "operator")


def asked(release: Release, **more: str) -> dict[str, str]:
    """The form as it is sent unless somebody changes more than what has no default."""
    form = {"release": str(release.id), "selected": "all", "pace": "10", "at_once": "50"}
    return form | {"waves": "1, 10, 100", "stop_percent": "5", "gate_on": "confirmed"} | more


def newest(bench: Bench) -> Rollout:
    return bench.rollouts.listed(SYSTEM, limit=1)[0]


def test_a_rollout_is_started_from_a_published_release(bench: Bench, operator: Browser) -> None:
    assert "No published release." in operator.page("/rollouts").text
    (trap, _) = bench.fleet(2)
    release = bench.release()
    page = operator.page(f"/rollouts?release={release.id}")
    assert page.fields("/rollouts")["waves"] == "1, 10, 100"
    assert "trap:1.5.0 (home)" in page.text
    form = asked(release, selected="where", value="site = attic", waves="20, 100", pace="2.5")
    form |= {"gate_on": "installed", "begin": "22:00", "end": "04:00", "zone": "Europe/Berlin"}
    refused = operator.post("/rollouts", form)
    assert (refused.status_code, "the selection has no device" in refused.text) == (409, True)
    bench.app.service(Attributes).change(SYSTEM, trap.reference, {"site": "attic"})
    form |= {"bytes_per_second": "1000", "jitter_seconds": "5"}
    shown = operator.do("/rollouts", form | {"at_once": "", "reason": "Sleeps longer"})
    assert "1,000 bytes a second at most" in shown.text
    made = newest(bench)
    assert f"The rollout {made.id} of trap:1.5.0 is started." in shown.text
    plan, terms = made.job.plan, made.terms
    assert (plan.waves, plan.pace, plan.at_once, plan.stop_share) == ((20, 100), 2.5, None, 0.05)
    assert terms.gate_on is GateOn.INSTALLED and len(terms.windows) == 1
    assert (made.job.selection.where, made.job.reason) == ("site = attic", "Sleeps longer")
    for word in ("devices where site = attic", "22:00 to 04:00", "Sleeps longer"):
        assert word in shown.text, word
    assert "trap:1.5.0" in operator.page("/rollouts").text
    assert f'href="/rollouts/{made.id}"' in operator.page("/commands").source
    of_its_job = operator.get(f"/jobs/{made.id}")
    assert (of_its_job.status_code, of_its_job.headers["location"]) == (303, f"/rollouts/{made.id}")


def test_what_is_wrong_is_said_and_what_was_typed_stays(bench: Bench, operator: Browser) -> None:
    right = asked(bench.release(), reason="Because")
    for wrong, said in WRONG:
        answer = operator.post("/rollouts", right | wrong)
        assert answer.status_code == (404 if wrong == GONE else 422), wrong
        assert faults(answer.text) == []
        page = Html(answer.text)
        assert said in page.text, (wrong, page.text)
        assert wrong == GONE or page.fields("/rollouts")["reason"] == "Because", wrong
    assert bench.rollouts.listed(SYSTEM) == []


def test_a_second_person_approves(bench: Bench, api: Any, operator: Browser) -> None:
    bench.fleet(1)
    shown = operator.do("/rollouts", asked(bench.release(), approval="1"))
    address = f"/rollouts/{newest(bench).id}"
    assert "Not approved" in shown.text and "Somebody else has to approve it." in shown.text
    assert f"{address}/approve" not in shown.targets
    own = operator.post(f"{address}/approve")
    assert own.status_code == 403 and faults(own.text) == []
    other = person(bench.app, api, "operator", "home")
    page = other.page(address)
    assert f"{address}/approve" in page.targets
    # It is changed while somebody looks at it: what was looked at is not approved.
    operator.do(f"{address}/pace", page.fields(f"{address}/pace") | {"pace": "0"})
    late = other.post(f"{address}/approve", page.fields(f"{address}/approve"))
    assert late.status_code == 409 and "since you looked at it" in Html(late.text).text
    assert other.post(f"{address}/approve").status_code == 409  # nothing was looked at
    assert newest(bench).approval.open
    form = Html(late.text).fields(f"{address}/approve")
    assert "approved." in other.do(f"{address}/approve", form).text
    assert newest(bench).approval.by == "operator-home"


def test_what_an_open_page_is_sent(bench: Bench, operator: Browser) -> None:
    """Each cell of the page that is live has a value, and its value is that of the page."""
    bench.fleet(4)
    rollout = bench.start(bench.release(), replace(AT_ONCE, waves=(25.0, 100.0)))
    bench.work()
    sent = live.one(Ask(bench.app, SYSTEM, str(rollout.id), {}, 0))
    page = operator.page(f"/rollouts/{rollout.id}")
    cells = re.findall(rf'data-live="rollout:{rollout.id} ([^"]+)"', page.source)
    assert len(cells) > 15 and set(cells) <= sent.keys()
    assert f'state="running" href="/rollouts/{rollout.id}"></mooring-newer>' in page.source
    assert sent["gate"] in page.text and (sent["state"], sent["wave"]) == ("running", 1)
    assert sent["w1.open"] == 1 and sent["handed_over"] == 1
    listed = live.listed(Ask(bench.app, SYSTEM, str(rollout.id), {}, 0))
    cells = re.findall(r'data-live="rollouts:[\d,]+ ([^"]+)"', operator.page("/rollouts").source)
    assert set(cells) == listed.keys()
    assert listed == live.listed(Ask(bench.app, SYSTEM, f"{rollout.id + 1},{rollout.id}", {}, 0))
    with pytest.raises(MooringError):
        live.one(Ask(bench.app, Actor("eve", Role.ADMIN, "elsewhere"), str(rollout.id), {}, 0))


def test_it_is_paused_continued_changed_and_cancelled(bench: Bench, operator: Browser) -> None:
    bench.fleet(4)
    rollout = bench.start(bench.release(), replace(AT_ONCE, waves=(25.0, 100.0)))
    address = f"/rollouts/{rollout.id}"
    gate = bench.rollouts.shown(SYSTEM, rollout.id).gate
    page = operator.page(address)
    assert gate in page.text and "Wave 1" in page.source
    assert f"{address}/pause" in page.targets and f"{address}/retry" not in page.targets
    assert f'topic="job:{rollout.id}"' in page.source
    assert "It is paused." in operator.do(f"{address}/pause").text
    assert operator.post(f"{address}/pause").status_code == 409
    assert "continues" in operator.do(f"{address}/resume").text
    form = operator.page(address).fields(f"{address}/pace")
    assert form["at_once"] == "50" and form["stop_percent"] == "5"
    operator.do(f"{address}/pace", form | {"pace": "0.5", "at_once": "", "stop_after": "3"})
    plan = bench.of(rollout).job.plan
    assert (plan.pace, plan.at_once, plan.stop_after, plan.stop_share) == (0.5, None, 3, 0.05)
    wrong = operator.post(f"{address}/cancel", {"confirm": "yes"})
    assert wrong.status_code == 422
    assert f"Type {rollout.id} to confirm." in Html(wrong.text).text
    assert bench.of(rollout).job.state is State.RUNNING
    done = operator.do(f"{address}/cancel", {"confirm": str(rollout.id)})
    assert "Installs that have begun run on." in done.text
    bench.work()
    assert bench.of(rollout).job.state is State.CANCELLED
    assert f"{address}/cancel" not in operator.page(address).targets


def test_failed_devices_are_there_with_code_and_their_own_words(
    bench: Bench, operator: Browser
) -> None:
    traps = bench.fleet(4)
    bench.runs(traps[0], "1.5.0", connected=True)
    rollout = bench.start(bench.release(), ALL)
    address = f"/rollouts/{rollout.id}"
    bench.fails(bench.targets(rollout, "handed_over")[:1], "no_space", "48 kB left")
    page = operator.page(address)
    for word in ("no_space", "48 kB left", "no space", "already"):
        assert word in page.text, word
    only = operator.page(f"{address}?state=skipped").text.split("All states")[1]
    assert "trap0" in only and "trap1" not in only
    (failed,) = bench.targets(rollout, "failed")
    tab = operator.page(f"/devices/home:{failed.device}/firmware")
    assert "48 kB left" in tab.text and address in tab.links
    operator.do(f"{address}/retry")
    bench.work()
    assert bench.targets(rollout, "failed") == []
    bench.ends(bench.targets(rollout, "handed_over"), "confirmed")
    bench.device("trap9")
    assert "devices that came later" in operator.do(f"{address}/add").text
    bench.work()
    assert bench.of(rollout).job.counts.total == 5


def test_words_of_devices_are_text(bench: Bench, operator: Browser) -> None:
    bench.fleet(len(HOSTILE))
    rollout = bench.start(bench.release(), replace(ALL, stop_share=None))
    for target, text in zip(bench.targets(rollout, "handed_over"), HOSTILE, strict=True):
        bench.fails([target], text, text)
    page = operator.page(f"/rollouts/{rollout.id}")
    assert {tag.name for tag in page.tags} & {"iframe", "b", "object", "embed"} == set()
    assert "<script>alert(1)</script>" in page.text
    assert "\u202e" not in page.text and "\u2066" not in page.text
    device = bench.targets(rollout, "failed")[0].device
    operator.page(f"/devices/home:{device}/firmware")


def test_a_viewer_sees_it_and_another_tenant_does_not(bench: Bench, api: Any) -> None:
    bench.fleet(1)
    rollout = bench.start(bench.release())
    address = f"/rollouts/{rollout.id}"
    page = person(bench.app, api, "viewer").page(address)
    assert not [one for one in page.targets if one.startswith("/rollouts")]
    assert "New rollout" not in person(bench.app, api, "viewer").page("/rollouts").text
    bench.app.people.add_tenant(SYSTEM, "other")
    other = person(bench.app, api, "admin", "other")
    assert other.get(address).status_code == 404
    assert "trap:1.5.0" not in other.page("/rollouts").text
    form = asked(rollout.release)
    assert other.post("/rollouts", form).status_code == 404
    for word in ("approve", "pause", "resume", "retry", "add", "cancel", "pace"):
        assert other.post(f"{address}/{word}", {"confirm": str(rollout.id)}).status_code == 404
    for wrong in ("/rollouts/x", "/rollouts/99", f"/rollouts/{'9' * 40}"):
        assert other.get(wrong).status_code == 404


def test_a_proved_release_is_announced_and_retracted(bench: Bench, api: Any) -> None:
    fleet = Fleet(bench.app)
    fleet.trap("trap01")
    fleet.trap("trap02")
    release = fleet.release()
    rollout = fleet.proved(release)
    address = f"/rollouts/{rollout.id}"
    admin, operator = person(bench.app, api, "admin"), person(bench.app, api, "operator")
    assert "Announce to every device" not in operator.page(address).text
    assert operator.post(f"{address}/announce", {"confirm": str(rollout.id)}).status_code == 403
    assert "Announce to every device" in admin.page(address).text
    wrong = admin.post(f"{address}/announce", {"confirm": "no"})
    assert (wrong.status_code, fleet.document()) == (422, None)
    shown = admin.do(f"{address}/announce", {"confirm": str(rollout.id), "reason": "it works"})
    assert "global/firmware/latest" in shown.text
    assert fleet.document() is not None
    assert "had no update to it" not in admin.page("/devices/home:trap02/firmware").text
    assert "global/firmware/latest" in admin.page("/devices/home:trap02/firmware").text
    shown = admin.do(f"{address}/retract", {})
    assert "not announced any more" in shown.text
    assert fleet.document() is None
    fleet.releases.step(SYSTEM, str(release.id), Step.WITHDRAW, reason="it hangs")
    assert "trap:1.5.0 was withdrawn. No device runs it." in admin.page(address).text
