"""How amounts go through stages, as ribbons. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from mooring.dashboard.drawings.svg import drawing, element, number, shortened

__all__ = ["NODES_MAX", "Flow", "sankey"]

NODES_MAX = 14  # in one column; the smallest ones are drawn as one
WIDTH, NODE, SLOT, GAP, HEAD = 960.0, 6.0, 20.0, 6.0, 24.0
TALL = 220.0  # of a column whose nodes have room


class Flow(NamedTuple):
    """An amount on its way.

    Attributes:
        path: the name of its node in each column.
        value: the amount; what is not above 0 is not drawn.
        state: a state's class (``ok``, ``bad``, ``off`` …) of its last ribbon, or empty.
    """

    path: tuple[str, ...]
    value: float
    state: str = ""


class _Node(NamedTuple):
    name: str
    y: float
    high: float
    value: float


def sankey(flows: Sequence[Flow], headings: Sequence[str], said: str) -> Markup:
    """Columns of nodes, joined by ribbons as thick as what goes from one to the other.

    Args:
        flows: each path is as long as ``headings``.
        headings: a title for each column.
        said: what it shows, in words.

    Raises:
        ValueError: a path has another length.
    """
    if any(len(flow.path) != len(headings) for flow in flows):
        raise ValueError("each path needs one node for each heading")
    known = [flow for flow in flows if flow.value > 0 and math.isfinite(flow.value)]
    if not known:
        return drawing("sankey", WIDTH, HEAD, said, *_headings(headings))
    known = _with_others(known, len(headings))
    columns = [_amounts(known, column) for column in range(len(headings))]
    total = sum(flow.value for flow in known)
    scale = TALL / total
    nodes = [_stack(amounts, scale) for amounts in columns]
    height = max(one.y + max(one.high, SLOT) for column in nodes for one in column.values()) + GAP
    drawn = [*_headings(headings), *_ribbons(known, nodes, scale)]
    for column, stack in enumerate(nodes):
        drawn += [_node(one, column, len(headings)) for one in stack.values()]
    return drawing("sankey", WIDTH, height, said, *drawn)


def _with_others(flows: Sequence[Flow], columns: int) -> list[Flow]:
    """The smallest nodes of a column that has too many become one."""
    names: list[dict[str, str]] = []
    for column in range(columns):
        amounts = _amounts(flows, column)
        rest = sorted(amounts, key=lambda name: -amounts[name])[NODES_MAX - 1 :]
        rest = rest if len(amounts) > NODES_MAX else []
        names.append(dict.fromkeys(rest, f"{len(rest)} others"))
    return [
        flow._replace(path=tuple(names[at].get(name, name) for at, name in enumerate(flow.path)))
        for flow in flows
    ]


def _amounts(flows: Sequence[Flow], column: int) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for flow in flows:
        found[flow.path[column]] += flow.value
    return dict(found)


def _stack(amounts: dict[str, float], scale: float) -> dict[str, _Node]:
    found, y = {}, HEAD + GAP
    for name, value in amounts.items():
        high = max(1.0, value * scale)
        found[name] = _Node(name, y, high, value)
        y += max(high, SLOT) + GAP
    return found


def _x(column: int, columns: int) -> float:
    return (WIDTH - NODE) * column / max(1, columns - 1)


def _headings(headings: Sequence[str]) -> list[Markup]:
    last = len(headings) - 1
    return [
        element(
            "text",
            text,
            class_="heading end" if at and at == last else "heading",
            x=_x(at, len(headings)) + (NODE if at and at == last else 0),
            y=14,
        )
        for at, text in enumerate(headings)
    ]


def _node(node: _Node, column: int, columns: int) -> Markup:
    x, last = _x(column, columns), column and column == columns - 1
    amount = f"{node.value:,.1f}".removesuffix(".0")
    return element(
        "g",
        element("title", f"{shortened(node.name)}: {amount}"),
        element("rect", class_="node", x=x, y=node.y, width=NODE, height=node.high),
        element(
            "text",
            f"{shortened(node.name, 26)}  {amount}",
            class_="end" if last else "start",
            x=x - 6 if last else x + NODE + 6,
            y=node.y + max(node.high, SLOT) / 2 + 4,
        ),
    )


def _ribbons(
    flows: Sequence[Flow], nodes: Sequence[dict[str, _Node]], scale: float
) -> list[Markup]:
    drawn = []
    for column in range(len(nodes) - 1):
        between: defaultdict[tuple[str, str, str], float] = defaultdict(float)
        for flow in flows:
            state = flow.state if column == len(nodes) - 2 else ""
            between[flow.path[column], flow.path[column + 1], state] += flow.value
        left, right = nodes[column], nodes[column + 1]
        order = {name: at for at, name in enumerate(left)}, {n: at for at, n in enumerate(right)}
        leaving: defaultdict[str, float] = defaultdict(float)
        coming: defaultdict[str, float] = defaultdict(float)
        for source, target, state in sorted(
            between, key=lambda one: (order[0][one[0]], order[1][one[1]], one[2])
        ):
            value = between[source, target, state]
            thick = max(0.75, value * scale)
            x0, x1 = _x(column, len(nodes)) + NODE, _x(column + 1, len(nodes))
            y0 = left[source].y + leaving[source]
            y1 = right[target].y + coming[target]
            leaving[source] += value * scale
            coming[target] += value * scale
            amount = f"{value:,.1f}".removesuffix(".0")
            said = f"{shortened(source)} → {shortened(target)}: {amount}"
            drawn.append(
                element(
                    "path",
                    element("title", said),
                    class_=f"ribbon {state}".rstrip(),
                    d=_ribbon(x0, y0, x1, y1, thick),
                )
            )
    return drawn


def _ribbon(x0: float, y0: float, x1: float, y1: float, thick: float) -> str:
    half = (x0 + x1) / 2

    def at(*places: float) -> str:
        return " ".join(number(one) for one in places)

    return (
        f"M{at(x0, y0)} C{at(half, y0, half, y1, x1, y1)} L{at(x1, y1 + thick)} "
        f"C{at(half, y1 + thick, half, y0 + thick, x0, y0 + thick)} Z"
    )
