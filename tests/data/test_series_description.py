"""What is said of a source of sequences."""

from pathlib import Path

import numpy as np
import pytest

from noiseforge.data.description import describe
from noiseforge.data.source import load_data


def test_copies_and_exact_dependencies_are_found(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    a, b = draws.standard_normal((2, 500))
    noisy = a + b + 1e-3 * draws.standard_normal(500)
    table = np.stack([a, b, a, 2 * a - 3 * b + 5, noisy, np.round(a)], 1)
    header = "a,b,twin,sum,noisy,rounded"
    np.savetxt(tmp_path / "a.csv", table, delimiter=",", header=header, comments="", fmt="%.12g")
    description = describe(load_data(tmp_path / "a.csv", window=10))
    assert description["exact dependencies"] == ["twin copies a", "sum follows exactly from a and b"]
    assert "twin copies a" in description["problems"]  # type: ignore[operator]
    assert description["windows that hold a step, on average"] == pytest.approx(441 * 10 / 450)
    rounded = description["columns"]["rounded"]  # type: ignore[index]
    assert (rounded["kind"], rounded["distinct values"]) == ("integer", len(np.unique(np.round(a[:450]))))


def test_lengths_gaps_and_what_is_missing(tmp_path: Path) -> None:
    rows = [f"{series},{time},{'' if time == 2 else time},{series}" for series in range(4) for time in (0, 1, 2, 7)]
    rows += [f"9,{time},{time},0" for time in range(6)]
    (tmp_path / "a.csv").write_text("\n".join(["id,time,x,of", *rows]))
    description = describe(load_data(tmp_path / "a.csv", split="all"))
    assert description["shortest, median, longest steps"] == [4, 4, 6]
    assert description["shortest, median, longest time step in units of the time column"] == [1, 1, 5]
    assert description["gaps"] == 4
    columns = description["columns"]
    assert columns["x"]["missing share"] == pytest.approx(4 / 22)  # type: ignore[index]
    assert columns["of"]["kind"] == "integer of a whole series"  # type: ignore[index]
    assert description["test sequences also in training"] == 0


def test_the_stock_prices_are_described(shared_data: Path) -> None:
    description = describe(load_data(shared_data / "stock" / "stock_data.csv", window=24))
    assert description["exact dependencies"] == ["Adj_Close copies Close"]
