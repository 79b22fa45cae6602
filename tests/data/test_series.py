"""The data set of sequences, and the sources that need no table."""

import math
from pathlib import Path

import pytest
import torch

from noiseforge.data.series import Series
from noiseforge.data.source import load_data
from noiseforge.data.spec import Column, Spec
from noiseforge.errors import UserError


def made(lengths: list[int], kinds: tuple[str, ...] = ("real",)) -> Series:
    columns = tuple(Column(name=str(place), kind=kind, scale=2.0, offset=1.0) for place, kind in enumerate(kinds))
    spec = Spec(source="made", modality="sequence", shape=(max(lengths), len(kinds)), columns=columns, fingerprint="")
    length = torch.tensor(lengths)
    steps = torch.arange(1.0, 1 + length.sum() * len(kinds)).view(-1, len(kinds))
    return Series(steps, length.cumsum(0) - length, length, torch.arange(len(lengths)), spec)


def test_ragged_series_end_in_zeros_and_keep_their_width_in_a_subset() -> None:
    series = made([2, 4, 3])
    batch = series.batch(torch.tensor([2, 0]))
    assert batch.x[..., 0].tolist() == [[7, 8, 9, 0], [1, 2, 0, 0]]
    assert batch.length is not None and batch.length.tolist() == [3, 2]
    part = series.subset(torch.tensor([0, 2]))
    again = part.batch(torch.tensor([1]))
    assert again.x.shape == (1, 4, 1) and again.length is not None and again.y is not None and again.y.tolist() == [2]
    assert len(part) == 2 and made([3, 3]).batch(torch.tensor([0])).length is None


def test_a_batch_shares_no_memory_with_the_data() -> None:
    series = made([3, 3])
    series.batch(torch.arange(2)).x.fill_(torch.nan)
    assert not series.steps.isnan().any()


def test_nothing_comes_before_the_first_step_of_a_window() -> None:
    batch = made([2, 3], kinds=("real", "lag")).batch(torch.arange(2))
    assert batch.x[:, 0, 1].tolist() == [-0.5, -0.5]  # a lag of 0 in model units
    assert batch.x[1, :, 0].tolist() == [5, 7, 9] and batch.x[0, 2].tolist() == [0, 0]


def test_sines_are_those_of_the_definition() -> None:
    data = load_data("sines")
    assert (len(data.train), len(data.test), data.spec.shape) == (10_000, 2_000, (24, 5))
    x = data.train.batch(torch.arange(1000)).x.double()
    assert float(x.min()) >= 0 and float(x.max()) <= 1 and data.spec.value_range == (0.0, 1.0)
    angle = (2 * x - 1).asin()  # below pi / 2 for a while, as f j + p is at most 0.1 j + 0.1
    steps = angle[:, :15].diff(dim=1)
    assert float((steps - steps[:, :1]).abs().max()) < 1e-4
    frequency, phase = steps[:, 0].flatten(), angle[:, 0].flatten()
    for drawn in (frequency, phase):
        assert 0 <= float(drawn.min()) < 0.001 and 0.099 < float(drawn.max()) <= 0.1001
        assert math.isclose(float(drawn.mean()), 0.05, abs_tol=0.002)


def test_sines_follow_the_seed_and_the_window() -> None:
    first, again, other = (load_data("sines", window=64, seed=seed) for seed in (0, 0, 1))
    assert first.spec.shape == (64, 5) and first.spec.fingerprint == again.spec.fingerprint != other.spec.fingerprint
    with pytest.raises(UserError, match="sines has no use for stride=2"):
        load_data("sines", stride=2)


@pytest.mark.parametrize(("scan", "shape"), [("rows", (8, 8)), ("pixels", (64, 1)), ("permuted", (64, 1))])
def test_pictures_are_read_step_by_step(scan: str, shape: tuple[int, int]) -> None:
    pictures, series = load_data("digits"), load_data("digits", scan=scan)
    assert series.spec.shape == shape and series.spec.classes == pictures.spec.classes
    seen, read = pictures.train.batch(torch.arange(50)), series.train.batch(torch.arange(50))
    assert torch.equal(seen.y, read.y) and read.length is None
    expected = (seen.x[:, 0].flatten(1) + 1) / 2
    found = read.x.flatten(1)
    if scan == "permuted":
        assert not torch.allclose(found, expected)
        order = load_data("digits", scan="permuted", seed=5, split="all").train.batch(torch.arange(1)).x.flatten()
        whole = load_data("digits", scan="pixels", split="all").train.batch(torch.arange(1)).x.flatten()
        assert torch.equal(order.sort().values, whole.sort().values)
        found, expected = found.sort(1).values, expected.sort(1).values
    assert torch.allclose(found, expected, atol=1e-6)


def test_digit_rows_are_the_digits_and_points_are_no_pictures() -> None:
    rows, digits = load_data("digit-rows"), load_data("digits", scan="rows")
    assert rows.spec.fingerprint == digits.spec.fingerprint and rows.spec.source == "digit-rows"
    with pytest.raises(UserError, match="ring holds points: scan=rows reads pictures"):
        load_data("ring", scan="rows")
    with pytest.raises(UserError, match="id_column belongs to tables"):
        load_data("digits", scan="rows", id_column="a")


def test_series_are_not_scanned() -> None:
    """A recipe that reads pictures step by step serves series too: its data are what is named."""
    plain, told = load_data("sines"), load_data("sines", scan="pixels", size=14)
    assert told.spec == plain.spec
    assert told.problems == ("scan=pixels reads pictures, and these are series already: taken as they are",)
    with pytest.raises(UserError, match="sines holds sequences: size belongs to pictures"):
        load_data("sines", size=14)


def test_mnist_keeps_its_split_and_takes_a_size(shared_data: Path) -> None:
    data = load_data(shared_data / "mnist", scan="pixels", size=14)
    assert (data.spec.shape, len(data.train), len(data.test)) == ((196, 1), 60_000, 10_000)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 1}, "window must be at least 2 steps, got 1"),
        ({"stride": 0}, "stride must be at least 1 step, got 0"),
        ({"scan": "row"}, "unknown scan 'row', did you mean 'rows'"),
        ({"scaling": "min-max"}, "unknown scaling 'min-max', did you mean 'minmax'"),
        ({"layout": "tnc"}, "unknown layout 'tnc'"),
        ({"window": 5}, "digits holds no sequences: window belongs to sequences; leave it out"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data("digits", **settings)  # type: ignore[arg-type]
