"""The page of a comparison of runs: one HTML file to look at, or to show to others."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Data
from noiseforge.data.split import seeded
from noiseforge.evaluation import charts
from noiseforge.evaluation.gallery import fitting, gallery, pairs, plot
from noiseforge.evaluation.hearing import ear_of
from noiseforge.evaluation.page import arrow, page, section, template
from noiseforge.evaluation.run_comparison import Cell, Row, RunComparison
from noiseforge.evaluation.sound_sections import players
from noiseforge.files import write_text

SHOWN = 64
"""Samples of each contender."""
PLAYED = 16
"""The same, of sound."""
PAIRS = 16
"""Examples and their reconstructions of each."""
POINTS = 2500
BARS = ("coverage", "precision", "kid", "high_quality")


class Pictures(NamedTuple):
    """What is shown of one contender."""

    samples: Samples
    """As they came."""
    originals: Tensor | None = None
    """(n, *shape) test examples, where the model has an encoder."""
    reconstructions: Tensor | None = None
    """(n, *shape)."""


def write_comparison(folder: Path, comparison: RunComparison, pictures: Sequence[Pictures], data: Data) -> Path:
    """Writes `folder/index.html` and `folder/comparison.json`, each whole or not at all.

    Args:
        folder: made where it is missing.
        comparison: the figures.
        pictures: of each contender, in the same order.
        data: what the runs were trained on.

    Returns:
        The path of the page.

    Raises:
        UserError: the folder cannot be written.
    """
    names = [contender.name for contender in comparison.contenders]
    sections = (
        _samples(names, pictures, data),
        _bars(comparison),
        _reconstructions(names, pictures),
        _table(comparison),
    )
    body = template("compare.html").substitute(
        names=" · ".join(map(escape, names)),
        protocol=escape(protocol(comparison)),
        sections="\n".join(filter(None, sections)),
    )
    write_text(folder / "comparison.json", comparison.model_dump_json(indent=2) + "\n")
    write_text(folder / "index.html", page(f"{' · '.join(names)} · noiseforge comparison", body))
    return folder / "index.html"


def protocol(comparison: RunComparison) -> str:
    """What all contenders have in common, in one line."""
    figures = comparison.contenders[0].evaluation.figures
    real = max((figure.n_real for figure in figures), default=0)
    against = f" against up to {real:,} real examples" if real else ""
    return (
        f"{comparison.n:,} samples each{against} of {comparison.source}, seed {comparison.seed}, "
        f"features {comparison.features}; floor: real data against real data at the same N; "
        f"{comparison.created[:16].replace('T', ' ')} UTC"
    )


def _samples(names: Sequence[str], pictures: Sequence[Pictures], data: Data) -> str:
    if data.spec.modality == "audio":
        return _sounds(names, pictures, data)
    if data.spec.modality == "point":
        reference = data.test.batch(_first(data, POINTS)).x
        bodies = [plot(shown.samples.x, reference, data.spec) for shown in pictures]
        return section("Samples", "Generated points over points of the data.", _sides(names, bodies))
    shown = min(fitting(each.samples.x, SHOWN) for each in pictures)
    shown -= shown % 8 if shown > 8 else 0
    bodies = [gallery(each.samples.x[:shown], f"samples of {name}") for name, each in zip(names, pictures, strict=True)]
    bodies.append(gallery(data.test.batch(_first(data, shown)).x, "real examples"))
    lead = f"The first {shown} samples of each, as they came: none was chosen. Real examples to compare."
    return section("Samples", lead, _sides([*names, "Real examples"], bodies))


def _sounds(names: Sequence[str], pictures: Sequence[Pictures], data: Data) -> str:
    real = Samples(*data.test.batch(_first(data, PLAYED)))
    ear, sides = ear_of(data), [*(each.samples for each in pictures), real]
    bodies = [players(side, data.spec, ear, most=PLAYED, sides=len(sides)) for side in sides]
    lead = "The first samples of each, as they came: none was chosen. Real clips to compare."
    return section("Samples to hear", lead, _sides([*names, "Real clips"], bodies))


def _first(data: Data, most: int) -> Tensor:
    """Indices of some test examples, by chance: those of folders are sorted by class."""
    return torch.randperm(len(data.test), generator=seeded(0, "shown"))[:most]


def _reconstructions(names: Sequence[str], pictures: Sequence[Pictures]) -> str:
    bodies = {}
    for name, each in zip(names, pictures, strict=True):
        if each.originals is None or each.reconstructions is None or each.originals.ndim != 4:
            continue
        shown = fitting(each.originals, PAIRS)
        bodies[name] = pairs(each.originals[:shown], each.reconstructions[:shown], ("test example", "reconstruction"))
    lead = "Each pair: a test example, then what the model makes of its code."
    return section("Reconstructions", lead, _sides(list(bodies), list(bodies.values())) if bodies else "")


def _sides(names: Sequence[str], bodies: Sequence[str]) -> str:
    parts = (f"<div><h3>{escape(name)}</h3>{body}</div>" for name, body in zip(names, bodies, strict=True))
    return f"<div class=sides>{''.join(parts)}</div>"


def _bars(comparison: RunComparison) -> str:
    rows = [row for name in BARS if (row := comparison.row(name))]
    drawn = "".join(_bar_chart(row, [contender.name for contender in comparison.contenders]) for row in rows)
    lead = "Lines on the bars: 95% intervals. The mark across: what real data score, the floor."
    return section("At a glance", lead, f"<div class=charts>{drawn}</div>" if drawn else "")


def _bar_chart(row: Row, names: Sequence[str]) -> str:
    cells = {name: cell for name, cell in zip(names, row.cells, strict=True) if cell}
    intervals = {
        name: (cell.low, cell.high) for name, cell in cells.items() if cell.low is not None and cell.high is not None
    }
    better = {"higher": "higher is better", "lower": "lower is better", "floor": "near the mark is better"}[row.better]
    values = {name: cell.value for name, cell in cells.items()}
    return charts.bars(f"{row.title}: {better}", values, intervals=intervals, floor=row.floor)


def _table(comparison: RunComparison) -> str:
    names = [contender.name for contender in comparison.contenders]
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in ("Measure", *names, "Floor"))
    body = "".join(_table_row(row, names) for row in comparison.rows())
    lead = (
        "✓ marks the best value of a row; where 95% intervals overlap, the difference may be chance. "
        f"Times were measured here: {escape(comparison.machine)}; training time is that of the run's own machine."
    )
    table = f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    return section("Figures", lead, table)


def _table_row(row: Row, names: Sequence[str]) -> str:
    cells = ""
    for place, (name, cell) in enumerate(zip(names, row.cells, strict=True)):
        mark = " class=best" if place in row.best else ""
        cells += f'<td data-name="{escape(name)}"{mark}><span>{_cell(row, cell)}</span></td>'
    floor = "–" if row.floor is None else row.write(row.floor)
    return (
        f"<tr><th scope=row>{escape(row.title)} {arrow(row.better)}<small>{escape(row.meaning)}</small></th>"
        f'{cells}<td data-name="Floor"><span>{floor}</span></td></tr>'
    )


def _cell(row: Row, cell: Cell | None) -> str:
    if cell is None:
        return "–"
    interval = ""
    if cell.low is not None and cell.high is not None:
        interval = f"<small>{row.write(cell.low)} to {row.write(cell.high)}</small>"
    return f"<b>{row.write(cell.value)}</b>{interval}"
