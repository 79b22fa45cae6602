"""The verdict on a run: collapsing, diverging, memorising or healthy, with the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal

from pydantic import BaseModel, ConfigDict

from noiseforge.data.spec import Spec
from noiseforge.evaluation import checks, gradient_reach
from noiseforge.evaluation.evidence import Evidence, Finding, Record, images_seen
from noiseforge.evaluation.figures import Evaluation
from noiseforge.recipes.schema import Recipe

Verdict = Literal[
    "healthy",
    "mode collapse",
    "discriminator won",
    "posterior collapse",
    "vanishing gradients",
    "diverged",
    "memorising",
    "too short to tell",
]

CHECKS: dict[Verdict, tuple[Callable[[Evidence], Finding | None], ...]] = {
    "diverged": (checks.not_a_number, checks.growth),
    "discriminator won": (checks.lost_game,),
    "posterior collapse": (checks.unused_code,),
    "vanishing gradients": (gradient_reach.verdict,),
    "mode collapse": (checks.sameness, checks.missing_modes, checks.missing_classes),
    "memorising": (checks.copied, checks.overfitted),
}
"""What speaks for each verdict, causes before effects: a generator without a slope makes few things too."""
SUMMARIES: dict[Verdict, str] = {
    "healthy": "The samples are varied, they lie where the data lie, and nothing points to trouble.",
    "mode collapse": "The generator makes only a part of what the data hold.",
    "discriminator won": "The discriminator is always right, and the generator no longer learns.",
    "posterior collapse": "The decoder ignores the code, and the encoder has given up.",
    "vanishing gradients": "What happened early in a sequence hardly reaches the loss, or far too strongly.",
    "diverged": "The training has left the finite and useful range of its numbers.",
    "memorising": "The model repeats single training examples, or leans on them.",
    "too short to tell": "The evidence does not yet support a verdict.",
}
RECOGNISES = "The classifier does better than chance on examples it has not seen, and nothing points to trouble."
"""The summary of a healthy run that makes no samples."""


class Diagnosis(BaseModel):
    """The verdict on a run and every finding behind it, the gravest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    summary: str
    findings: tuple[Finding, ...] = ()


def diagnose(
    records: Sequence[Record],
    evaluation: Evaluation | None = None,
    *,
    recipe: Recipe | None = None,
    spec: Spec | None = None,
) -> Diagnosis:
    """The verdict on a run from its records (lines of metrics.jsonl) and its evaluation, where there is one.

    With the recipe of the run the advice is what that allows. With the Spec of its data an evaluation that is of
    another state of the run, or against other data, is left out, and a finding says so.

    >>> diagnose([]).verdict
    'too short to tell'
    >>> diagnose([{"event": "diverged", "images": 640, "reason": "discriminator/r1 became nan"}]).verdict
    'diverged'
    """
    stray = _stray(evaluation, records, spec) if evaluation and spec else None
    evidence = Evidence(
        records=records,
        health=[r for r in records if r.get("event") == "health"],
        evaluation=None if stray else evaluation,
        recipe=recipe,
        spec=spec,
    )
    found = {
        verdict: [finding for check in suspects if (finding := check(evidence))] for verdict, suspects in CHECKS.items()
    }
    recognition = gradient_reach.learned(evidence)
    progress = recognition or checks.reached(evidence)
    alarmed = [verdict for verdict, findings in found.items() if any(f.level == "alarm" for f in findings)]
    calm: Verdict = "healthy" if progress.level == "good" else "too short to tell"
    verdict = alarmed[0] if alarmed else calm
    # To train longer is no cure for a sick run.
    told = chain(*found.values(), () if alarmed else (progress,), (stray,) if stray else ())
    gravity = ("alarm", "watch", "good")
    findings = sorted(told, key=lambda f: gravity.index(f.level))
    summary = RECOGNISES if recognition and verdict == "healthy" else SUMMARIES[verdict]
    return Diagnosis(verdict=verdict, summary=summary, findings=tuple(findings))


def _stray(evaluation: Evaluation, records: Sequence[Record], spec: Spec) -> Finding | None:
    """Why an evaluation says nothing of the run as it is now; None where it does."""
    seen = images_seen(records)
    if evaluation.fingerprint != spec.fingerprint:
        why = f"it compares with other data ({evaluation.source}) than the run was trained on"
    elif evaluation.images is None:
        why = "it does not say how far the training was"
    elif evaluation.images != seen:
        why = f"it was made after {evaluation.images:,} {spec.examples}, and the run has seen {seen:,}"
    else:
        return None
    return Finding(
        name="evaluation",
        level="watch",
        sentence=f"The evaluation is left out: {why}.",
        advice="Evaluate the run again: noiseforge evaluate RUN.",
    )
