"""What Mosquitto's log says, line by line.

Pure: a line in, an event or ``None`` out. It knows the sentences of 2.0.11, tried one by one,
and those of 2.1, which puts ``[address:port]`` behind the client id and a colon before the
reason. It does not relate lines to each other: in 2.0 a rejected login reads
``Client <unknown> disconnected, not authorised.`` and names neither client nor username, and
only the ``New connection from …`` before it tells an address.

Devices choose parts of these lines: the client id, and the topic of a rejected message. So a
line counts only where it can be read in one way:

- Mosquitto cuts a line at 999 bytes. A line of that length has lost its end, which is the part
  that no device chooses, and is ``UNCLEAR``.
- The client id reaches to the *last* place where a sentence of the broker's can begin, and the
  broker's endings are a closed list in which none is the end of another.
- Where two texts of a device are in one line, the words between them may be there once.
- Lines that begin with a text of a device (``log_type subscribe``) are not read at all.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from mooring.broker.log_event import LogEvent, LogKind
from mooring.broker.sentences import reader_of, unclear

__all__ = ["LINE_BYTES_MAX", "LogEvent", "LogKind", "LogReader", "parse_line"]

LINE_BYTES_MAX = 999
"""Bytes of a line, its time included; Mosquitto cuts there and does not say so."""

_STAMP = re.compile(r"(?P<stamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d{4}|Z)?|\d{9,11}): ")


class LogReader:
    """Reads the lines of one broker, whose version decides how its sentences are built.

    Args:
        version: of the broker; the log itself says so later, when another one is started.
    """

    def __init__(self, version: tuple[int, ...]) -> None:
        self._addressed = version >= (2, 1)

    def read(self, line: str) -> LogEvent | None:
        """The event in the next line, as ``parse_line``."""
        event = parse_line(line, addressed=self._addressed)
        if event is not None and event.kind is LogKind.STARTING and event.reason:
            numbers = re.match(r"(\d+)\.(\d+)", event.reason)
            if numbers is not None:
                self._addressed = (int(numbers[1]), int(numbers[2])) >= (2, 1)
        return event


def parse_line(line: str, *, addressed: bool | None = None) -> LogEvent | None:
    """The event in one line of the log, or ``None`` for a line that tells nothing we use.

    Args:
        addressed: whether the broker writes ``[address:port]`` after a client id (2.1 does);
            ``None``: not known, for lines of which only the kind matters.
    """
    text = line.rstrip("\r\n")
    time = None
    stamp = _STAMP.match(text)
    sentence = text
    if stamp is not None:
        time, sentence = _time(stamp["stamp"]), text[stamp.end() :]
    read = reader_of(sentence)
    if read is None:
        return None
    if len(text) * 4 >= LINE_BYTES_MAX and len(text.encode(errors="replace")) >= LINE_BYTES_MAX:
        event: LogEvent | None = unclear(sentence)
    else:
        event = read(sentence, addressed)
    return None if event is None else replace(event, time=time)


def _time(stamp: str) -> datetime | None:
    try:
        if stamp.isdigit():
            return datetime.fromtimestamp(int(stamp), UTC)
        time = datetime.fromisoformat(stamp)
    except (ValueError, OverflowError, OSError):
        return None
    return time if time.tzinfo else None  # a local time of a zone we do not know is not a moment
