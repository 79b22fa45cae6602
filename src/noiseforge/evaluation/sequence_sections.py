"""The sections of a report that show series: beside real ones, as distributions, and with what they are nearest to."""

from __future__ import annotations

import torch

from noiseforge.data.samples import Samples
from noiseforge.data.sequence_pictures import plots
from noiseforge.data.spec import Data
from noiseforge.evaluation.gallery import drawn
from noiseforge.evaluation.page import section
from noiseforge.evaluation.sequence_charts import autocorrelations, marginals, overlays, planes
from noiseforge.evaluation.sequence_neighbours import Closeness
from noiseforge.evaluation.sequence_view import everything, filled

SHOWN = 12
"""Series, and pairs of neighbours, that are drawn on their own."""
MOST_COMPARED = 2_000
"""Series of a kind whose distributions are drawn."""


def sequence_sections(samples: Samples, data: Data) -> tuple[str, ...]:
    """Samples, overlays, distributions, planes, and the training series nearest to samples, as parts of a page.

    Args:
        samples: x (N, T, D) in model units with T of the data.
        data: the real series.
    """
    n = min(MOST_COMPARED, len(data.test))
    spread = torch.linspace(0, len(data.test) - 1, n).long()
    spread = spread[torch.randperm(n, generator=torch.Generator().manual_seed(0))]
    kinds = everything(data.test, spread), Samples(*(None if part is None else part[:n] for part in samples))  # type: ignore[arg-type]
    return (_samples(samples, data), _compared(kinds, data), _nearest(samples, data))


def _samples(samples: Samples, data: Data) -> str:
    some = everything(data.test, torch.linspace(0, len(data.test) - 1, min(SHOWN, len(data.test))).long())
    body = drawn(plots(samples.x[:SHOWN], data.spec, length=samples.length), "generated series over time")
    real = drawn(plots(some.x, data.spec, length=some.length), "real series over time")
    lead = f"The first {min(SHOWN, len(samples.x))} of {len(samples.x):,} samples, as they came: none was chosen."
    return section("Samples", lead, f"{body}<h3>Real series, to compare</h3>{real}")


def _compared(kinds: tuple[Samples, Samples], data: Data) -> str:
    parts = (
        ("Over time", overlays(kinds, data.spec)),
        ("All series as points", planes(kinds, data.spec)),
        ("Distribution of values", marginals(kinds, data.spec)),
        ("Autocorrelation by steps apart", autocorrelations(kinds, data.spec)),
    )
    body = "".join(f"<h3>{title}</h3>{drawn(picture, title)}" for title, picture in parts)
    lead = "Grey: real series that were not trained on, where the data hold any out. Orange: as many generated ones."
    return section("Beside the data", lead, body)


def _nearest(samples: Samples, data: Data) -> str:
    ours = Samples(samples.x[:SHOWN], length=None if samples.length is None else samples.length[:SHOWN])
    found = Closeness(data.train).nearest(filled(ours.x, ours.length))
    theirs = everything(data.train, found.place)
    picture = plots(ours.x, data.spec, length=ours.length, reference=theirs.x)
    lead = (
        "Each sample as solid lines, and the training series nearest to it, dotted. Lines that lie on one another "
        "would mean memorising."
    )
    return section("Nearest training series", lead, drawn(picture, "samples and their nearest training series"))
