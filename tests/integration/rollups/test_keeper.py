"""The keeper: one piece of each kind of work in turn, and the process around it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from mooring.app import App, open_app
from mooring.ingest.plan import Plan
from mooring.ingest.projections import Projections
from mooring.ingest.sinks import open_sink
from mooring.run.keeper import SWEEP_EVERY_MS, Keeper
from mooring.settings import Settings
from mooring.store import partitions
from mooring.store.engine import now_ms
from mooring.store.schema import channels, messages, processes, rollups
from tests.support.cli import Cli
from tests.support.waiting import wait_until

DAY = 86_400_000


def settings_for(url: str, tmp_path: Path, **more: int) -> Settings:
    if url.startswith("sqlite"):
        return Settings(data_dir=tmp_path, **more)  # type: ignore[arg-type]
    return Settings(data_dir=tmp_path, database_url=url, **more)  # type: ignore[arg-type]


def ingest(app: App, rows: list[tuple[int, dict[str, object]]]) -> None:
    """A batch through the real sink of this database."""
    with app.database.write() as connection:
        if connection.execute(sa.select(channels.c.id)).first() is None:
            connection.execute(
                sa.insert(channels).values(
                    id=1, dialect="mooring", name="telemetry", kind="telemetry"
                )
            )
    sink = open_sink(app.settings, Projections())
    plan = Plan(
        messages=[
            (1, 1, ts, ts, None, 0, n, json.dumps({"ts": ts, "values": values}))
            for n, (ts, values) in enumerate(rows)
        ]
    )
    assert sink.commit(plan, "test", 1, 0).stored == len(rows)
    sink.close()


def turns(keeper: Keeper, now: int) -> None:
    while keeper.turn(now):
        pass


def count(app: App, table: sa.Table) -> int:
    with app.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_messages_of_a_real_sink_become_rollups_and_are_deleted(
    any_database_url: str, tmp_path: Path
) -> None:
    terms = {"retention_days": 8, "retention_minutes_days": 20, "retention_rollups_days": 40}
    with open_app(settings_for(any_database_url, tmp_path, **terms), upgrade=True) as app:
        keeper = Keeper(app, app.database, deletion_time=lambda now: now)
        now = now_ms()
        ingest(app, [(now - n * 1000, {"t": n}) for n in range(100)])
        assert app.database.is_sqlite or partitions.create_ahead(app.database, now) == []
        turns(keeper, now + 120_000)
        assert keeper.detail()["rolled_up"] == 100
        assert count(app, rollups) > 0
        for days, minutes_left, any_left in (
            (10, True, True),
            (22, False, True),
            (42, False, False),
        ):
            turns(keeper, now + days * DAY)
            with app.database.read() as connection:
                levels = set(connection.execute(sa.select(rollups.c.level).distinct()).scalars())
            assert (0 in levels, bool(levels)) == (minutes_left, any_left)
        turns(keeper, now + 42 * DAY + SWEEP_EVERY_MS)
        assert count(app, messages) == (1 if app.database.is_sqlite else 0)


def test_a_new_dialect_is_noticed(tmp_path: Path) -> None:
    from mooring.store import versions

    settings = Settings(data_dir=tmp_path)
    with open_app(settings, upgrade=True) as app:
        keeper = Keeper(app, app.database, deletion_time=lambda now: now)
        ingest(app, [(now_ms(), {"t": 1})])
        turns(keeper, now_ms() + 120_000)
        settings.dialects_dir.mkdir(parents=True, exist_ok=True)
        (settings.dialects_dir / "shed.toml").write_text(
            'name = "shed"\ntitle = "Shed"\nusername = "{device}"\nclient_id = "{device}"\n'
            '[placeholders]\ndevice = "device"\n'
            '[[channels]]\nname = "t"\ntopic = "shed/{device}/t"\ndirection = "up"\n'
            'kind = "telemetry"\n'
        )
        with app.database.write() as connection:
            versions.bump(connection, "dialects")
            connection.execute(
                sa.insert(channels).values(id=2, dialect="shed", name="t", kind="telemetry")
            )
        at = now_ms() - 1000
        sink = open_sink(settings, Projections())
        sink.commit(Plan(messages=[(2, 2, at, at, None, 0, 5, '{"x": 7}')]), "test", 2, 0)
        sink.close()
        turns(keeper, now_ms() + 240_000)
        with app.database.read() as connection:
            found = connection.execute(
                sa.select(sa.func.count()).where(rollups.c.device_id == 2)
            ).scalar()
        assert found


def test_the_process_says_that_it_lives_and_ends_when_told(run_cli: Cli) -> None:
    run_cli("db", "migrate")
    child = run_cli.start("keeper")
    with open_app(Settings(data_dir=run_cli.data_dir)) as app:

        def figures() -> dict[str, object] | None:
            with app.database.read() as connection:
                row = connection.execute(
                    sa.select(processes.c.detail).where(processes.c.role == "keeper")
                ).scalar()
            return None if row is None else json.loads(row)

        wait_until(lambda: figures() is not None, "the keeper to sign on", timeout=60)
        assert set(figures() or ()) >= {"waiting", "rolled_up", "longest_write_ms"}
        assert child.end(signal.SIGTERM) == 0
        assert figures() is None


def test_retention_and_export_on_the_command_line(run_cli: Cli, tmp_path: Path) -> None:
    run_cli("db", "migrate")
    run_cli("device", "add", "d1", "--dialect", "mooring", "--json", expect=None)
    with open_app(Settings(data_dir=run_cli.data_dir)) as app:
        at = now_ms()
        ingest(app, [(at + n, {"t": n}) for n in range(5)])
    file = tmp_path / "out.jsonl"
    done = run_cli(
        "telemetry", "export", "d1", "--format", "jsonl", "-o", str(file), "--json"
    ).json()
    assert done == {"messages": 5, "file": str(file)}
    assert len(file.read_text(encoding="utf-8").splitlines()) == 5
    text = run_cli("telemetry", "export", "--all").stdout
    assert text.count("\n") == 6
    run_cli("telemetry", "export", expect=2)
    run_cli("telemetry", "export", "d1", "--format", "parquet", expect=2)
    run_cli("retention", "set", "30", "--kind", "heartbeat", expect=2)  # nobody to ask
    run_cli("retention", "set", "30", "--kind", "heartbeat", "--yes")
    listed = run_cli("retention", "list", "--json").json()
    assert listed == {
        "settings": {"messages": 400, "rollup_minutes": 400, "rollups": 1830},
        "rules": [{"tenant": "", "kind": "heartbeat", "days": 30}],
    }
    assert run_cli("retention", "run", "--json").json() == {
        "messages": 0,
        "rollups": 0,
        "partitions": 0,
    }
    run_cli("retention", "unset", "--kind", "heartbeat")
    run_cli("retention", "unset", "--kind", "heartbeat", expect=3)


@pytest.mark.parametrize("words", [("retention", "list"), ("retention", "run")])
def test_without_a_platform_it_says_so(run_cli: Cli, words: tuple[str, ...]) -> None:
    run_cli(*words, expect=3)
