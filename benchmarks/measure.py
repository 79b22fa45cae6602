"""Interleaved timing, ratios and a JSON of the outcome."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def interleave(arms: dict[str, Callable[[], object]], *, rounds: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Seconds of each arm in each round; the arms take turns, so that a drift of the machine meets all alike."""
    for arm in arms.values():
        for _ in range(warm_up):
            arm()
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            began = time.perf_counter()
            arm()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(seconds: dict[str, list[float]], numerator: str, denominator: str) -> float:
    """Median over the rounds of numerator / denominator."""
    pairs = zip(seconds[numerator], seconds[denominator], strict=True)
    return statistics.median(one / other for one, other in pairs)


def machine() -> dict[str, object]:
    """What a figure depends on, without naming a host."""
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bf16": bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
    }


def save(name: str, command: str, outcome: dict[str, object]) -> None:
    """Writes `benchmarks/results/<name>.json`."""
    RESULTS.mkdir(exist_ok=True)
    content = {"command": command, "machine": machine(), **outcome}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
