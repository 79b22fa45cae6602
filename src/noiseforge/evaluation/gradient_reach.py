"""How far back the gradients of a recurrent network reach, from the health of its training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from noiseforge.evaluation.advice import Remedy
from noiseforge.evaluation.evidence import Evidence, Finding, Record, graded, measured

MEASURE = "gradient_by_distance"
"""In a record of health: norms at 0, 1, 2, 4, ... steps before the last (`models.classifier.gradient_reach`)."""
VANISHED, WEAK = 1e-4, 1e-2
"""Share of the gradient at the last step below which that of the earliest one is lost, or is watched."""
EXPLODED = 1e4
FAR = 16
"""Steps below which nothing is said: over a few steps every network reaches back."""

AGAINST_VANISHING = (
    Remedy("take a gated cell", ("model.cell=lstm",)),
    Remedy("let the gates begin by the length of the sequences", ("model.chrono=true",)),
    Remedy("read several steps as one", ("model.chunk=4",), degree=True),
    Remedy("clip the gradient", ("model.optimiser.clip_norm=1",)),
)


def typical_reach(records: Sequence[Record]) -> list[float]:
    """The median norm at each distance over the last quarter of the looks; empty where there are none.

    >>> typical_reach([{"event": "health", "gradient_by_distance": [1.0, 0.5]}])
    [1.0, 0.5]
    """
    looks = [list(map(float, record[MEASURE])) for record in records if MEASURE in record]
    late = looks[-max(len(looks) // 4, 1) :]
    steps = min(map(len, late), default=0)
    return [median(look[place] for look in late) for place in range(steps)]


def verdict(evidence: Evidence) -> Finding | None:
    """Whether the gradient of the last step is lost, or grows without bound, on its way back to the first steps.

    It is told by the farthest distance of 1, 2, 4, ... steps that was measured, beside the last step itself.
    """
    norms = typical_reach(evidence.records)
    distance = 2 ** (len(norms) - 2) if len(norms) > 1 else 0
    if distance < FAR or not all(map(math.isfinite, norms)) or norms[0] <= 0:
        return None
    share = norms[-1] / norms[0]
    told = f"the gradient {distance} steps back is {share:.1g} of that at the last step"
    name = f"gradient {distance} steps back, over that at the last step"
    lost, grown = measured(name, share, "below", VANISHED), measured(name, share, "above", EXPLODED)
    return graded(
        evidence,
        "reach of gradients",
        alarms=(lost, grown),
        watches=(measured(name, share, "below", WEAK),),
        sentences={
            "good": f"Gradients reach back: {told}.",
            "watch": f"Gradients fade on their way back: {told}.",
            "alarm": f"Gradients {'explode' if share > 1 else 'vanish'} on their way back: {told}. "
            f"What stands there is {'learned wildly' if share > 1 else 'not learned'}.",
        },
        remedies=AGAINST_VANISHING,
    )


def learned(evidence: Evidence) -> Finding | None:
    """Whether a classifier does better than to name the commonest class; None of a run that is none."""
    accuracy, chance = evidence.late("accuracy"), evidence.late("chance")
    if accuracy is None or chance is None:
        return None
    count = evidence.late("count") or 1.0
    needed = chance + 2 * math.sqrt(chance * (1 - chance) / count)
    return graded(
        evidence,
        "accuracy",
        alarms=(),
        watches=(measured("held-out accuracy", accuracy, "below", needed),),
        sentences={
            "good": f"It names {accuracy:.1%} of the held-out examples rightly; the commonest class is {chance:.1%}.",
            "watch": f"It names {accuracy:.1%} of the held-out examples rightly, no more than the commonest class has.",
        },
        remedies=AGAINST_VANISHING,
    )
