"""Whether one model of sound predicts held-out clips better than another: the same clips, clip by clip.

    python -m benchmarks.paired_bits NAME RUN OTHER_RUN

Both runs must be of the same data. The difference has an interval of its own, by resampling clips: the interval of
each run's bits alone is mostly the spread between clips, which both share.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import save
from noiseforge.data import load_data
from noiseforge.data.split import seeded
from noiseforge.evaluation.bootstrap import resampled_interval
from noiseforge.training.run import Run

TOGETHER = 16
REPLICATES = 1_000


def main() -> None:
    """Measures, prints, and writes benchmarks/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the file in benchmarks/results")
    parser.add_argument("runs", nargs=2, type=Path)
    chosen = parser.parse_args()
    runs = [Run.open(path) for path in chosen.runs]
    if runs[0].spec.fingerprint != runs[1].spec.fingerprint:
        raise SystemExit("the runs are of different data")
    data = load_data(**runs[0].recipe.data.model_dump())
    bits, length = zip(*(_bits(run, data.test) for run in runs), strict=True)
    result: dict[str, Any] = {
        "clips": len(bits[0]),
        "samples": int(length[0].sum()),
    }
    for run, spent in zip(runs, bits, strict=True):
        result[run.path.name] = _told(spent, length[0])
    result["difference"] = _told(bits[0] - bits[1], length[0])
    print(json.dumps(result, indent=1))
    save(chosen.name, f"python -m benchmarks.paired_bits {chosen.name} RUN OTHER_RUN", result)


def _bits(run: Run, test: Any) -> tuple[Tensor, Tensor]:
    """Bits (N,) that each clip costs, and lengths (N,)."""
    model: Any = run.load_model("cpu")
    batches = [test.batch(rows) for rows in torch.arange(len(test)).split(TOGETHER)]
    spent = [model.nats(batch).double().sum(1) / math.log(2) for batch in batches]
    return torch.cat(spent), torch.cat([batch.length for batch in batches])


def _told(bits: Tensor, length: Tensor) -> dict[str, float | None]:
    def rate(bits: Tensor) -> float:
        return float(bits[:, 0].sum() / bits[:, 1].sum())

    both = torch.stack([bits, length.double()], 1)
    value = rate(both)
    told = resampled_interval(rate, both, value=value, generator=seeded(0, "paired bits"), replicates=REPLICATES)
    return {"bits_per_sample": value, "low": told and told.low, "high": told and told.high}


if __name__ == "__main__":
    main()
