"""Codes, the mixture that samples where they lie, and what is read off them, against numbers that are known."""

import csv
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import Diverged, UserError
from noiseforge.workflows.latent import Encodings, encodings, probe, save_encodings, traversals
from noiseforge.workflows.maps import draw_map, maps
from noiseforge.workflows.posterior import Mixture, fit_mixture


class Linear:
    """Encodes by the first pixels, and decodes into them; log-variances are -20."""

    def __init__(self, latent: int = 3, classes: int = 0):
        self.latent, self.classes, self.asked = latent, classes, []

    def encode(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.asked.append(y)
        mean = x.flatten(1)[:, 20 : 20 + self.latent]
        return mean, torch.full_like(mean, -20.0)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.asked.append(y)
        return torch.nn.functional.pad(z, (20, 44 - self.latent)).reshape(-1, 1, 8, 8)


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


def codes(mean: Tensor, y: Tensor | None = None, log_variance: float = -20.0) -> Encodings:
    return Encodings(mean, torch.full_like(mean, log_variance), y)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_clusters(n: int) -> tuple[Tensor, Tensor]:
    """A quarter around (-3, 0) with covariance [[1, .5], [.5, .5]], the others around (3, 1) with 0.1 I."""
    y = (torch.arange(n) % 4 > 0).long()
    factors = torch.tensor([[[1.0, 0.0], [0.5, 0.5]], [[0.1**0.5, 0.0], [0.0, 0.1**0.5]]])
    centres = torch.tensor([[-3.0, 0.0], [3.0, 1.0]])
    return centres[y] + (factors[y] @ normal(n, 2)[..., None])[..., 0], y


# -- codes -------------------------------------------------------------------------------------------


def test_codes_are_those_of_the_examples_and_a_choice_is_seeded(digits: Data) -> None:
    model = Linear()
    every = encodings(model, digits.train)
    x = digits.train.batch(torch.arange(len(digits.train))).x
    assert torch.equal(every.mean, x.flatten(1)[:, 20:23])
    assert torch.equal(every.y, digits.train.labels)
    some, again, other = (encodings(model, digits.train, n=50, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(some.mean, again.mean) and torch.equal(some.y, again.y) and len(some.y) == 50
    assert not torch.equal(some.mean, other.mean)
    assert all(y is None for y in model.asked), "a model without conditions is told no labels"


def test_a_conditional_model_is_told_the_labels(digits: Data) -> None:
    model = Linear(classes=10)
    some = encodings(model, digits.test, n=20)
    assert torch.equal(model.asked[-1], some.y)
    with pytest.raises(UserError, match="conditional, and digits has no labels"):
        encodings(model, SimpleNamespace(labels=None, spec=digits.spec))
    with pytest.raises(UserError, match="n must be >= 1"):
        encodings(model, digits.test, n=0)


def test_codes_that_are_not_finite_are_told(digits: Data) -> None:
    model = Linear()
    model.encode = lambda x, y=None, length=None: (torch.full((len(x), 3), math.nan), torch.zeros(len(x), 3))
    with pytest.raises(Diverged, match="NaN or infinite"):
        encodings(model, digits.test)


def test_codes_are_saved_by_the_ending(tmp_path: Path) -> None:
    some = codes(normal(5, 2), torch.tensor([0, 1, 0, 1, 1]), log_variance=2 * math.log(0.5))
    save_encodings(tmp_path / "a.npz", some)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert np.array_equal(file["mean"], some.mean.numpy()) and np.array_equal(file["labels"], some.y.numpy())
        np.testing.assert_allclose(file["std"], 0.5, rtol=1e-6)
    save_encodings(tmp_path / "a.csv", some, ("no", "yes, it is"))
    rows = list(csv.reader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert rows[0] == ["label", "mean_0", "mean_1", "std_0", "std_1"]
    assert [row[0] for row in rows[1:]] == ["no", "yes, it is", "no", "yes, it is", "yes, it is"]
    assert torch.equal(torch.tensor([[float(v) for v in row[1:3]] for row in rows[1:]]), some.mean)
    save_encodings(tmp_path / "b.csv", some._replace(y=None))
    assert (tmp_path / "b.csv").read_text().startswith("mean_0,mean_1,std_0,std_1")
    with pytest.raises(UserError, match=r"\.csv or \.npz"):
        save_encodings(tmp_path / "a.parquet", some)
    with pytest.raises(UserError, match="--overwrite"):
        save_encodings(tmp_path / "a.csv", some)
    save_encodings(tmp_path / "a.csv", some, overwrite=True)
    assert (tmp_path / "a.csv").read_text().startswith("mean_0")


# -- the mixture -------------------------------------------------------------------------------------


def test_a_mixture_recovers_two_known_components() -> None:
    points, y = two_clusters(4000)
    fit = fit_mixture(codes(points), components=2)
    order = fit.means[0, :, 0].argsort()
    covariances = fit.factors[0, order] @ fit.factors[0, order].mT
    clusters = [points[y == component].double() for component in (0, 1)]
    torch.testing.assert_close(fit.weights[0, order], torch.tensor([0.25, 0.75]).double(), atol=1e-3, rtol=0)
    for found, centre, covariance in zip(clusters, fit.means[0, order], covariances, strict=True):
        torch.testing.assert_close(centre, found.mean(0), atol=0.01, rtol=0)
        torch.testing.assert_close(covariance, torch.cov(found.T, correction=0), atol=0.02, rtol=0)


def test_the_posterior_s_own_spread_is_part_of_the_mixture() -> None:
    fit = fit_mixture(codes(torch.zeros(5000, 2), log_variance=math.log(4.0)), components=1)
    torch.testing.assert_close(fit.factors[0, 0], 2 * torch.eye(2).double(), atol=0.1, rtol=0)


def known() -> Mixture:
    factors = torch.tensor([[[[2.0, 0.0], [1.0, 0.5]], [[1.0, 0.0], [-0.5, 1.0]]]]).double()
    return Mixture(torch.tensor([[0.3, 0.7]]).double(), torch.tensor([[[-9.0, 1.0], [9.0, 2.0]]]).double(), factors)


def test_samples_have_the_moments_of_the_mixture() -> None:
    mixture = known()
    z = mixture.sample(40_000, torch.Generator().manual_seed(3))
    assert z.dtype == torch.float32 and z.shape == (40_000, 2)
    left = z[:, 0] < 0
    assert float(left.double().mean()) == pytest.approx(0.3, abs=0.01)
    for component, rows in enumerate((left, ~left)):
        expected = mixture.factors[0, component] @ mixture.factors[0, component].T
        torch.testing.assert_close(z[rows].double().mean(0), mixture.means[0, component], atol=0.06, rtol=0)
        torch.testing.assert_close(torch.cov(z[rows].double().T), expected, atol=0.15, rtol=0)
    assert torch.equal(z[:9], mixture.sample(40_000, torch.Generator().manual_seed(3))[:9])


def test_each_class_has_its_own_mixture() -> None:
    points, y = two_clusters(400)
    fit = fit_mixture(
        codes(torch.cat([points, torch.full((3, 2), 50.0)]), torch.cat([y, torch.full((3,), 2)])), classes=3
    )
    assert fit.classes == 3 and fit.weights.shape == (3, 10) and (fit.weights[2] > 0).sum() == 1
    labels = torch.arange(300) % 3
    z = fit.sample(300, torch.Generator().manual_seed(0), labels)
    assert (z[labels == 0, 0] < 1).all() and (z[labels == 2, 0] > 40).all()
    assert ((z[labels == 1, 0] > 1) & (z[labels == 1, 0] < 40)).all()
    for wrong in (None, labels[:5], labels + 1):
        with pytest.raises(UserError, match=r"pass 300 labels in 0\.\.2"):
            fit.sample(300, torch.Generator(), wrong)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(UserError, match="the data has 1"):
        fit_mixture(codes(torch.zeros(1, 2)))
    with pytest.raises(UserError, match="class 1 has 0"):
        fit_mixture(codes(normal(5, 2), torch.zeros(5, dtype=torch.int64)), classes=2)
    with pytest.raises(UserError, match="needs labels"):
        fit_mixture(codes(normal(5, 2)), classes=2)
    with pytest.raises(UserError, match="components must be >= 1"):
        fit_mixture(codes(normal(5, 2)), components=0)


def test_a_mixture_comes_back_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "posterior.npz"
    known().save(path)
    again = Mixture.load(path)
    assert all(torch.equal(getattr(again, name), getattr(known(), name)) for name in ("weights", "means", "factors"))
    assert [each.name for each in tmp_path.iterdir()] == ["posterior.npz"]
    whole = path.read_bytes()
    arrays = {name: getattr(known(), name).numpy() for name in ("weights", "means", "factors")}
    for damage in (
        lambda: path.write_bytes(whole[: len(whole) // 2]),
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(b"not an archive"),
        lambda: np.savez(path, weights=arrays["weights"]),
        lambda: np.savez(path, **{**arrays, "means": np.array([{}], dtype=object)}),
        lambda: np.savez(path, **{**arrays, "means": np.full_like(arrays["means"], np.nan)}),
        lambda: np.savez(path, **{**arrays, "weights": arrays["weights"] * 2}),
        lambda: np.savez(path, **{**arrays, "factors": arrays["factors"][:, :, :1]}),
        lambda: np.save(path.open("wb"), arrays["weights"]),
    ):
        damage()
        with pytest.raises(UserError, match="damaged or no mixture"):
            Mixture.load(path)
    with pytest.raises(UserError, match="does not exist"):
        Mixture.load(tmp_path / "none.npz")


# -- what is read off --------------------------------------------------------------------------------


def test_a_probe_tells_separable_codes_from_noise() -> None:
    y = torch.arange(400) % 4
    noise = normal(400, 6)
    apart = noise * 0.1 + torch.nn.functional.one_hot(y, 6) * 5
    assert probe(codes(apart[:200], y[:200]), codes(apart[200:], y[200:])) == (1.0, 1.0)
    assert max(probe(codes(noise[:200], y[:200]), codes(noise[200:], y[200:]))) < 0.45
    with pytest.raises(UserError, match="at least 2 classes"):
        probe(codes(noise, torch.zeros_like(y)), codes(noise, y))
    with pytest.raises(UserError, match="needs labels"):
        probe(codes(noise), codes(noise, y))


def test_neighbours_do_not_see_inactive_dimensions() -> None:
    y = torch.arange(400) % 2
    mean = torch.cat([(y * 2.0)[:, None] + 0.1 * normal(400, 1), 1e-4 * normal(400, 50, seed=1)], dim=1)
    assert probe(codes(mean[:200], y[:200]), codes(mean[200:], y[200:])).neighbours == 1.0


def test_walks_are_ranked_by_activity_and_reach_three_deviations() -> None:
    spread = torch.tensor([0.1, 2.0, 0.5, 1.0])
    mean = normal(501, 4) * spread
    some = codes(mean, torch.arange(501) % 3, log_variance=math.log(0.25))
    model = Linear(latent=4, classes=3)
    walks = traversals(model, some, dimensions=3, steps=5)
    assert walks.ranking.tolist() == [1, 3, 2]
    torch.testing.assert_close(walks.activity, mean.var(0, correction=0)[[1, 3, 2]])
    assert walks.x.shape == (3, 5, 1, 8, 8)
    z = walks.x.flatten(2)[..., 20:24]
    middle = z[0, 2]
    start = (mean == middle).all(1).nonzero().item()
    assert torch.equal(model.asked[-1], some.y[start].expand(15)), "each walk keeps the label of its example"
    assert (middle - mean.median(0).values).norm() == (mean - mean.median(0).values).norm(dim=1).min()
    for walk, dimension in zip(z, (1, 3, 2), strict=True):
        width = math.sqrt(mean[:, dimension].var(correction=0) + 0.25)
        expected = middle.repeat(5, 1)
        expected[:, dimension] += torch.linspace(-3, 3, 5) * width
        torch.testing.assert_close(walk, expected)
    assert traversals(model, some, dimensions=99, steps=2).x.shape[:2] == (4, 2)
    with pytest.raises(UserError, match="steps >= 2"):
        traversals(model, some, steps=1)


# -- maps --------------------------------------------------------------------------------------------


def test_maps_keep_clusters_apart_and_the_first_axis_holds_the_most_variance() -> None:
    y = torch.arange(60) % 2
    mean = torch.cat([normal(60, 1) * 0.1 + y[:, None] * 10.0, normal(60, 3, seed=1)], dim=1)
    both = maps(codes(mean, y), seed=0)
    assert both.pca.shape == both.tsne.shape == (60, 2)
    total = mean.double().var(0).sum()
    assert both.shares[0] == pytest.approx(float(torch.linalg.eigvalsh(torch.cov(mean.double().T))[-1] / total))
    sides = both.tsne[y == 0].mean(0) - both.tsne[y == 1].mean(0)
    along = both.tsne @ sides
    assert along[y == 0].min() > along[y == 1].max()
    assert torch.equal(both.tsne, maps(codes(mean, y), seed=0).tsne)


@pytest.mark.parametrize("mean", [torch.zeros(20, 3), torch.linspace(0, 1, 20)[:, None]])
def test_collapsed_and_one_dimensional_codes_have_maps(mean: Tensor) -> None:
    both = maps(codes(mean))
    assert all(torch.isfinite(points).all() for points in (both.pca, both.tsne))
    assert both.shares in ((0.0, 0.0), (1.0, 0.0))
    with pytest.raises(UserError, match="at least 4 codes"):
        maps(codes(mean[:3]))


@pytest.mark.parametrize("classes", [(), ("a", "b"), tuple(map(str, range(30)))])
def test_a_map_is_drawn_with_and_without_classes(classes: tuple[str, ...]) -> None:
    points, y = two_clusters(40)
    picture = draw_map(points, y if classes else None, classes, "codes")
    assert picture.size == (768, 600) and picture.getcolors(2) is None
