"""Commands step by step: handing over, time, sessions, limits; on both databases."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from mooring.commands.model import NewCommand
from mooring.commands.projection import CommandReplies, Heard, Reply
from mooring.commands.rules import ATTEMPTS_MAX, Event
from mooring.errors import BrokerUnavailable, Conflict, Forbidden, Invalid, NotFound
from mooring.identity.actor import SYSTEM, Actor, Role
from mooring.store.engine import now_ms
from mooring.store.schema import audit, commands, downlinks
from tests.integration.commands.conftest import NOBODY, OK, Stand

SDK = {"metadata": json.dumps({"sdk": "1.0"}), "metadata_at": 1}


def test_a_command_waits_until_its_device_listens(stand: Stand) -> None:
    lamp = stand.device()
    sent = stand.send(lamp, parameters={"delay": 5}, reason="it hangs")
    stand.step()
    assert (stand.state(sent), stand.link.sent) == ("queued", [])
    stand.listens(lamp)
    stand.step()
    topic, payload, expires, retain = stand.link.sent[0]
    assert topic == "mooring/a/lamp/command/reboot"
    assert json.loads(payload)["args"] == {"delay": 5}
    assert json.loads(payload)["id"] == sent.uid
    assert 0 < expires <= 60
    assert retain is False
    found = stand.now(sent)
    assert (found.state, found.attempts) == ("sent", 1)
    assert "It listens." in found.evidence[-1].detail
    stand.step(3)
    assert len(stand.link.sent) == 1


def test_commands_of_a_device_go_out_in_order_and_ten_at_a_time(stand: Stand) -> None:
    lamp = stand.device()
    other = stand.device("other")
    every = [stand.send(lamp, f"c{n}") for n in range(14)]
    stand.listens(lamp)
    stand.listens(other)
    stand.step(3)
    names = [topic.rsplit("/", 1)[1] for topic, *_ in stand.link.sent]
    assert names == [f"c{n}" for n in range(10)]
    one = stand.send(other)
    stand.step()
    assert stand.state(one) == "sent", "a device that never answers blocks no other"
    stand.pass_deadline(every[0])
    assert stand.state(every[0]) == "timed_out"
    stand.step(2)
    names = [topic.rsplit("/", 1)[1] for topic, *_ in stand.link.sent]
    assert names[-1] == "c10", "an outcome makes room for the next one"


def test_nobody_subscribed_is_no_delivery(stand: Stand) -> None:
    lamp = stand.device()
    sent = stand.send(lamp)
    stand.listens(lamp)
    stand.link.answer = lambda: NOBODY
    stand.step()
    assert stand.state(sent) == "queued"
    stand.link.answer = lambda: OK
    stand.listens(lamp)
    stand.step()
    assert stand.state(sent) == "sent"


def test_what_may_have_been_sent_is_not_sent_again(stand: Stand) -> None:
    lamp = stand.device()
    sent = stand.send(lamp)
    stand.listens(lamp)

    def lost() -> None:
        raise BrokerUnavailable("no answer")

    stand.link.answer = lost  # type: ignore[assignment]
    stand.step()
    assert stand.state(sent) == "sent"
    assert "may have arrived" in stand.now(sent).evidence[-1].detail


@pytest.mark.parametrize("sdk", [False, True])
def test_a_sender_that_was_killed_while_sending(stand: Stand, *, sdk: bool) -> None:
    """Marked, and nobody knows whether it left: once for firmware, again for the SDK."""
    lamp = stand.device()
    if sdk:
        stand.connection(lamp, connected=True, **SDK)
    sent = stand.send(lamp)
    with stand.app.database.write() as connection:
        connection.execute(
            sa.update(downlinks).values(state="sending", attempts=1, sent_at=now_ms())
        )
    stand.listens(lamp)
    stand.sender = stand.new_sender()
    stand.step()
    assert (stand.state(sent), len(stand.link.sent)) == ("sent", 1 if sdk else 0)


def test_the_sdk_gets_it_again_after_its_session_ended(stand: Stand) -> None:
    lamp = stand.device()
    stand.connection(lamp, connected=True, **SDK)
    sent = stand.send(lamp)
    assert sent.delivery == "at_least_once"
    stand.listens(lamp)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        stand.step()
        assert (stand.state(sent), stand.now(sent).attempts) == ("sent", attempt)
        with stand.app.database.write() as connection:
            connection.execute(sa.update(commands).values(sent_at=1))
        stand.connection(lamp, connected=False, **SDK)
        stand.keep()
        again = attempt < ATTEMPTS_MAX
        assert stand.state(sent) == ("queued" if again else "sent")
    assert len({payload for _, payload, *_ in stand.link.sent}) == 1, "the same command each time"


def test_what_a_lost_session_had_goes_out_again_before_what_follows(stand: Stand) -> None:
    """The device is back and subscribed before anything else has told that it was away."""
    lamp = stand.device()
    stand.connection(lamp, connected=True, **SDK)
    stand.send(lamp, "c1")
    stand.send(lamp, "c2")
    stand.listens(lamp)
    stand.step()
    stand.send(lamp, "c3")
    stand.gate.session = "boot:2"
    stand.listens(lamp)
    stand.step(3)
    names = [topic.rsplit("/", 1)[1] for topic, *_ in stand.link.sent]
    assert names == ["c1", "c2", "c1", "c2", "c3"]


def test_other_firmware_never_gets_it_twice(stand: Stand) -> None:
    lamp = stand.device()
    stand.connection(lamp, connected=True)
    sent = stand.send(lamp)
    assert sent.delivery == "at_most_once"
    stand.listens(lamp)
    stand.step()
    with stand.app.database.write() as connection:
        connection.execute(sa.update(commands).values(sent_at=1))
    stand.connection(lamp, connected=False)
    stand.keep()
    assert stand.state(sent) == "sent"
    stand.step(2)
    assert len(stand.link.sent) == 1


def test_a_new_session_shows_that_a_trap_has_restarted(stand: Stand) -> None:
    trap = stand.device("trap", "mousetrap", mac="AA:BB:CC:DD:EE:01")
    reboot, other = stand.send(trap), stand.send(trap, "blink")
    stand.listens(trap)
    stand.step()
    with stand.app.database.write() as connection:
        connection.execute(sa.update(commands).values(sent_at=1))
    stand.connection(trap, connected=False)
    stand.keep()
    assert stand.state(reboot) == "sent"
    stand.connection(trap, connected=True)
    stand.keep()
    assert (stand.state(reboot), stand.now(reboot).evidence[-1].kind) == ("done", "effect")
    stand.pass_deadline(other)
    assert stand.state(other) == "unconfirmed"


def test_time_ends_what_waits(stand: Stand) -> None:
    lamp = stand.device()
    queued = stand.send(lamp)
    stand.pass_deadline(queued)
    assert stand.state(queued) == "expired"
    stand.listens(lamp)
    stand.step(2)
    assert stand.link.sent == [], "what has expired is never handed over"


def test_cancelling(stand: Stand) -> None:
    lamp = stand.device(dialect="drivesafe")  # has no way to cancel what was sent
    first, second = stand.send(lamp), stand.send(lamp, "other")
    assert stand.commands.cancel(SYSTEM, first.id, reason="wrong lamp").state == "cancelled"
    stand.listens(lamp)
    stand.step(2)
    assert [json.loads(payload)["command"] for _, payload, *_ in stand.link.sent] == ["other"]
    with pytest.raises(Conflict) as caught:
        stand.commands.cancel(SYSTEM, second.id)
    assert caught.value.slug == "already_sent"
    with pytest.raises(Conflict) as caught:
        stand.commands.cancel(SYSTEM, first.id)
    assert caught.value.slug == "command_over"
    with stand.app.database.read() as connection:
        actions = connection.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars()
        assert [one for one in actions if one.startswith("command.")] == [
            "command.send",
            "command.send",
            "command.cancel",
        ]


def test_a_device_is_asked_to_cancel_what_it_has(stand: Stand) -> None:
    """The command stays as it is, and the message does not wait behind other commands."""
    lamp = stand.device()
    stand.listens(lamp)
    sent = stand.send(lamp, parameters={"n": 1})
    stand.step(2)
    assert stand.state(sent) == "sent"
    stand.gate.usernames.clear()
    waits = stand.send(lamp, "later")
    asked = stand.commands.cancel(SYSTEM, sent.id, reason="wrong lamp")
    assert (asked.state, asked.cancel_asked) == ("sent", True)
    assert asked.due_at == stand.now(sent).due_at
    stand.link.sent.clear()
    stand.step(2)
    (message,) = stand.link.sent
    assert message[0] == "mooring/a/lamp/cancel"
    assert json.loads(message[1])["id"] == sent.uid
    assert message[3] is False, "never retained"
    assert stand.state(waits) == "queued"
    with stand.app.database.write() as connection:
        answer = Reply(lamp.id, sent.uid, Event.CANCELLED, None, "cancelled")
        CommandReplies().apply(connection, Heard([answer]))
    over = stand.now(sent)
    assert (over.state, over.over, over.late) == ("cancelled", True, False)
    with pytest.raises(Conflict) as caught:
        stand.commands.cancel(SYSTEM, sent.id)
    assert caught.value.slug == "command_over"


def test_a_command_that_was_queued_again_is_cancelled_here_and_there(stand: Stand) -> None:
    """Nothing shows that the device has it; nothing shows that it has not."""
    lamp = stand.device()
    sent = stand.send(lamp)
    with stand.app.database.write() as connection:
        connection.execute(sa.update(commands).values(attempts=1))
    assert stand.commands.cancel(SYSTEM, sent.id).state == "cancelled"
    stand.step(2)
    assert [topic for topic, *_ in stand.link.sent] == ["mooring/a/lamp/cancel"]


def test_what_is_on_its_way_is_neither_cancelled_nor_expired(stand: Stand) -> None:
    lamp = stand.device()
    sent = stand.send(lamp)
    with stand.app.database.write() as connection:
        connection.execute(sa.update(downlinks).values(state="sending"))
    with pytest.raises(Conflict) as caught:
        stand.commands.cancel(SYSTEM, sent.id)
    assert caught.value.slug == "already_sent"
    with stand.app.database.write() as connection:
        connection.execute(sa.update(commands).values(due_at=1))
    assert stand.keeper.step() == 0
    assert stand.state(sent) == "queued"


def test_one_id_is_one_command(stand: Stand) -> None:
    lamp = stand.device()
    first = stand.send(lamp, uid="mine", parameters={"n": 1})
    assert stand.send(lamp, uid="mine", parameters={"n": 1}).id == first.id
    with pytest.raises(Conflict) as caught:
        stand.send(lamp, uid="mine", parameters={"n": 2})
    assert caught.value.slug == "command_id_taken"
    assert stand.send(stand.device("other"), uid="mine").id != first.id


def test_limits(stand: Stand) -> None:
    lamp = stand.device()
    for number in range(20):
        stand.send(lamp, f"c{number}")
    with pytest.raises(Conflict) as caught:
        stand.send(lamp, "one-more")
    assert caught.value.slug == "limit_reached"
    assert caught.value.context["limit"] == "commands_max_per_device"


def test_a_packet_that_the_board_would_drop_is_rejected(stand: Stand) -> None:
    trap = stand.device("trap", "mousetrap", mac="AA:BB:CC:DD:EE:02")
    with pytest.raises(Invalid) as caught:
        stand.send(trap, "blink", parameters={"text": "x" * 256})
    assert caught.value.slug == "packet_too_large"
    assert caught.value.context["most"] == 256
    assert str(caught.value.context["bytes"]) in caught.value.message
    stand.send(trap, "blink", parameters={"text": "x" * 20})


def test_now_needs_a_connection(stand: Stand) -> None:
    lamp = stand.device()
    with pytest.raises(Conflict) as caught:
        stand.send(lamp, now=True)
    assert caught.value.slug == "device_not_connected"
    stand.connection(lamp, connected=True)
    sent = stand.send(lamp, now=True)
    assert sent.expires_at - sent.created_at == 30_000


@pytest.mark.parametrize("name", ["", "a/b", "a+b", "#"])
def test_names_that_are_no_word_of_a_topic(stand: Stand, name: str) -> None:
    with pytest.raises(Invalid):
        stand.send(stand.device(), name)


def test_roles_and_tenants(stand: Stand) -> None:
    lamp = stand.device()
    sent = stand.send(lamp)
    viewer, foreign = Actor("eve", Role.VIEWER, "a"), Actor("mallory", Role.ADMIN, "b")
    with pytest.raises(Forbidden):
        stand.commands.send(viewer, lamp.reference, NewCommand("reboot"))
    with pytest.raises(Forbidden):
        stand.commands.cancel(viewer, sent.id)
    assert stand.commands.get(viewer, sent.id).uid == sent.uid
    for call in (
        lambda: stand.commands.send(foreign, lamp.reference, NewCommand("reboot")),
        lambda: stand.commands.get(foreign, sent.id),
        lambda: stand.commands.cancel(foreign, sent.id),
        lambda: stand.commands.listed(foreign, device=lamp.reference),
    ):
        with pytest.raises(NotFound):
            call()
    assert stand.commands.listed(foreign) == []
    assert [one.id for one in stand.commands.listed(viewer)] == [sent.id]


def test_a_command_that_fails_stops_no_other(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = stand.device()
    bad, good = stand.send(lamp, "bad"), stand.send(lamp, "good")
    withdraw = type(stand.commands).withdraw

    def failing(self: object, connection: object, command: object) -> bool:
        if command.name == "bad":  # type: ignore[attr-defined]
            raise ValueError("a fault of this row")
        return withdraw(self, connection, command)  # type: ignore[arg-type]

    monkeypatch.setattr(type(stand.commands), "withdraw", failing)
    with stand.app.database.write() as connection:
        connection.execute(sa.update(commands).values(due_at=1))
    stand.keep()
    assert (stand.state(bad), stand.state(good)) == ("queued", "expired")
    assert stand.keeper.faults.failures == 1
