"""Arrays of series: the order of their axes is told and never guessed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noiseforge.data.series_arrays import with_features_first
from noiseforge.data.source import load_data
from noiseforge.errors import UserError

X = np.random.default_rng(0).standard_normal((12, 5, 3))


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return folder / "a.npz"


@pytest.mark.parametrize("layout", ["ntc", "nct"])
def test_both_orders_of_axes_give_the_same_series(tmp_path: Path, layout: str) -> None:
    np.save(tmp_path / "a.npy", X if layout == "ntc" else with_features_first(X))
    data = load_data(tmp_path / "a.npy", layout=layout, split="all")  # type: ignore[arg-type]
    low, high = X.min((0, 1)), X.max((0, 1))
    np.testing.assert_allclose(data.train.batch(torch.arange(12)).x, (X - low) / (high - low), rtol=1e-4, atol=1e-6)


def test_labels_lengths_and_missing_values(tmp_path: Path) -> None:
    x, y = X.copy(), np.arange(12) % 2
    x[0, 1, 0] = np.nan
    length = np.full(12, 5)
    length[1] = 2
    data = load_data(saved(tmp_path, x=x, y=y, length=length), layout="ntc", split="all")
    batch = data.train.batch(torch.arange(2))
    assert batch.length is not None and batch.length.tolist() == [5, 2] and not batch.x[1, 2:].any()
    assert batch.x[0, 1].isnan().tolist() == [True, False, False] and data.spec.classes == ("0", "1")
    x[1, 2:] = np.nan  # the same without lengths: nothing follows
    again = load_data(saved(tmp_path, x=x, y=y), layout="ntc", split="all")
    assert again.spec.fingerprint == data.spec.fingerprint
    assert "series that end before 5 steps, as nothing follows: 1" in again.problems


def test_a_test_set_of_its_own_and_windows(tmp_path: Path) -> None:
    path = saved(tmp_path, x_train=X[:8], x_test=X[8:])
    data = load_data(path, layout="ntc", window=4)
    assert (len(data.train), len(data.test), data.spec.shape) == (16, 8, (4, 3))
    np.save(tmp_path / "b.npy", X[..., 0])
    assert load_data(tmp_path / "b.npy", layout="wide").spec.shape == (5, 1)


@pytest.mark.parametrize(
    ("arrays", "layout", "message"),
    [
        ({"x": X[0]}, "ntc", r"shape \(5, 3\): layout=ntc is \(N, T, D\)"),
        ({"x": X}, "wide", r"layout=wide is \(N, T\)"),
        ({"x": X[:, :1]}, "ntc", "series of one step"),
        ({"x": np.where(X > 2, np.inf, X)}, "ntc", "infinite values in . of 12 series"),
        ({"x": X, "length": np.arange(12)}, "ntc", "length must be 12 whole numbers from 1 to 5"),
        ({"x": X, "y": np.arange(3)}, "ntc", "as many labels as examples"),
        ({"x": np.full_like(X, np.nan)}, "ntc", "series 0 has no value"),
        ({"x": X.astype(str)}, "ntc", "values of type <U"),
        ({"q": X}, "ntc", "holds q; expected x"),
        ({"x": X[:, :, :1]}, None, "if these are series, give layout=ntc"),
        ({"x": X * 99}, None, "rescale them; if these are series, give layout=ntc"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arrays: dict[str, np.ndarray], layout: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data(saved(tmp_path, **arrays), layout=layout)  # type: ignore[arg-type]


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="truncated or corrupt"):
        load_data(path, layout="ntc")
