"""What no template, script or style may have."""

from __future__ import annotations

import re

import pytest
from jinja2 import StrictUndefined
from markupsafe import Markup

from mooring.dashboard import static_files
from mooring.dashboard.render import POLICY, TEMPLATES, environment
from tests.support.html import faults

UNESCAPED = {
    r"\|\s*safe\b": "|safe",
    r"\{%-?\s*autoescape": "autoescape",
    r"Markup": "Markup",
}
_PLACES = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)
FORBIDDEN = {
    r"<[^>]*\sstyle\s*=": "style=",
    r"<[^>]*\s(on[a-z]+|hx-on[^\s=]*)\s*=": "on…=",
    r"<script(?![^>]*\ssrc=)": "inline script",
    r"<style": "inline style",
    r"javascript:": "javascript:",
    r"https?://": "another host",
    r"<[a-z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*?\s[a-z:-]+=[^\"'\s>]": "unquoted attribute",
}
IN_SCRIPTS = {
    r"\binnerHTML\b": "innerHTML",
    r"\bouterHTML\b\s*=": "outerHTML =",
    r"\binsertAdjacentHTML\b": "insertAdjacentHTML",
    r"\bdocument\.write\b": "document.write",
    r"\beval\s*\(": "eval",
    r"\bnew Function\b": "new Function",
}
TEMPLATE_FILES = sorted(TEMPLATES.rglob("*.html"))
OUR_SCRIPTS = sorted(path for path in static_files.ROOT.rglob("*.js") if "vendor" not in path.parts)


def of_template(text: str) -> list[str]:
    """What it may not have itself; what comes into its places is escaped."""
    return found(text, UNESCAPED) + found(_PLACES.sub("", text), FORBIDDEN)


def found(text: str, rules: dict[str, str]) -> list[str]:
    return [word for rule, word in rules.items() if re.search(rule, text)]


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.name)
def test_templates(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert of_template(text) == []
    environment().parse(text)


@pytest.mark.parametrize("path", OUR_SCRIPTS, ids=lambda path: path.name)
def test_scripts(path: object) -> None:
    text = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    assert found(text, IN_SCRIPTS) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<p>{{ x|safe }}</p>", "|safe"),
        ('<p style="a">', "style="),
        ('<p onclick="a()">', "on…="),
        ("<script>a()</script>", "inline script"),
        ('<a href="https://x.example">', "another host"),
        ("<p class=a>", "unquoted attribute"),
    ],
)
def test_the_rules_find_what_they_are_for(text: str, word: str) -> None:
    assert word in of_template(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('<title>a</title><p style="x">', "style"),
        ('<title>a</title><p onload="x">', "handler"),
        ("<title>a</title><script>x</script>", "inline"),
        ("<title>a</title><p class=x>", "unquoted"),
        ('<title>a</title><a href="//x.example">', "another host"),
        ("<title>a</title><div><p></div>", "unbalanced"),
        ('<title>a</title><input name="x">', "no label"),
    ],
)
def test_the_reader_of_pages_finds_what_it_is_for(text: str, word: str) -> None:
    assert any(word in fault for fault in faults(text))


def test_everything_is_escaped_and_given() -> None:
    env = environment()
    assert env.autoescape is True
    assert env.undefined is StrictUndefined
    assert env.from_string("{{ x }}").render(x="<b>\"'&") == "&lt;b&gt;&#34;&#39;&amp;"
    assert env.from_string("{{ x|prose }}").render(x="run `a <b>` now <i>") == (
        "run <code>a &lt;b&gt;</code> now &lt;i&gt;"
    )


def test_cells_have_the_heading_of_their_column() -> None:
    text = "{{ rows|labelled(columns) }}"
    rows = Markup('<tr class="a"><td class="b">1</td><td>{}</td><td>3</td></tr><tr><td>4</td></tr>')
    columns = ["One", ("Two & a half", "right"), {"word": "Three"}]
    assert environment().from_string(text).render(rows=rows.format("<td>"), columns=columns) == (
        '<tr class="a"><td data-label="One" class="b">1</td>'
        '<td data-label="Two &amp; a half">&lt;td&gt;</td><td data-label="Three">3</td></tr>'
        '<tr><td data-label="One">4</td></tr>'
    )
    assert "<b>" not in environment().from_string(text).render(rows="<b><td>", columns=columns)


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in POLICY and "*" not in POLICY
    for rule in ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert rule in POLICY
