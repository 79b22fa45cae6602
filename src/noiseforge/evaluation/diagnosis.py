"""The verdict on a run: collapsing, diverging, memorising or healthy, with the numbers behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Literal

from pydantic import BaseModel, ConfigDict

from noiseforge.evaluation import checks
from noiseforge.evaluation.checks import Evidence, Finding, Record
from noiseforge.evaluation.figures import Evaluation

Verdict = Literal["healthy", "mode collapse", "discriminator won", "diverged", "memorising", "too short to tell"]

CHECKS: dict[Verdict, tuple[Callable[[Evidence], Finding | None], ...]] = {
    "diverged": (checks.not_a_number, checks.growth),
    "mode collapse": (checks.sameness, checks.missing_modes, checks.missing_classes),
    "discriminator won": (checks.lost_game,),
    "memorising": (checks.copied, checks.overfitted),
}
"""What speaks for each verdict, the gravest verdict first."""
SUMMARIES: dict[Verdict, str] = {
    "healthy": "The samples are varied, they lie where the data lie, and nothing points to trouble.",
    "mode collapse": "The generator makes only a part of what the data hold.",
    "discriminator won": "The discriminator is always right, and the generator no longer learns.",
    "diverged": "The training has left the finite and useful range of its numbers.",
    "memorising": "The model repeats single training examples, or leans on them.",
    "too short to tell": "The evidence does not yet support a verdict.",
}


class Diagnosis(BaseModel):
    """The verdict on a run and every finding behind it, the gravest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    summary: str
    findings: tuple[Finding, ...] = ()


def diagnose(records: Sequence[Record], evaluation: Evaluation | None = None) -> Diagnosis:
    """The verdict on a run from its records (lines of metrics.jsonl) and its evaluation, where there is one.

    >>> diagnose([]).verdict
    'too short to tell'
    >>> diagnose([{"event": "diverged", "images": 640, "reason": "discriminator/r1 became nan"}]).verdict
    'diverged'
    """
    evidence = Evidence(
        records=records,
        health=[r for r in records if r.get("event") == "health"],
        evaluation=evaluation,
    )
    found = {
        verdict: [finding for check in suspects if (finding := check(evidence))] for verdict, suspects in CHECKS.items()
    }
    progress = checks.reached(evidence)
    alarmed = [verdict for verdict, findings in found.items() if any(f.level == "alarm" for f in findings)]
    calm: Verdict = "healthy" if progress.level == "good" else "too short to tell"
    verdict = alarmed[0] if alarmed else calm
    # To train longer is no cure for a sick run.
    told = chain(*found.values(), () if alarmed else (progress,))
    gravity = ("alarm", "watch", "good")
    findings = sorted(told, key=lambda f: gravity.index(f.level))
    return Diagnosis(verdict=verdict, summary=SUMMARIES[verdict], findings=tuple(findings))
