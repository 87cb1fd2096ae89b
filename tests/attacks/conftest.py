"""A platform that is attacked, in the authority and on the database the environment names.

``MOORING_ATTACK_AUTHORITY`` (dynamic_security, password_file, plugin) and
``MOORING_ATTACK_DATABASE`` (sqlite, postgresql). ``make attacks`` goes through all of them.
Each attack is a test with ``@pytest.mark.attack("its name")``; one that makes no sense
somewhere calls ``pytest.skip`` with the reason, and the table says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.stand import Attacked, Combination, unavailable
from tests.support.platform import running_platform


@pytest.fixture(scope="session")
def combination() -> Combination:
    return Combination.from_environment()


@pytest.fixture(scope="module")
def attack_settings() -> dict[str, str]:
    """Further variables for the platform of one module, which may override this."""
    return {}


Platforms = Callable[[dict[str, str]], Attacked]


@pytest.fixture(scope="package")
def platforms(
    combination: Combination,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platforms]:
    """Settings → a running platform with them. Modules with the same settings share one."""
    running: dict[frozenset[tuple[str, str]], Attacked] = {}
    with ExitStack() as stack:

        def with_settings(settings: dict[str, str]) -> Attacked:
            key = frozenset(settings.items())
            if key not in running:
                # Many attacks wait for a denial: none may be missed because another one was loud.
                env = {
                    "MOORING_AUTH_MODE": combination.authority,
                    "MOORING_WATCH_DENIALS": "on",
                } | settings
                if combination.database == "postgresql":
                    server = request.getfixturevalue("postgres_server")
                    env["MOORING_DATABASE_URL"] = server.create_database()
                if binary := os.environ.get("MOORING_TEST_MOSQUITTO"):
                    env["MOORING_MOSQUITTO"] = binary
                folder = tmp_path_factory.mktemp("attacked") / "data"
                platform = stack.enter_context(running_platform(folder, env=env))
                running[key] = Attacked(platform, combination)
            return running[key]

        yield with_settings


@pytest.fixture(scope="module")
def attacked_platform(
    combination: Combination, attack_settings: dict[str, str], platforms: Platforms
) -> Attacked:
    if reason := unavailable(combination):
        pytest.skip(reason)
    return platforms(attack_settings)


@pytest.fixture
def attacked(attacked_platform: Attacked) -> Iterator[Attacked]:
    """The module's platform; connections an attack leaves open are closed after it."""
    yield attacked_platform
    attacked_platform.end_clients()


# ---------------------------------------------------------------------- the table


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """One line for each step of an attack in the file that ``python -m tests.attacks`` reads."""
    outcome = yield
    path, mark = os.environ.get("MOORING_ATTACK_REPORT"), item.get_closest_marker("attack")
    if not path or mark is None:
        return
    report = outcome.get_result()  # type: ignore[attr-defined]
    line = {
        "attack": mark.args[0],
        "test": item.nodeid,
        "step": call.when,
        "outcome": report.outcome,
        "reason": str(call.excinfo.value) if call.excinfo is not None else "",
    }
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    unmarked = [
        item.nodeid
        for item in items
        if here in item.path.parents and item.get_closest_marker("attack") is None
    ]
    if unmarked:
        raise pytest.UsageError(f"Without @pytest.mark.attack(name): {', '.join(unmarked)}")
