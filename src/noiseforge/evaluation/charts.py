"""Small charts as inline SVG: they scale, print, and take their colours from the page's own style.

Every function returns text for the middle of an HTML page and escapes what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 8, 34
BARS_WIDTH = 720
LEFT_OF_BARS, VALUE_WIDTH, BAR_ROW = 130, 60, 28
MOST_LETTERS = 18
"""Letters of a name beside a bar."""
MOST_POINTS = 300
"""Points of one curve; longer ones are averaged in groups."""


def lines(title: str, curves: Mapping[str, Sequence[Point]], *, x_name: str = "images") -> str:
    """A figure of some curves over a common axis, with a legend.

    Args:
        title: what the figure shows.
        curves: for each name its points (x, y), sorted by x; points that are not finite are left out.
        x_name: the unit of x.
    """
    finite = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in curves.items()}
    drawable = {name: _thinned(points) for name, points in finite.items() if points}
    if not drawable:
        return ""
    x_ticks = ticks(0, max(x for points in drawable.values() for x, _ in points), 4)
    y_ticks = ticks(*_bulk([y for points in drawable.values() for _, y in points]), 4)

    def place(x: float, y: float) -> str:
        right, up = _between(x, x_ticks, LEFT, WIDTH - RIGHT), _between(y, y_ticks, HEIGHT - BOTTOM, TOP)
        return f"{right:.1f},{up:.1f}"

    drawn, legend = [], []
    for i, (name, points) in enumerate(drawable.items()):
        path = " ".join(place(*point) for point in points)
        drawn.append(f'<polyline class="curve s{i % 6}" points="{path}"/>')
        legend.append(f'<span class="key s{i % 6}">{escape(name)}</span>')
    # A nested svg clips what lies beyond its frame: a rare spike leaves the figure, and not its scale.
    clipped = f'<svg width="{WIDTH}" height="{HEIGHT - BOTTOM + 1}">{"".join(drawn)}</svg>'
    return (
        f'<figure class="chart"><figcaption><b>{escape(title)}</b> {" ".join(legend)}</figcaption>'
        f"{_drawing(title, WIDTH, _axes(x_ticks, y_ticks, x_name) + clipped)}</figure>"
    )


def histogram(names: Sequence[str], shares: Sequence[float], expected: Sequence[float]) -> str:
    """A bar for the share of each class, with a mark where real data stand."""
    highest = max(*shares, *expected, 1e-9)
    slot = (BARS_WIDTH - LEFT) / len(names)
    drawn = []
    for i, (name, share, real) in enumerate(zip(names, shares, expected, strict=True)):
        x, height = LEFT + i * slot, (HEIGHT - TOP - BOTTOM) * share / highest
        level = TOP + (HEIGHT - TOP - BOTTOM) * (1 - real / highest)
        label = name[: max(1, int(slot / 7))]
        drawn.append(
            f"<g><title>{escape(name)}: {share:.1%} of samples, {real:.1%} of real examples</title>"
            f'<rect class="bar" x="{x + 0.14 * slot:.1f}" y="{HEIGHT - BOTTOM - height:.1f}" '
            f'width="{0.72 * slot:.1f}" height="{height:.1f}" rx="2"/>'
            f'<path class="mark" d="M{x + 0.06 * slot:.1f} {level:.1f}h{0.88 * slot:.1f}"/>'
            f"{_text(x + slot / 2, HEIGHT - BOTTOM + 18, 'middle', label)}</g>"
        )
    for tick in (t for t in ticks(0, highest, 4) if t <= highest):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * tick / highest
        drawn.insert(0, _rule(y, BARS_WIDTH, f"{tick * 100:g}%"))
    return _drawing("share of each class", BARS_WIDTH, "".join(drawn))


def bars(
    title: str,
    values: Mapping[str, float],
    *,
    intervals: Mapping[str, Point] | None = None,
    floor: float | None = None,
) -> str:
    """A figure of a bar for each name, with its interval, and one mark where real data stand.

    Args:
        title: what the figure shows.
        values: for each name; those below 0 have no bar, and their number all the same.
        intervals: for some names the ends of an interval.
        floor: what real data score.
    """
    intervals = intervals or {}
    highest = max(*values.values(), *(high for _, high in intervals.values()), floor or 0.0, 1e-9)
    right, height = WIDTH - VALUE_WIDTH, BAR_ROW * len(values) + TOP
    drawn = []

    def place(value: float) -> float:
        return LEFT_OF_BARS + (right - LEFT_OF_BARS) * max(value, 0.0) / highest

    for i, (name, value) in enumerate(values.items()):
        y, label = TOP + i * BAR_ROW, name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
        drawn.append(
            f"<g><title>{escape(name)}: {value:.4g}</title>{_text(LEFT_OF_BARS - 8, y + 17, 'end', label)}"
            f'<rect class="bar" x="{LEFT_OF_BARS}" y="{y + 4}" width="{place(value) - LEFT_OF_BARS:.1f}" '
            f'height="{BAR_ROW - 12}" rx="2"/>{_text(right + 10, y + 17, "start", f"{value:.3g}")}</g>'
        )
        if name in intervals:
            low, high = map(place, intervals[name])
            drawn.append(f'<path class="whisker" d="M{low:.1f} {y + BAR_ROW / 2 - 2}H{high:.1f}"/>')
    if floor is not None:
        drawn.append(f'<path class="mark" d="M{place(floor):.1f} {TOP - 4}V{height - 4}"/>')
    return (
        f'<figure class="chart"><figcaption><b>{escape(title)}</b></figcaption>'
        f"{_drawing(title, WIDTH, ''.join(drawn), height)}</figure>"
    )


def gauge(share: float) -> str:
    """A tiny bar: how far a value has come from the worst (0) to what real data score (1).

    >>> 'width="60.0"' in gauge(0.6)
    True
    """
    share = min(max(share, 0.0), 1.0)
    level = "good" if share >= 0.66 else "watch" if share >= 0.33 else "alarm"
    return (
        f'<svg class="gauge" viewBox="0 0 100 8" role="img" aria-label="{share:.0%} of the way to real data">'
        f'<rect class="track" width="100" height="8" rx="4"/>'
        f'<rect class="{level}" width="{max(100 * share, 4):.1f}" height="8" rx="4"/></svg>'
    )


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round values whose first and last enclose [low, high].

    >>> ticks(0, 0.93, 4)
    [0.0, 0.25, 0.5, 0.75, 1.0]
    >>> ticks(-3, 17, 4)
    [-5.0, 0.0, 5.0, 10.0, 15.0, 20.0]
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(span / s - count))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def short(value: float) -> str:
    """A number for an axis, with k and M.

    >>> short(1_500_000), short(20_000), short(0.25), short(-3)
    ('1.5M', '20k', '0.25', '-3')
    """
    for size, suffix in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:.3g}"


def _drawing(name: str, width: int, content: str, height: int = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{content}</svg>'


def _axes(x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str) -> str:
    drawn = [_rule(_between(y, y_ticks, HEIGHT - BOTTOM, TOP), WIDTH - RIGHT, short(y)) for y in y_ticks]
    for x in x_ticks:
        at, last = _between(x, x_ticks, LEFT, WIDTH - RIGHT), x == x_ticks[-1]
        anchor, name = ("end", f"{short(x)} {x_name}") if last else ("middle", short(x))
        drawn.append(_text(at, HEIGHT - BOTTOM + 20, anchor, name))
    return "".join(drawn)


def _rule(y: float, right: float, name: str) -> str:
    return f'<path class="rule" d="M{LEFT} {y:.1f}H{right}"/>' + _text(LEFT - 8, y + 4, "end", name)


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _between(value: float, marks: Sequence[float], start: float, end: float) -> float:
    """Where a value lies on an axis that reaches from `start` at the first mark to `end` at the last."""
    return start + (end - start) * (value - marks[0]) / (marks[-1] - marks[0])


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most MOST_POINTS points: means of neighbours."""
    size = math.ceil(len(points) / MOST_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


def _bulk(values: Sequence[float]) -> Point:
    """The range of all but the most extreme hundredths, so that one spike does not flatten a curve."""
    ordered = sorted(values)
    spare = len(ordered) // 100
    return ordered[spare], ordered[len(ordered) - 1 - spare]
