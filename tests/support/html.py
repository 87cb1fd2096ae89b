"""Reading pages as a browser does, and what no page may have."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import NamedTuple

__all__ = ["HOSTILE", "Html", "faults"]

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
VOID |= {"circle", "path", "rect", "line", "polyline", "polygon", "ellipse", "use", "stop"}
_UNQUOTED = re.compile(r"<[a-zA-Z][^<>\"']*=[^\"'\s>]")
_OPENING = re.compile(r"<[a-zA-Z][^<>]*>")
_LABELLED = {"input", "select", "textarea"}
_OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><b>bold</b>",
    "</title><script>alert(2)</script>",
    "</textarea><iframe src=javascript:alert(3)>",
    "{{ 7*7 }}{% raw %}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "javascript:alert(4)",
    "&lt;b&gt; &amp;amp; &#x3c;",
    "\u202egpj.exe\u202c",
    "\u2066left\u2069 \u200b\u200d zero width",
    "a" * 300,
    "=HYPERLINK(1)",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "`onclick=alert(5)`",
    "]]><!-- comment -->",
    "ÄÖÜ 🚲 漢字 عربى",
)
"""Texts that a device or a person may choose."""


class Tag(NamedTuple):
    name: str
    attributes: dict[str, str]


class Html(HTMLParser):
    """A page: its tags, its text, its links and forms.

    Args:
        text: the whole page.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.tags: list[Tag] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.scripts: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        self.close()
        self.unbalanced += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1] != tag:
            self.unbalanced.append(f"/{tag}")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside == "title":
            self.titles.append(data)
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a person reads, with single spaces."""
        return " ".join("".join(f" {word}" for word in self.words).split())

    @property
    def title(self) -> str:
        return "".join(self.titles).strip()

    def all(self, name: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name == name]

    @property
    def links(self) -> set[str]:
        """Addresses of links."""
        return {tag.attributes.get("href", "") for tag in self.all("a")}

    @property
    def targets(self) -> set[str]:
        """Addresses that forms are sent to by POST."""
        return {
            tag.attributes["action"]
            for tag in self.all("form")
            if tag.attributes.get("method") == "post"
        }

    def fields(self, action: str) -> dict[str, str]:
        """Names and values of every field of the page's form with this target."""
        found: dict[str, str] = {}
        inside = False
        for tag in self.tags:
            if tag.name == "form":
                inside = tag.attributes.get("action") == action
            elif inside and tag.name in _LABELLED and "name" in tag.attributes:
                found[tag.attributes["name"]] = tag.attributes.get("value", "")
        return found


def faults(text: str) -> list[str]:
    """What the policy forbids, and what is wrong with the page itself."""
    page = Html(text)
    found = [f"unbalanced: {', '.join(page.unbalanced)}"] if page.unbalanced else []
    found += [f"inline script: {script[:60]}" for script in page.scripts if script.strip()]
    ids = Counter(tag.attributes["id"] for tag in page.tags if tag.attributes.get("id"))
    found += [f"the id {name} twice" for name, times in ids.items() if times > 1]
    labels = {tag.attributes.get("for") for tag in page.all("label")}
    if not page.title:
        found.append("no title")
    for tag in page.tags:
        words = f"<{tag.name} {tag.attributes}>"
        for name, value in tag.attributes.items():
            if name == "style":
                found.append(f"style: {words}")
            if name.startswith(("on", "hx-on")):
                found.append(f"handler: {words}")
            if name in ("href", "src", "action", "data-src") and (
                _OUTSIDE.match(value) or value.strip().lower().startswith(("javascript:", "data:"))
            ):
                found.append(f"another host: {words}")
        if tag.name in _LABELLED and tag.attributes.get("type") not in ("hidden", "checkbox"):
            named = tag.attributes.get("aria-label") or tag.attributes.get("id") in labels
            if not named:
                found.append(f"no label: {words}")
        if tag.name == "style" or (tag.name == "script" and not tag.attributes.get("src")):
            found.append(f"inline: {words}")
    for opening in _OPENING.findall(re.sub(r"\"[^\"]*\"|'[^']*'", '""', text)):
        if _UNQUOTED.match(opening):
            found.append(f"unquoted attribute: {opening}")
    return found
