"""The report of an evaluation: one HTML file that opens from the disk, and the same figures as JSON.

Everything lies inside the file: pictures, charts and style. It needs no network and no script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from noiseforge.data.spec import Data, Dataset
from noiseforge.evaluation import charts
from noiseforge.evaluation.coding_sections import CodingPictures, coding_sections
from noiseforge.evaluation.diagnosis import Diagnosis, Verdict, diagnose
from noiseforge.evaluation.evidence import Finding, Number, Record
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.evaluation.gallery import fitting, gallery, pairs, plot
from noiseforge.evaluation.glossary import ARROWS, HEADLINES, HEADLINES_OF, entry, standing
from noiseforge.evaluation.page import arrow, number, page, section, template
from noiseforge.files import write_text

TONES: dict[Verdict, str] = {
    "healthy": "good",
    "mode collapse": "alarm",
    "discriminator won": "alarm",
    "posterior collapse": "alarm",
    "vanishing gradients": "alarm",
    "diverged": "alarm",
    "memorising": "alarm",
    "too short to tell": "watch",
}
MOST_CLASSES = 40
"""Classes beyond which neither rows nor bars of classes can be read."""
SIGNS = {"good": "✓", "watch": "!", "alarm": "✕"}
HEALTH_CHARTS = {
    "Samples: quality": ("precision", "recall", "coverage"),
    "Samples: variety": ("pairwise_ratio", "cell_overlap", "repeat_share"),
    "Discriminator: health": ("discriminator_wins", "held_out_gap"),
}


def write_report(
    folder: Path,
    evaluation: Evaluation,
    samples: Tensor | None,
    data: Data,
    *,
    records: Sequence[Record] | None = None,
    neighbours: tuple[Tensor, Tensor] | None = None,
    by_class: Tensor | None = None,
    diagnosis: Diagnosis | None = None,
    recipe: str | None = None,
    coding: CodingPictures | None = None,
    shown: Sequence[str] = (),
) -> Path:
    """Writes `folder/index.html` and `folder/evaluation.json`, each whole or not at all.

    Args:
        folder: made where it is missing.
        evaluation: the figures.
        samples: (N, *shape) in model units; the first ones are shown. None of a model that makes none.
        data: what the samples are compared with.
        records: lines of metrics.jsonl, for the curves of the training.
        neighbours: samples (n, *shape), and the nearest training example of each.
        by_class: (classes, n, *shape), n samples that were asked for each class.
        diagnosis: the verdict; None draws it from `records` and `evaluation`.
        recipe: the recipe's text.
        coding: what an encoder makes of the data.
        shown: parts of the page that show what the data are, see `sound_sections` and `sequence_sections`.

    Returns:
        The path of the page.

    Raises:
        OSError: the folder cannot be written.
    """
    diagnosis = diagnosis or diagnose(records or (), evaluation)
    sections = (
        _samples(samples, data),
        *shown,
        _classes(by_class, evaluation, data),
        _figures(evaluation.figures),
        _findings(diagnosis.findings),
        _histogram(evaluation, data),
        _neighbours(neighbours),
        *(coding_sections(coding, data.spec) if coding else ()),
        _curves(records or ()),
        _reproduction(evaluation, recipe),
    )
    body = template("report.html").substitute(
        subject=escape(evaluation.subject),
        source=escape(evaluation.source),
        reference=evaluation.reference,
        created=escape(evaluation.created[:16].replace("T", " ")),
        tone=TONES[diagnosis.verdict],
        sign=SIGNS[TONES[diagnosis.verdict]],
        verdict=escape(diagnosis.verdict.capitalize()),
        summary=escape(diagnosis.summary),
        headlines="".join(map(_headline, _top_figures(evaluation, data))),
        sections="\n".join(filter(None, sections)),
    )
    write_text(folder / "evaluation.json", evaluation.model_dump_json(indent=2) + "\n")
    write_text(folder / "index.html", page(f"{evaluation.subject} · noiseforge evaluation", body))
    return folder / "index.html"


# -- the head --------------------------------------------------------------------------------------


def _top_figures(evaluation: Evaluation, data: Data) -> list[Figure]:
    names = HEADLINES_OF.get(data.spec.modality, HEADLINES)
    return [figure for metric in names if (figure := evaluation.figure(metric))][:4]


def _headline(figure: Figure) -> str:
    floor = "" if figure.floor is None else f"real data: {number(figure.floor)}"
    return (
        f"<div class=headline><dt>{escape(entry(figure).title)} {arrow(figure.better)}</dt>"
        f"<dd>{number(figure.value)}</dd><small>{floor}</small></div>"
    )


# -- pictures --------------------------------------------------------------------------------------


def _samples(samples: Tensor | None, data: Data) -> str:
    if samples is None or data.spec.modality in ("audio", "sequence"):
        return ""  # what is heard, or drawn as curves, has parts of the page of its own
    if data.spec.modality == "point":
        reference = _spread(data.test, 2500)
        lead = f"{len(samples):,} generated points over points of the data."
        return section("Samples", lead, plot(samples, reference, data.spec))
    shown = fitting(samples, 96)
    real = _spread(data.test, fitting(samples, 32))
    body = gallery(samples[:shown], "samples") + "<h3>Real examples, to compare</h3>"
    lead = f"The first {shown} of {len(samples):,} samples, as they came: none was chosen."
    return section("Samples", lead, body + gallery(real, "real examples"))


def _spread(dataset: Dataset, most: int) -> Tensor:
    """Some examples, evenly over the data set: those of folders are sorted by class."""
    return dataset.batch(torch.linspace(0, len(dataset) - 1, min(most, len(dataset))).long()).x


def _classes(by_class: Tensor | None, evaluation: Evaluation, data: Data) -> str:
    names = data.spec.classes or evaluation.classes
    if by_class is None or not names or len(names) > MOST_CLASSES or data.spec.modality == "point":
        return ""
    rows = "".join(
        f"<div class=row><b>{escape(name)}</b>{gallery(x[: fitting(x, 12)], name)}</div>"
        for name, x in zip(names, by_class, strict=True)
    )
    return section("Samples by class", "Each row was asked for the class that it is named by.", rows)


def _neighbours(neighbours: tuple[Tensor, Tensor] | None) -> str:
    if neighbours is None or neighbours[0].ndim != 4:
        return ""
    shown = fitting(neighbours[0], 24)
    return section(
        "Nearest training examples",
        "Each pair: a sample, then the training example nearest to it. Equal pictures would mean memorising.",
        pairs(neighbours[0][:shown], neighbours[1][:shown]),
    )


# -- figures ---------------------------------------------------------------------------------------


def _figures(figures: Sequence[Figure]) -> str:
    heads = ("Metric", "Value", "95% interval", "Floor", "Standing", "N", "Extractor", "Seed")
    head = "".join(f"<th scope=col>{name}</th>" for name in heads)
    body = "".join(map(_figure_row, figures))
    table = f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    lead = (
        "The floor is what real data score against other real data at the same N: no model does better than "
        "that by merit. The bar shows how far a value has come to it from the worst. "
        f"{', '.join(f'{sign} {said}' for sign, said in ARROWS.values())}."
    )
    return section("Figures", lead, table if figures else "")


def _figure_row(figure: Figure) -> str:
    interval = (
        "–" if figure.low is None or figure.high is None else f"{number(figure.low)} <i>to</i> {number(figure.high)}"
    )
    come = standing(figure)
    note = f"<small class=note>{escape(figure.note)}</small>" if figure.note else ""
    cells = {
        "Value": f"<b>{number(figure.value)}</b>",
        "95% interval": interval,
        "Floor": "–" if figure.floor is None else number(figure.floor),
        "Standing": "–" if come is None else charts.gauge(come),
        "N": _counts(figure),
        "Extractor": f"<code>{escape(figure.extractor)}</code>" if figure.extractor else "–",
        "Seed": str(figure.seed),
    }
    return (
        f"<tr><th scope=row>{escape(entry(figure).title)} {arrow(figure.better)}"
        f"<small>{escape(entry(figure).meaning)}</small>{note}</th>"
        + "".join(f'<td data-name="{name}"><span>{cell}</span></td>' for name, cell in cells.items())
        + "</tr>"
    )


def _counts(figure: Figure) -> str:
    """Samples against real examples, or either alone."""
    if figure.n_fake and figure.n_real:
        return f"{figure.n_fake:,} <i>vs</i> {figure.n_real:,}"
    return f"{figure.n_fake:,}" if figure.n_fake else f"{figure.n_real:,} <i>real</i>"


def _histogram(evaluation: Evaluation, data: Data) -> str:
    names, shares, labels = evaluation.classes, evaluation.class_histogram, data.test.labels
    if not shares or len(names) > MOST_CLASSES:
        return ""
    if labels is None:
        real, expected = "equal shares", [1 / len(names)] * len(names)
    else:
        counts = torch.bincount(labels, minlength=len(names)).double()
        real, expected = "real data", (counts / counts.sum()).tolist()
    judge = "" if evaluation.judge_accuracy is None else (
        f" The judge that sorts them is right on {evaluation.judge_accuracy:.1%} of unseen real examples."
    )  # fmt: skip
    lead = f"Bars: share of the samples in each class. Marks: {real}.{judge}"
    chart = charts.histogram(names, shares, expected)
    return section("Classes", lead, f'<figure class="chart single">{chart}</figure>')


# -- the diagnosis ---------------------------------------------------------------------------------


def _findings(findings: Sequence[Finding]) -> str:
    told: set[str] = set()
    items = ""
    for finding in findings:
        items += _finding(finding, advice="" if finding.advice in told else finding.advice)
        told.add(finding.advice)
    lead = "What was checked, what was measured, and where the limit lies."
    return section("Diagnosis", lead, f"<ul class=findings>{items}</ul>" if items else "")


def _finding(finding: Finding, *, advice: str) -> str:
    todo = f"<p class=advice><b>What to do:</b> {escape(advice)}</p>" if advice else ""
    return (
        f'<li class="{finding.level}"><span class=sign>{SIGNS[finding.level]}</span>'
        f"<div><b>{escape(finding.name.capitalize())}</b><p>{escape(finding.sentence)}</p>"
        f"<small>{'<br>'.join(map(_measured, finding.numbers))}</small>{todo}</div></li>"
    )


def _measured(measured: Number) -> str:
    limit = "not below" if measured.alarm == "below" else "not above"
    expected = f"({limit} {measured.threshold:.3g} expected)"
    return f"{escape(measured.name)}: <b>{number(measured.value)}</b> {expected}"


# -- the training ----------------------------------------------------------------------------------


def _curves(records: Sequence[Record]) -> str:
    train = [r for r in records if r.get("event") == "train"]
    health = [r for r in records if r.get("event") == "health"]
    terms = sorted({name for record in train for name in record if "/" in name})
    logits = [t for t in reversed(terms) if t.endswith(("/real_logit", "/fake_logit"))]
    drawn = []
    for player in sorted({term.split("/")[0] for term in terms}):
        own = [t for t in terms if t.startswith(f"{player}/") and t not in logits]
        drawn.append(charts.lines(f"{player.capitalize()}: loss terms", _series(train, own)))
    drawn.append(charts.lines("Discriminator: mean logits", _series(train, logits)))
    drawn += [charts.lines(title, _series(health, names)) for title, names in HEALTH_CHARTS.items()]
    body = "".join(drawn)
    lead = "Every curve over the number of real images that the training had seen."
    return section("Training", lead, f"<div class=charts>{body}</div>" if body else "")


def _series(records: Sequence[Record], names: Sequence[str]) -> Mapping[str, list[charts.Point]]:
    """For each name its values over the images seen, under the last part of the name, in plain words."""
    return {
        name.split("/")[-1].replace("_", " "): [
            (float(r["images"]), float(r[name])) for r in records if isinstance(r.get(name), int | float)
        ]
        for name in names
    }


def _reproduction(evaluation: Evaluation, recipe: str | None) -> str:
    body = f"<pre>{escape(evaluation.command)}</pre>" if evaluation.command else ""
    lead = f"This measures the same again; it took {evaluation.seconds:,.0f} s." if body else ""
    if recipe:
        body += f"<h3>The recipe of the training</h3><pre>{escape(recipe)}</pre>"
    return section("How to reproduce", lead, body)
