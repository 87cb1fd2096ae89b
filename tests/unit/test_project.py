"""What a stranger meets: pages whose links work, commands that exist, locks that agree."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mooring import __version__
from tests.support.markdown import anchors, commands, links
from tests.support.source import ROOT, modules, tracked_files

DOCS = ROOT / "docs"

# What must not be in the project. Spelled in pieces, so that this file can be searched as well.
HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "crates" + ".io",
    "deb.debian" + ".org",
    "repo.maven" + ".apache",
    "proxy.golang" + ".org",
]
PLACES = ["work", "root"]
WORKPLACE = [
    "seeds" + "/",
    "../" + "shared",
    "DESIGN" + r"\.md",
    r"sub-?" + "agent",
    r"(?:AI|coding) (?:agent|" + "assistant|helper)",
    "language " + "model",
    r"\bLL" + "M",
    r"\bClau" + "de",
    "context " + "window",
]
FORBIDDEN = re.compile(
    "|".join(
        [
            *(re.escape(host) for host in HOSTS),
            # a path from the root of the disk; not the end of a relative one, nor of a topic
            *(rf"(?<![\w}}*+>.~/-])/{place}/" for place in PLACES),
            *WORKPLACE,
        ]
    )
)


def text_of(path: Path) -> str:
    """The file's text; nothing for a file that is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def pages() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ------------------------------------------------------------------------- pages


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))


def test_every_make_command_on_a_page_is_a_target() -> None:
    targets = make_targets()
    assert {"demo", "up", "test", "lint", "types", "bench", "soak", "clean", "help"} <= targets
    unknown = [
        f"{named(page)}: make {word}"
        for page in pages()
        for word in commands(text_of(page), "make")
        if word not in targets
    ]
    assert unknown == []


def test_the_readme_shows_the_three_commands() -> None:
    shown = commands(text_of(ROOT / "README.md"), "make")
    assert [word for word in dict.fromkeys(shown) if word != "help"] == ["demo", "up", "test"]


def test_make_help_names_every_target_people_call() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert make_targets() - explained == {"setup", "setup-test"}


def broken_links(page: Path) -> Iterator[str]:
    for link in links(text_of(page)):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue  # another site: not ours to keep
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            yield f"{named(page)}: {link}"
        elif anchor and target.suffix == ".md" and anchor not in anchors(text_of(target)):
            yield f"{named(page)}: {link} (no such heading)"


def test_every_link_on_a_page_resolves() -> None:
    assert [broken for page in pages() for broken in broken_links(page)] == []


def targets_of(page: Path) -> set[Path]:
    return {(page.parent / link.partition("#")[0]).resolve() for link in links(text_of(page))}


def test_every_page_in_docs_is_linked_from_its_index() -> None:
    index = DOCS / "README.md"
    inside = {path for path in pages() if DOCS in path.parents and path != index}
    assert sorted(named(path) for path in inside - targets_of(index)) == []


def test_every_other_file_in_docs_is_linked_from_a_page() -> None:
    linked = {target for page in pages() for target in targets_of(page)}
    others = {path for path in tracked_files() if DOCS in path.parents and path.suffix != ".md"}
    assert sorted(named(path) for path in others - linked) == []


def test_the_changelog_has_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert __version__ in headings


def test_the_package_says_the_same_version() -> None:
    assert project(ROOT)["version"] == __version__


# ------------------------------------------------------------------------- set-up


def set_up(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "setup.sh", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("words", [("--for", "nothing"), ("--for",), ("--for=",), ("test",)])
def test_set_up_refuses_what_it_does_not_know(words: tuple[str, ...]) -> None:
    done = set_up(*words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "usage: scripts/setup.sh [--for run|test]\n"


def test_set_up_explains_itself() -> None:
    done = set_up("--help")
    assert done.returncode == 0
    assert "scripts/setup.sh --for test" in done.stdout
    assert "set -eu" not in done.stdout


# ------------------------------------------------------------------------- what is in no file


def test_nothing_of_the_place_it_was_made_in_is_left() -> None:
    found = [
        f"{named(path)}:{number}: {match[0]}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        for match in FORBIDDEN.finditer(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "forbidden"),
    [
        ("open /" + "work/main", True),
        ('"/' + 'root/.ssh"', True),
        ("https://pypi" + ".org/simple", True),
        ("topic home/" + "work/lamp", False),
        ("user root", False),
        ("framework/", False),
    ],
)
def test_what_is_searched_for(line: str, forbidden: bool) -> None:
    assert bool(FORBIDDEN.search(line)) is forbidden


# ------------------------------------------------------------------------- locks


def project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = pyproject(folder)["project"]
    return table


def pyproject(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Package → its version and hashes in a lock file."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    name = ""
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9][\w.-]*)==([^\s;\\]+)", line):
            name = canonicalize_name(match[1])
            found[name] = (match[2], frozenset())
        elif match := re.match(r"\s+--hash=(sha256:[0-9a-f]{64})", line):
            version, hashes = found[name]
            found[name] = (version, hashes | {match[1]})
    return found


def test_the_lock_holds_every_dependency_at_a_version_that_fits() -> None:
    groups = pyproject(ROOT)["dependency-groups"]
    in_groups = [line for line in itertools.chain(*groups.values()) if isinstance(line, str)]
    of_device = project(ROOT / "device")["dependencies"]
    for lock, lines in [
        ("requirements.lock", project(ROOT)["dependencies"] + of_device),
        ("requirements-dev.lock", project(ROOT)["dependencies"] + of_device + in_groups),
    ]:
        pinned = pins(lock)
        for line in lines:
            wanted = Requirement(line)
            name = canonicalize_name(wanted.name)
            assert name in pinned, f"{lock} lacks {name}: run make lock"
            assert wanted.specifier.contains(pinned[name][0]), f"{lock}: {line}: run make lock"


@pytest.mark.parametrize(
    ("folder", "package"), [(ROOT, "mooring"), (ROOT / "device", "mooring_device")]
)
def test_every_package_the_source_imports_is_declared(folder: Path, package: str) -> None:
    """What came along with another package today may not come along tomorrow."""
    extras = project(folder).get("optional-dependencies", {})
    lines = [*project(folder)["dependencies"], *(line for some in extras.values() for line in some)]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    provided_by = packages_distributions()
    undeclared = {
        f"{module.name}: {top}"
        for module in modules(folder / "src" / package).values()
        for top in {word.split(".")[0] for word in module.imports()}
        if top not in sys.stdlib_module_names
        and top != package
        and not declared & {canonicalize_name(name) for name in provided_by.get(top, [])}
    }
    assert undeclared == set()


def test_both_locks_agree_and_hold_hashes() -> None:
    run, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in run} == run
    assert [name for name, (_, hashes) in dev.items() if not hashes] == []


def test_the_build_tool_is_in_the_lock() -> None:
    """scripts/setup.sh builds with the lock as its constraint."""
    for folder in (ROOT, ROOT / "device"):
        for line in pyproject(folder)["build-system"]["requires"]:
            assert canonicalize_name(Requirement(line).name) in pins("requirements-dev.lock")


# ------------------------------------------------------------------------- the rules above


def test_links_and_anchors() -> None:
    page = "# A b & c\n[x](y.md#z) `[no](no)`\n```\n[no](no)\n# no\n```\n## A b & c\n[r]: s.md\n"
    assert links(page) == ["y.md#z", "s.md"]
    assert anchors(page) == {"a-b--c", "a-b--c-1"}


def test_commands_are_read_from_code_only() -> None:
    page = (
        "We make things. `make up` and:\n"
        "```sh\n$ make demo ARGS=1  # make no\ncd x && make test\n```\n"
    )
    assert commands(page, "make") == ["up", "demo", "test"]
