"""Whether a device listens, asked of Mooring's plugin immediately before a message is sent."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

from mooring.broker.plugin_control import CONTROL, RESPONSE
from mooring.downlink.gate import NUDGE, Ears, silent
from mooring.downlink.protocol import Asked, Gate, Listening
from mooring.errors import BrokerUnavailable
from mooring.link.mqtt import MqttLink

__all__ = ["SUBSCRIBED", "PluginEars", "PluginGate"]

log = logging.getLogger(__name__)

SUBSCRIBED = "$mooring/authority/subscribed"
Answer = tuple[str, list[int]]

ANSWER_SECONDS = 5.0
PAIRS_AT_ONCE = 64  # in one question; the plugin answers no more
QUESTION_BYTES = 60_000


class PluginEars(Ears):
    """Receives what the plugin tells: devices that subscribe, and answers to questions."""

    filters = (SUBSCRIBED, RESPONSE, NUDGE)

    def __init__(self) -> None:
        super().__init__()
        self.link: MqttLink | None = None
        self._asked: dict[str, asyncio.Future[Answer]] = {}

    def listen(self, link: MqttLink) -> None:
        super().listen(link)
        self.link = link

    async def close(self) -> None:
        self.link = None
        await super().close()

    def lost(self) -> None:
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(silent("The connection to the broker was lost."))

    def heard(self, topic: str, payload: bytes) -> None:
        if topic == SUBSCRIBED:
            self.awake(payload.decode("utf-8", "replace"))
        elif topic == NUDGE:
            self.nudged(payload)
        elif topic == RESPONSE:
            self._answered(payload)

    async def ask(self, pairs: Sequence[tuple[str, str]]) -> Answer:
        """The start of the broker, and for each username and topic the number of a session that
        listens, or 0.

        Raises:
            BrokerUnavailable: the plugin did not answer.
        """
        link = self.link
        if link is None or not link.connected:
            raise silent("There is no connection to the broker.")
        nonce = secrets.token_hex(8)
        text = "-".join(f"{user.encode().hex()}.{topic.encode().hex()}" for user, topic in pairs)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[nonce] = answer
        question = json.dumps({"nonce": nonce, "listening": text})
        try:
            # The answer confirms it; a connection that is lost takes the question with it.
            await link.publish(CONTROL, question.encode())
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        except TimeoutError as exc:
            raise silent("The broker's plugin did not say which devices listen.") from exc
        finally:
            del self._asked[nonce]

    def _answered(self, payload: bytes) -> None:
        try:
            said = json.loads(payload)
            answer = self._asked.get(said["nonce"])
            if answer is None:
                return
            found = str(said["boot"]), [int(one) for one in said["listening"]]
        except (ValueError, KeyError, TypeError):
            return  # the answer to somebody else, who asked something else
        if not answer.done():
            answer.set_result(found)


class PluginGate:
    """A device listens when the plugin names a live session of it that is subscribed.

    Args:
        otherwise: the gate to use while the broker does not load the plugin any more.
    """

    def __init__(
        self, ears: PluginEars, otherwise: Callable[[], Gate | None] = lambda: None
    ) -> None:
        self._ears = ears
        self._otherwise = otherwise

    async def listening(self, asked: Sequence[Asked]) -> Mapping[int, Listening]:
        other = self._otherwise()
        return await (self._asked(asked) if other is None else other.listening(asked))

    async def _asked(self, asked: Sequence[Asked]) -> dict[int, Listening]:
        parts = list(_parts(asked))
        answers = await asyncio.gather(
            *(self._ears.ask([(one.username, one.topic) for one in part]) for part in parts)
        )
        found: dict[int, Listening] = {}
        for part, (boot, answer) in zip(parts, answers, strict=True):
            if len(answer) != len(part):
                raise BrokerUnavailable("The broker's plugin gave an answer that does not fit.")
            found |= {
                one.id: Listening(f"The device listened in session {session}.", f"{boot}:{session}")
                for one, session in zip(part, answer, strict=True)
                if session > 0
            }
        return found


def _parts(asked: Sequence[Asked]) -> Sequence[list[Asked]]:
    """As many as fit into one question."""
    parts: list[list[Asked]] = []
    room = 0
    for one in asked:
        size = 2 * (len(one.username.encode()) + len(one.topic.encode())) + 2
        if not parts or len(parts[-1]) >= PAIRS_AT_ONCE or size > room:
            parts.append([])
            room = QUESTION_BYTES
        parts[-1].append(one)
        room -= size
    return parts
