"""``python -m bench``: everything, in about twenty minutes; ``--help`` names the parts."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import fleet, growth, idle, ingest, latency, memory, parts, results, stored
from bench.contestants import ALL
from bench.report import report

Options = argparse.Namespace


def _ingest(options: Options) -> dict[str, Any]:
    return ingest.measure(
        only=options.only, rounds=options.rounds, seconds=options.seconds, say=say
    )


def _fleet(options: Options) -> dict[str, Any]:
    return fleet.measure(
        devices=options.devices,
        rows=options.rows,
        rounds=options.rounds,
        seconds=options.seconds,
        stores=[options.store] if options.store else fleet.STORES,
        shuffled=options.shuffled,
        say=say,
    )


def _latency(options: Options) -> dict[str, Any]:
    return latency.measure(seconds=options.seconds, say=say, postgres=not options.sqlite_only)


def _stored(options: Options) -> dict[str, Any]:
    return stored.measure(
        rows=options.rows,
        devices=options.devices,
        rounds=options.rounds,
        seconds=options.seconds,
        name=options.store,
        say=say,
    )


def _case(options: Options) -> str:
    """Of which benchmark several results are kept, and which this is."""
    if options.command == "fleet":
        return f"{options.devices} {options.rows}" + (" shuffled" if options.shuffled else "")
    return f"{options.store} {options.rows}" if options.command == "stored" else ""


def _memory(options: Options) -> dict[str, Any]:
    return memory.measure(minutes=options.minutes, rate=options.rate, name=options.store, say=say)


def _parts(_options: Options) -> dict[str, Any]:
    return {"steps": parts.measure()}


def _growth(options: Options) -> dict[str, Any]:
    return growth.measure(devices=options.devices, changes=options.changes, say=say)


def _idle(options: Options) -> dict[str, Any]:
    return idle.measure(seconds=options.seconds, warm_up=options.warm_up, say=say)


PARTS = {
    "fleet": _fleet,
    "ingest": _ingest,
    "latency": _latency,
    "stored": _stored,
    "memory": _memory,
    "parts": _parts,
    "growth": _growth,
    "idle": _idle,
}


def say(text: str) -> None:
    """Tells how far it is; tables come at the end."""
    print(text, file=sys.stderr, flush=True)


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = sorted(set(names) - set(ALL))
    if unknown or not names:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown) or 'nothing'} is not among {', '.join(ALL)}"
        )
    return names


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    made.add_argument("--output", type=Path, default=results.DIRECTORY, help="where results go")
    commands = made.add_subparsers(dest="command", title="benchmarks")

    one = commands.add_parser("fleet", help="thousands of devices in turn, side by side")
    one.add_argument("--devices", type=int, default=10_000)
    one.add_argument("--rows", type=int, default=2_000_000, help="stored before; 0: none")
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--seconds", type=float, default=5.0, help="of one run, about")
    one.add_argument("--store", choices=fleet.STORES, help="only this one")
    one.add_argument("--shuffled", action="store_true", help="not in the order of their numbers")

    one = commands.add_parser("ingest", help="sustained rates, side by side")
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--seconds", type=float, default=5.0, help="of one run, about")
    one.add_argument("--only", type=_names, default=[], help=f"some of: {', '.join(ALL)}")

    one = commands.add_parser("latency", help="from publish to committed")
    one.add_argument("--seconds", type=float, default=10.0, help="at each rate")
    one.add_argument("--sqlite-only", action="store_true")

    one = commands.add_parser("stored", help="with many rows stored")
    one.add_argument("--rows", type=int, default=10_000_000)
    one.add_argument("--devices", type=int, default=10_000)
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--seconds", type=float, default=5.0, help="of one run, about")
    one.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")

    one = commands.add_parser("memory", help="ingest's memory under load")
    one.add_argument("--minutes", type=float, default=10.0)
    one.add_argument("--rate", type=float, default=memory.RATE, help="messages a second")
    one.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")

    commands.add_parser("parts", help="ingest's steps, one by one")

    one = commands.add_parser("growth", help="one more device among many")
    one.add_argument("--devices", type=int, default=100_000)
    one.add_argument("--changes", type=int, default=20)

    one = commands.add_parser("idle", help="memory and CPU of a quiet demo")
    one.add_argument("--seconds", type=float, default=60.0)
    one.add_argument("--warm-up", type=float, default=idle.WARM_UP_SECONDS)

    commands.add_parser("show", help="the tables of the last figures")
    commands.add_parser("reference", help="make the last figures the reference, in the docs too")
    return made


def main(words: Sequence[str] | None = None) -> None:
    made = parser()
    options = made.parse_args(words)
    if options.command == "show":
        print(report(results.read(options.output)))
        return
    if options.command == "reference":
        print(f"Written: {results.make_reference(options.output)}")
        return
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    if options.command is None:
        # One after the other, with fewer minutes than each has alone.
        short = {
            "fleet": ["--rounds", "2"],
            "memory": ["--minutes", "2"],
            "stored": ["--rounds", "2"],
        }
        for name in PARTS:
            main(["--output", str(options.output), name, *short.get(name, [])])
        return
    figures = PARTS[options.command](options)
    case = _case(options)
    page = results.keep(options.output, options.command, figures, case)
    shown = {case: figures} if case else figures
    print(report({options.command: shown, "machine": results.facts()}))
    say(f"Kept beside the other figures in {page}.")


if __name__ == "__main__":
    main()
