import pytest
import torch

from noiseforge.data import load_data
from noiseforge.data.builtin import mixture
from noiseforge.errors import UserError


@pytest.mark.parametrize(
    ("source", "modes", "sigma", "scale"), [("ring", 8, 0.01, 0.70718), ("grid", 25, 0.05, 2.82887)]
)
def test_mixtures_keep_their_protocol(source, modes, sigma, scale):
    data = load_data(source)
    assert (len(data.train), len(data.test), data.spec.shape) == (100_000, 10_000, (2,))
    assert data.spec.scale == pytest.approx(scale, abs=1e-5) and data.spec.offset == 0
    batch = data.train.batch(torch.arange(100_000))
    assert batch.x.std(dim=0).tolist() == pytest.approx([1, 1], abs=0.01)
    known = mixture(source)
    offsets = batch.x.double() * data.spec.scale - known.means[batch.y]
    assert len(known.means) == len(data.spec.classes) == modes and known.sigma == sigma
    assert float(offsets.std()) == pytest.approx(sigma, rel=0.01)
    assert float(torch.bincount(batch.y).min()) > 0.9 * 100_000 / modes
    assert not torch.isin(data.test.batch(torch.arange(100)).x[:, 0], batch.x[:, 0]).all()


def test_mixture_means():
    assert mixture("digits") is None
    assert torch.allclose(mixture("ring").means.norm(dim=1), torch.ones(8, dtype=torch.float64))
    assert set(mixture("grid").means.flatten().tolist()) == {-4, -2, 0, 2, 4}


@pytest.mark.parametrize(
    ("size", "channels", "shape"), [(None, None, (1, 8, 8)), (32, 3, (3, 32, 32)), (11, 1, (1, 11, 11))]
)
def test_digits(size, channels, shape):
    data = load_data("digits", size=size, channels=channels)
    x = data.train.batch(torch.arange(50)).x
    assert x.shape[1:] == data.spec.shape == shape and len(data.train) + len(data.test) == 1797
    assert float(x.min()) == -1 and float(x.max()) == 1
    assert torch.bincount(data.test.labels).tolist() == [18, 18, 18, 18, 18, 18, 18, 18, 17, 18]


def test_same_seed_same_data():
    first, again, other = (load_data("digits", seed=seed) for seed in (0, 0, 1))
    assert first.spec == again.spec and first.spec.fingerprint != other.spec.fingerprint


def test_stacks_are_three_digits_and_their_label(shared_data):
    folder = shared_data / "mnist"
    data, digits = load_data(f"stacked-mnist:{folder}"), load_data(folder)
    assert (len(data.train), len(data.test), data.spec.shape) == (128_000, 26_000, (3, 28, 28))
    assert data.spec.classes[7] == "007" and len(data.train.labels.unique()) == 1000
    known = {x.numpy().tobytes(): int(y) for x, y in zip(*digits.test.batch(torch.arange(10_000))[:2], strict=True)}
    batch = data.test.batch(torch.arange(20))
    for x, y in zip(batch.x, batch.y, strict=True):
        hundreds, tens, ones = (known[channel[None].numpy().tobytes()] for channel in x)
        assert int(y) == 100 * hundreds + 10 * tens + ones


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("ring", {"size": 8}, "holds points"),
        ("stacked-mnist:.", {"channels": 1}, "3 channels"),
        ("digits", {"labels_per_class": 500}, "class '0' has 160"),
        ("digits", {"size": 4}, "from 8 to 256"),
        ("digits", {"channels": 2}, "1 .grey. or 3"),
        ("digits", {"test_fraction": 1.0}, "between 0 and 1"),
        ("digits", {"labels_per_class": 0}, "at least 1"),
        ("digits", {"on_bad_file": "skp"}, "did you mean 'skip'"),
        ("digts", {}, "did you mean 'digits'"),
        ("stacked-mnist", {}, "did you mean 'stacked-mnist:FOLDER'"),
        ("no/such/folder", {}, "does not exist"),
        ("", {}, "empty path"),
        ("stacked-mnist:", {}, "empty path"),
        (__file__, {}, "neither a folder nor"),
    ],
)
def test_bad_requests(source, options, message):
    with pytest.raises(UserError, match=message) as caught:
        load_data(source, **options)
    assert "\n" not in str(caught.value)
