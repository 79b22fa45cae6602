"""What `diagnosis.py` asks of a run. Each check looks at one thing and returns one finding.

Thresholds are relative to what real data score, and every measure is the median of the last quarter of a run:
the transients of a healthy start raise nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from noiseforge.evaluation.advice import (
    AGAINST_COLLAPSE,
    AGAINST_DEFEAT,
    AGAINST_DOUBT,
    AGAINST_GROWTH,
    AGAINST_MEMORISING,
    AGAINST_NAN,
    AGAINST_UNUSED_CODE,
)
from noiseforge.evaluation.evidence import RISING, SHORTEST, Evidence, Finding, beyond, graded, measured
from noiseforge.evaluation.health import overlap_floor


def not_a_number(evidence: Evidence) -> Finding | None:
    """Values that are not finite: the loop's own alarm, or NaN in a record."""
    for record in evidence.records:
        broken = [k for k, v in record.items() if isinstance(v, float) and not math.isfinite(v)]
        if broken or record.get("event") == "diverged":
            images = record.get("images", 0)
            return Finding(
                name="finite numbers",
                level="alarm",
                sentence=f"{record.get('reason') or f'{broken[0]} was not finite after {images} images'}.",
                advice=evidence.advise(AGAINST_NAN),
            )
    return None


def growth(evidence: Evidence) -> Finding | None:
    """Losses and logits that end far beyond the run's first half, or beyond any use, while the samples are no good.

    A critic's scale is free (Wasserstein), so growth alone is watched and only growth without quality alarms.
    """
    series: dict[str, list[float]] = {}
    for record in evidence.records:
        if record.get("event") == "train":
            for term in (k for k in record if "/" in k):
                series.setdefault(term, []).append(abs(float(record[term])))
    growth = {term: _grown(values) for term, values in series.items() if len(values) >= 10}
    if not growth:
        return None
    term = max(growth, key=lambda k: growth[k])
    ends = {k: median(values[-len(values) // 10 :]) for k, values in series.items()}
    largest = max(ends, key=lambda k: ends[k])
    numbers = [measured(f"growth of {term}", growth[term], "above", 100.0)]
    # A likelihood is summed over the values of an example: of it any size is in order.
    if any(k.startswith("discriminator/") for k in series):
        numbers.append(measured(f"size of {largest}", ends[largest], "above", 1e4))
    quality = evidence.quality()
    good_samples = quality is not None and quality[1] >= 0.15
    times = f"{term} ends {growth[term]:,.0f} times larger than it was, {largest} at {ends[largest]:,.0f}"
    return graded(
        evidence,
        "bounded game",
        alarms=() if good_samples else numbers,
        watches=numbers,
        sentences={
            "good": "Losses and logits stay within bounds.",
            "watch": f"{times}, though the samples are still good.",
            "alarm": f"{times}, and the samples are not good.",
        },
        remedies=AGAINST_GROWTH,
    )


def _grown(values: Sequence[float]) -> float:
    """The median of the last tenth over that of the first half, its own first tenth left out.

    A scale below 1 counts as 1: a loss that rises from 0.001 to 0.5 is no divergence.
    """
    tenth = max(1, len(values) // 10)
    return median(values[-tenth:]) / max(1.0, median(values[tenth : max(tenth + 1, len(values) // 2)]))


def sameness(evidence: Evidence) -> Finding | None:
    """Samples that look like each other, as a fresh generator's do, and no longer grow apart."""
    apart, repeats = evidence.late("pairwise_ratio"), evidence.late("repeat_share")
    if apart is None or repeats is None:
        return None
    floor = evidence.late("repeat_floor") or 0.0
    return graded(
        evidence,
        "variety",
        alarms=()
        if evidence.spreading()
        else (
            measured("distance between samples / between real examples", apart, "below", 0.3),
            measured("share of samples with a near-copy", repeats, "above", floor + 0.3),
        ),
        watches=(
            measured("distance between samples / between real examples", apart, "below", 0.6),
            measured("share of samples with a near-copy", repeats, "above", floor + 0.1),
        ),
        sentences={
            "good": "Samples differ from each other about as much as real examples do.",
            "watch": "Samples resemble each other more than real examples do.",
            "alarm": "Samples look alike: far more than real examples do.",
        },
        remedies=AGAINST_COLLAPSE,
    )


def missing_modes(evidence: Evidence) -> Finding | None:
    """Regions of the data without samples, by how samples are spread over cells of the data.

    Samples that are nothing like the data fall into few cells too: what they lack is not variety.
    """
    overlap = evidence.late("cell_overlap")
    if overlap is None:
        return _uncovered(evidence)
    early = evidence.spreading() or (evidence.late("precision") or 0.0) < 0.2
    share = overlap / overlap_floor(int(evidence.late("count") or 256))
    name = "overlap with the data's cells, of what real data score"
    return graded(
        evidence,
        "spread",
        alarms=() if early else (measured(name, share, "below", 0.5),),
        watches=(measured(name, share, "below", 0.65),),
        sentences={
            "good": "Samples are spread over the regions of the data much as real examples are.",
            "watch": "Samples crowd in some regions of the data.",
            "alarm": "Samples crowd in a few regions of the data, and whole regions are missing.",
        },
        remedies=AGAINST_COLLAPSE,
    )


def _uncovered(evidence: Evidence) -> Finding | None:
    """The same from an evaluation alone: samples that are good but cover little, each a share of real data's.

    Samples that are a little off lose more coverage than precision, so the limits are wide.
    """
    quality = evidence.quality()
    if quality is None or quality[0] < 0.5 or evidence.figure("modes"):
        return None  # where modes are known, `missing_classes` counts them
    share = quality[1] / quality[0]
    return graded(
        evidence,
        "spread",
        alarms=(measured("coverage / precision", share, "below", 0.35),),
        watches=(measured("coverage / precision", share, "below", 0.6),),
        sentences={
            "good": f"Samples reach {min(quality[1], 1):.0%} of the data that real examples would reach.",
            "watch": f"Samples are realistic, but reach only {quality[1]:.0%} of what real ones would.",
            "alarm": f"Samples are realistic, but whole regions are missing: {quality[1]:.0%} reached.",
        },
        remedies=AGAINST_COLLAPSE,
    )


def missing_classes(evidence: Evidence) -> Finding | None:
    """Classes or mixture modes that are rare or absent among the samples, against real data's own counts."""
    alarms, watches = [], []
    if (rarest := evidence.figure("class_min_share")) and rarest.floor:
        alarms.append(measured("share of the rarest class", rarest.value, "below", 0.1 * rarest.floor))
        watches.append(measured("share of the rarest class", rarest.value, "below", 0.5 * rarest.floor))
    if (modes := evidence.figure("modes")) and modes.floor:
        alarms.append(measured("modes found", modes.value, "below", 0.8 * modes.floor))
        watches.append(measured("modes found", modes.value, "below", modes.floor))
    if divergence := evidence.figure("reverse_kl"):
        # ln 2 is what half of the modes, equally likely, would score.
        floor = divergence.floor or 0.0
        alarms.append(measured("reverse KL (nats)", divergence.value, "above", floor + math.log(2)))
        watches.append(measured("reverse KL (nats)", divergence.value, "above", floor + 0.1))
    if not alarms:
        return None
    return graded(
        evidence,
        "classes",
        alarms=alarms,
        watches=watches,
        sentences={
            "good": "Every class or mode of the data is there, in about its share.",
            "watch": "Some classes or modes are rarer among the samples than in the data.",
            "alarm": "Classes or modes of the data are missing among the samples.",
        },
        remedies=AGAINST_COLLAPSE,
    )


def lost_game(evidence: Evidence) -> Finding | None:
    """A discriminator that is always right while samples lie off the data and do not get nearer.

    Being right alone is no alarm: hinge and Wasserstein critics win nearly always in healthy runs.
    """
    wins, quality = evidence.late("discriminator_wins"), evidence.quality()
    if wins is None or quality is None:
        return None
    always = measured("share of pairs in which D is right", wins, "above", 0.99)
    hopeless = (
        measured("precision, of what real data score", quality[0], "below", 0.1),
        measured("gain in precision over the last quarter", evidence.gain("precision"), "below", RISING),
    )
    lost = all(map(beyond, (always, *hopeless)))
    right = f"The discriminator is right on {wins:.0%} of pairs of a real example and a sample"
    return graded(
        evidence,
        "balance",
        alarms=(always, *hopeless) if lost else (),
        sentences={
            "good": f"{right}, yet samples are good or improving." if beyond(always) else f"{right}.",
            "alarm": f"{right}, and samples come no nearer to the data.",
        },
        remedies=AGAINST_DEFEAT,
    )


def unused_code(evidence: Evidence) -> Finding | None:
    """A posterior that has become the prior: the decoder ignores the latent (Bowman et al. 2016; Burda et al. 2016)."""
    active, latent = evidence.late("active_units"), evidence.late("latent")
    if active is None or latent is None:
        return None
    used = measured("dimensions of the code in use", active, "below", 1.0)
    return graded(
        evidence,
        "code",
        alarms=(used,),
        watches=(measured("dimensions of the code in use", active, "below", min(3.0, latent)),),
        sentences={
            "good": f"The code uses {active:.0f} of its {latent:.0f} dimensions.",
            "watch": f"The code uses {active:.0f} of its {latent:.0f} dimensions, and says little.",
            "alarm": "The code says nothing: the posterior has become the prior.",
        },
        remedies=AGAINST_UNUSED_CODE,
    )


def overfitted(evidence: Evidence) -> Finding | None:
    """A discriminator that knows its training examples by heart."""
    gap = evidence.late("held_out_gap")
    if gap is None:
        return None
    lost = "D's advantage that is lost on unseen real data"
    return graded(
        evidence,
        "held-out data",
        alarms=(measured(lost, gap, "above", 0.7),),
        watches=(measured(lost, gap, "above", 0.4),),
        sentences={
            "good": "The discriminator treats unseen real examples like those it was trained on.",
            "watch": "The discriminator begins to recognise its training examples.",
            "alarm": "The discriminator has learned its training examples by heart.",
        },
        remedies=AGAINST_MEMORISING,
    )


def copied(evidence: Evidence) -> Finding | None:
    """Samples nearer to training examples than unseen real examples are."""
    alarms, watches = [], []
    if ratio := evidence.figure("nearest_ratio"):
        name = "distance to the nearest training example / real data's"
        # Smooth samples lie nearer to everything, so a ratio somewhat below 1 is no copy.
        alarms.append(measured(name, ratio.value, "below", 0.5))
        watches.append(measured(name, ratio.value, "below", 0.7))
    if copies := evidence.figure("copies"):
        floor = copies.floor or 0.0
        alarms.append(measured("share of exact copies", copies.value, "above", floor + 0.05))
        watches.append(measured("share of exact copies", copies.value, "above", floor + 0.01))
    if not alarms:
        return None
    return graded(
        evidence,
        "copies",
        alarms=alarms,
        watches=watches,
        sentences={
            "good": "Samples are no copies of training examples.",
            "watch": "Samples are nearer to training examples than unseen real data are.",
            "alarm": "Samples repeat training examples.",
        },
        remedies=AGAINST_MEMORISING,
    )


def reached(evidence: Evidence) -> Finding:
    """Whether samples have reached the data at all, without which "healthy" would say nothing."""
    quality = evidence.quality()
    if quality is None:
        watches = [measured("checks of health", len(evidence.health), "below", SHORTEST)]
        sentence = "There is not enough to judge the run by."
    else:
        watches = [
            measured("precision, of what real data score", quality[0], "below", 0.2),
            measured("coverage, of what real data score", quality[1], "below", 0.15),
        ]
        sentence = "Samples have not reached the data, or most of them, yet."
    return graded(
        evidence,
        "progress",
        alarms=(),
        watches=watches,
        sentences={"good": "Samples have reached the data.", "watch": sentence},
        remedies=AGAINST_DOUBT,
    )
