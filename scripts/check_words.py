"""Finds wording in texts for people that has a plainer replacement, for ``make lint``.

Read are Markdown files (without code in backquotes), the comments of TOML files, shell scripts and
the Makefile, and in Python files the strings and comments. Tests are not read. Strings that are SQL
or a single word are names, not texts, and are passed over.

What a pattern cannot decide is left to the reader: sentences without a named subject ("what came
is kept"), riddles, passive voice, "refuse" where the field says "reject", and words such as
"behind", "over" or "nobody" that are plain English in most places.

    python scripts/check_words.py [FILE ...]

Prints ``file:line: "words": write ...`` for each place. Exit code 1 if there is any.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

TEXTS = (
    "*.md",
    "Makefile",
    ".ci/run",
    "docs/**/*.md",
    "device/*.md",
    "examples/**/*.md",
    "examples/**/*.py",
    "scripts/*.py",
    "scripts/*.sh",
    "src/**/*.py",
    "src/**/*.toml",
    "device/src/**/*.py",
)

#: The list itself, and files whose texts are not ours.
NOT_READ = ("scripts/check_words.py", "src/mooring/broker/plugin/native/vendor/**")

#: Files that nobody has gone over yet. It only gets shorter.
NOT_YET: tuple[str, ...] = ()


class Rule(NamedTuple):
    """``pattern``: what is searched, in any case. ``write``: the replacement."""

    pattern: str
    write: str


class Text(NamedTuple):
    """A piece of prose and the line of its file that each of its characters is in."""

    words: str
    line_of: Sequence[int]


class Finding(NamedTuple):
    path: str
    line: int
    words: str
    write: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: "{self.words}": write {self.write}'


AT_ONCE = (
    "ends?|ended|applied|applies|refused|rejected|accepted|acknowledged|committed|given|returns?"
    "|sent|sends|starts?|stops?|works?|tried|written|closed|disconnected|dropped|deleted|removed"
    "|revoked|reports?|fails?|raises?|tells?|follows?|queue|visible|effect|force|it|device|code|key"
)
PERSON = "it|them|him|her|us|you|nobody|somebody|everybody|anybody|people|devices?|clients?"

RULES = (
    Rule(r"anew", "again"),
    Rule(r"for ever", "indefinitely, permanently"),
    Rule(r"beside(?!:)", "next to, in parallel with, in addition to"),
    Rule(rf"(?:{AT_ONCE}) at once", "immediately"),
    Rule(r"at once (?:when|if)", "as soon as"),
    Rule(r"(?:go|goes|went) on(?! (?:the|a|an|its|top|disk|to)\b)", "continue"),
    Rule(r"stands?(?!-| for\b| in for\b| out\b| still\b| by\b| alone\b)", "is, exists, remains"),
    Rule(r"lies(?! about\b)", "is"),
    Rule(r"(?:comes?|came|puts?|sent|stays?) behind", "after; late by"),
    Rule(r"one behind the other", "one after the other"),
    Rule(r"mend(?:s|ed|ing)?", "fix, repair"),
    Rule(r"(?:at most|up to|after|for|in|within) so many", "a number with its name"),
    Rule(r"(?:the rest|nothing|as little|what is there) of it", "its; name the thing"),
    Rule(r"– of it", "of which"),
    Rule(r"(?:is|are|was|were|be|been|being) told(?! apart\b)", "is notified of, receives"),
    Rule(r"(?:has|have|had) said", "reported, published, confirmed"),
    Rule(r"says? that (?:it|they) (?:is|are|lives?)", "reports"),
    Rule(r"says? (?:no|yes)", "rejects, accepts"),
    Rule(r"lives? says|says it lives", "reports that it runs"),
    Rule(rf"let(?:s|ting)? (?:(?:{PERSON}) )?in(?!-| (?:the|a|an|its|this|time)\b)", "accept"),
    Rule(r"(?:comes|came) in(?! (?:handy|two|three|several|\w+s)\b)", "connect, arrive"),
    Rule(
        r"(?:take|takes|took|taken) over (?:(?:the|its|their|a|all) )?"
        r"(?:changes?|files?|settings?|passwords?|certificates?|keys?)",
        "apply",
    ),
    Rule(
        r"(?:(?!there\b|here\b|where\b)\w+|[)`'\"]) (?:is|are|was|were) no"
        r"(?! (?:longer|matter|different|less|limit|more|such)\b)",
        "is not a ...; not a valid ...",
    ),
    Rule(r"there (?:is|are|was|were) none", "not found, does not exist, without"),
    Rule(r"who(?:m)?ever", "the person, program or device that is meant"),
    Rule(
        r"(?:^|[.;] )Who (?:cannot|can|may|wants|has|needs|does|is|knows|shares|asks)\b"
        r"(?=[^?.]*\.)",
        "if you ...; name the person",
    ),
    Rule(r"the way back", "to undo this, ..."),
    Rule(r"(?<!\| )strangers?(?!:|, )", "unknown devices"),
    Rule(r"(?:is|are|be|stays?|still) good(?! (?:enough|practice|at|for)\b)", "valid"),
    Rule(r"good for (?:a|one|two|three|days|\d+)", "valid for"),
    Rule(r"for good(?! \w+s\b)", "permanently"),
    Rule(
        r"(?:changes?|rotations?|messages?|events?|evidence|log|accounts?)"
        r" (?:that )?waits? for (?:the|a) (?:broker|database)",
        "pending; not yet applied by",
    ),
    Rule(r"in place of", "instead of"),
    Rule(r"what one (?:can|may|does|has|must)", "name the actions"),
    Rule(r"made-up", "simulated, fictional"),
    Rule(r"without end", "indefinitely, without limit"),
    Rule(r"now and then", "occasionally"),
    Rule(
        r"whatever (?:is|are|was|came|comes|goes|runs|arrives?d?|makes|has|hangs)",
        "everything that; name the thing",
    ),
    Rule(r"(?:hears?|heard) (?:of|only)", "receives, knows"),
    Rule(r"(?:its|their|'s) matter", "the caller checks ..."),
    Rule(r"turn(?:s|ed)? away", "reject"),
    Rule(r"(?:the|its|their) way of (?:a|the|every)", "path of; like"),
    Rule(r"devices? (?:says?|said)", "sends, reports"),
    Rule(r"once more(?! than\b)", "again"),
    Rule(r"is no more(?! than\b)", "no longer exists"),
    Rule(r"(?:as it|as they) stands?", "as is"),
    Rule(r"in vain", "without success"),
    Rule(r"(?:is|are) not there(?! (?:is|are)\b)", "does not exist, is missing"),
)

COMPILED = tuple(
    (re.compile(rf"(?<![\w-])(?:{rule.pattern})(?!\w)", re.IGNORECASE), rule) for rule in RULES
)
SQL = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WHERE|FROM|JOIN)\b")
CODE = re.compile(r"``[^`]+``|`[^`\n]+`|https?://\S+|\]\([^)\s]+\)")
FENCE = re.compile(r"^[ ]*(```|~~~)")
COMMENT = re.compile(r"(?:^|\s)##? (.*)$")


def read_text(lines: Sequence[tuple[int, str]]) -> Text:
    """One prose from numbered lines: white space becomes one space, code becomes a sign."""
    words: list[str] = []
    line_of: list[int] = []
    for number, line in lines:
        bare = CODE.sub(lambda match: "`" if "`" in match[0] else " ", line)
        for word in bare.split():
            words += [*word, " "]
            line_of += [number] * (len(word) + 1)
    return Text("".join(words), line_of)


def read_markdown(source: str) -> Iterator[Text]:
    """Paragraphs, headings, list items and table rows. Fenced code without output is left out."""
    block: list[tuple[int, str]] = []
    fence = ""
    for number, line in enumerate(source.splitlines(), 1):
        opening = FENCE.match(line)
        if opening:
            fence = "" if fence else line.strip()
        starts = not line.strip() or re.match(r"\s*(?:[-*#|>]|\d+\.) ", line) or opening or fence
        if starts and block:
            yield read_text(block)
            block = []
        if not opening and fence in ("", "```", "```text"):
            block.append((number, re.sub(r"^\s*[-*#>]+ ", "", line)))
    if block:
        yield read_text(block)


def read_comments(source: str) -> Iterator[Text]:
    """What follows ``#`` in TOML, shell and make, and every quoted sentence of TOML."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(source.splitlines(), 1):
        comment = COMMENT.search(line)
        if comment:
            block.append((number, comment[1]))
            continue
        if block:
            yield read_text(block)
            block = []
        for quoted in re.findall(r'"([^"]* [^"]*)"', line):
            yield read_text([(number, quoted)])
    if block:
        yield read_text(block)


def read_python(source: str) -> Iterator[Text]:
    """The strings with a space in them, f-strings with ``{}`` for values, and the comments."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inside.update(id(value) for value in node.values)
            parts = [
                str(value.value) if isinstance(value, ast.Constant) else "{}"
                for value in node.values
            ]
            value = "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in inside:
                continue
            value = node.value
        else:
            continue
        if " " in value.strip() and not SQL.search(value):
            last = node.end_lineno or node.lineno
            for paragraph in paragraphs(value):
                yield read_text([(min(node.lineno + n, last), line) for n, line in paragraph])
    block: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or token.string.startswith("# noqa:"):
            continue
        if block and (token.start[0] != block[-1][0] + 1):
            yield read_text(block)
            block = []
        block.append((token.start[0], token.string.lstrip("#: ")))
    if block:
        yield read_text(block)


def paragraphs(value: str) -> Iterator[list[tuple[int, str]]]:
    """The paragraphs of a string as numbered lines, the first is 0."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(value.split("\n")):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def findings(path: str, source: str) -> list[Finding]:
    """Each place in one file, in order of its lines. Pure."""
    if path.endswith(".py"):
        texts = read_python(source)
    elif path.endswith(".md"):
        texts = read_markdown(source)
    else:
        texts = read_comments(source)
    found = {
        Finding(path, text.line_of[match.start()], match[0].strip(), rule.write)
        for text in texts
        for pattern, rule in COMPILED
        for match in pattern.finditer(text.words)
    }
    return sorted(found, key=lambda one: (one.line, one.words))


def files(root: Path = ROOT) -> list[str]:
    """The files that are read, as paths relative to ``root``."""
    left_out = {
        path for pattern in (*NOT_READ, *NOT_YET) for path in root.glob(pattern) if path.is_file()
    }
    chosen = {path for pattern in TEXTS for path in root.glob(pattern) if path.is_file()}
    return sorted(str(path.relative_to(root)) for path in chosen - left_out)


def main(arguments: Sequence[str]) -> int:
    found = [
        finding
        for path in (arguments or files())
        for finding in findings(path, (ROOT / path).read_text(encoding="utf-8"))
    ]
    for finding in found:
        print(finding)
    if found:
        print(f"{len(found)} to rewrite; the words are in scripts/check_words.py.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
