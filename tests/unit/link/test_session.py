"""Packet ids, answers and keep alive, which all MQTT clients of the platform share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.errors import BrokerUnavailable
from mooring.link.session import MAX_PACKET_ID, Answers, KeepAlive, PacketIds


@given(st.sets(st.integers(1, 40)), st.integers(1, 60))
def test_a_packet_id_is_valid_and_not_in_use(used: set[int], count: int) -> None:
    ids = PacketIds()
    given_ = [ids.next(used) for _ in range(count)]
    assert all(1 <= one <= MAX_PACKET_ID and one not in used for one in given_)
    assert len(set(given_)) == count  # none twice before all were given


def test_packet_ids_begin_again_and_skip_what_is_in_use() -> None:
    ids = PacketIds()
    assert [ids.next() for _ in range(MAX_PACKET_ID)] == list(range(1, MAX_PACKET_ID + 1))
    assert ids.next({1, 2}) == 3


def test_without_a_free_packet_id_nothing_is_sent() -> None:
    ids = PacketIds()
    with pytest.raises(BrokerUnavailable, match="65535 messages"):
        ids.next(range(MAX_PACKET_ID + 1))
    assert ids.next() == 1


def test_each_request_gets_its_own_answer() -> None:
    async def run() -> list[str]:
        answers: Answers[str] = Answers()
        sent: list[int] = []
        asking = [
            asyncio.create_task(answers.ask(n, lambda n=n: sent.append(n), 20))  # type: ignore[misc]
            for n in (1, 2)
        ]
        await asyncio.sleep(0)
        assert sent == [1, 2]
        assert 1 in answers
        assert 3 not in answers
        answers.give(3, "of nobody")
        answers.give(2, "two")
        answers.give(2, "two again")
        answers.give(1, "one")
        found = await asyncio.gather(*asking)
        assert 1 not in answers
        return found

    assert asyncio.run(run()) == ["one", "two"]


def test_an_answer_that_comes_while_sending_counts() -> None:
    async def run() -> str:
        answers: Answers[str] = Answers()
        return await answers.ask(1, lambda: answers.give(1, "here"), 20)

    assert asyncio.run(run()) == "here"


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (lambda answers: None, "did not answer within 0.01 s"),
        (lambda answers: answers.fail("The connection was lost."), "was lost"),
    ],
)
def test_without_an_answer_a_request_fails_and_its_number_is_free(
    then: Callable[[Answers[str]], None], why: str
) -> None:
    async def run() -> None:
        answers: Answers[str] = Answers()
        asking = asyncio.create_task(answers.ask(1, lambda: None, 0.01))
        await asyncio.sleep(0)
        then(answers)
        with pytest.raises(BrokerUnavailable, match=why):
            await asking
        assert 1 not in answers

    asyncio.run(run())


def test_a_request_that_cannot_be_sent_does_not_wait() -> None:
    async def run() -> None:
        answers: Answers[str] = Answers()

        def broken() -> None:
            raise OSError("closed")

        with pytest.raises(OSError, match="closed"):
            await answers.ask(1, broken, 20)
        assert 1 not in answers

    asyncio.run(run())


@pytest.mark.parametrize("most", [1, 4])
def test_a_connection_is_given_up_after_so_many_pings_without_an_answer(most: int) -> None:
    async def run() -> list[str]:
        seen: list[str] = []
        over = asyncio.Event()

        def give_up() -> None:
            seen.append("given up")
            over.set()

        alive = KeepAlive(0.001, lambda: seen.append("ping"), give_up, unanswered_most=most)
        alive.start()
        async with asyncio.timeout(20):
            await over.wait()
        await asyncio.sleep(0.01)
        return seen

    assert asyncio.run(run()) == ["ping"] * most + ["given up"]


def test_a_connection_that_answers_is_kept_until_it_stops() -> None:
    async def run() -> None:
        pings = 0
        enough = asyncio.Event()

        def ping() -> None:
            nonlocal pings
            pings += 1
            alive.heard()
            if pings == 10:
                alive.stop()
                enough.set()

        alive = KeepAlive(0.001, ping, lambda: pytest.fail("given up"))
        alive.start()
        async with asyncio.timeout(20):
            await enough.wait()
        await asyncio.sleep(0.01)
        assert pings == 10

    asyncio.run(run())
