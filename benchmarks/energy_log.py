"""A log of 28 channels every ten minutes, as that of a house is: something to generate that is mostly noise.

    python -m benchmarks.energy_log energy.csv
    noiseforge train sequence/stocks --data energy.csv

Rooms with daily and weekly cycles and slow noise; consumption in tens of watt hours; humidity that falls as it warms;
two columns that are exact copies, one that is an exact sum, and two that are the same pure noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

ROWS = 4000
DAY = 144
"""Steps of ten minutes."""


def energy_log(rows: int = ROWS, seed: int = 0) -> dict[str, Tensor]:
    """The columns by name, each (rows,) float64.

    >>> log = energy_log(100)
    >>> len(log), bool((log["noise_1"] == log["noise_2"]).all())
    (28, True)
    """
    rng = torch.Generator().manual_seed(seed)
    time = torch.arange(rows, dtype=torch.float64)
    day, week = 2 * torch.pi * time / DAY, 2 * torch.pi * time / (7 * DAY)
    weather = 4 * slow_noise(rows, 0.998, rng)
    outside = 8 + 5 * (day - 2).sin() + weather
    log: dict[str, Tensor] = {"outside": outside, "outside_copy": outside.clone()}
    for room in range(1, 9):
        phase, gain = torch.rand(2, generator=rng).tolist()
        warmth = 20 + 0.2 * (outside - 8) + (day - phase).sin() + gain * week.cos() + 0.5 * slow_noise(rows, 0.98, rng)
        log[f"warmth_{room}"] = warmth
        log[f"humidity_{room}"] = 45 - 1.5 * (warmth - 20) + 2 * slow_noise(rows, 0.95, rng)
    busy = (1.5 * (day - 1).sin() + 0.5 * week.sin()).exp() + slow_noise(rows, 0.8, rng).exp()
    log["appliances"] = (30 + 10 * busy * torch.rand(rows, generator=rng, dtype=torch.float64)).div(10).round() * 10
    log["lights"] = (4 * (busy - 2).clamp(min=0)).round() * 10
    log["total"] = log["appliances"] + log["lights"]
    log["pressure"] = 755 + 5 * slow_noise(rows, 0.999, rng)
    log["wind"] = (4 + 2 * slow_noise(rows, 0.97, rng)).clamp(min=0)
    log["visibility"] = (40 + 10 * slow_noise(rows, 0.9, rng)).round()
    log["dew"] = outside - 3 + slow_noise(rows, 0.99, rng)
    log["dew_copy"] = log["dew"].clone()
    log["noise_1"] = 50 * torch.rand(rows, generator=rng, dtype=torch.float64)
    log["noise_2"] = log["noise_1"].clone()
    return log


def slow_noise(rows: int, memory: float, rng: torch.Generator) -> Tensor:
    """(rows,) of variance 1, each the one before times `memory` and a normal draw."""
    draws = torch.randn(rows, generator=rng, dtype=torch.float64) * (1 - memory**2) ** 0.5
    value = torch.randn((), generator=rng, dtype=torch.float64)
    return torch.stack([value := memory * value + draw for draw in draws.unbind()])


def main(path: Path) -> None:
    """Writes the log as a table."""
    log = energy_log()
    rows = torch.stack(list(log.values()), 1).tolist()
    lines = [",".join(log), *(",".join(f"{value:.6g}" for value in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
