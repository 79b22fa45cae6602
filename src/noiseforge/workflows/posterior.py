"""The aggregate posterior as a sampler: where the codes of the data lie, which the prior only hopes for."""

from __future__ import annotations

import logging
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noiseforge.data.split import seeded
from noiseforge.errors import UserError
from noiseforge.files import replacing
from noiseforge.workflows.latent import Encodings

log = logging.getLogger(__name__)

ITERATIONS = 200


@dataclass(frozen=True)
class Mixture:
    """Mixtures of Gaussians with full covariances, all in float64: one, or one for each class.

    weights (K, components), means (K, components, latent), and the lower Cholesky factors of the covariances
    (K, components, latent, latent), where K is 1 for a model without conditions. A class with too few examples
    for all components has some of weight 0.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    @property
    def classes(self) -> int:
        """How many classes have a mixture of their own; 0 where one serves all."""
        return 0 if len(self.weights) == 1 else len(self.weights)

    @property
    def latent(self) -> int:
        """The width of a latent vector."""
        return self.means.shape[-1]

    def sample(self, n: int, generator: torch.Generator, labels: Tensor | None = None) -> Tensor:
        """(n, latent) float32 draws.

        Args:
            n: how many.
            generator: a CPU generator.
            labels: (n,) int64, the class of each; needed where there is a mixture for each class.

        Raises:
            UserError: there is a mixture for each class and no labels, or labels beyond them.
        """
        group = torch.zeros(n, dtype=torch.int64)
        if self.classes:
            if labels is None or labels.shape != (n,) or not bool(((labels >= 0) & (labels < self.classes)).all()):
                raise UserError(f"there is a mixture for each class: pass {n} labels in 0..{self.classes - 1}")
            group = labels
        component = torch.multinomial(self.weights[group], 1, generator=generator)[:, 0] if n else group
        noise = torch.randn(n, self.latent, generator=generator, dtype=torch.float64)
        z = torch.empty_like(noise)
        place = group * self.weights.shape[1] + component
        means, factors = self.means.flatten(0, 1), self.factors.flatten(0, 1)
        for each in place.unique().tolist():  # a factor for each draw would be n matrices
            rows = place == each
            z[rows] = means[each] + noise[rows] @ factors[each].T
        return z.float()

    def save(self, path: str | Path) -> None:
        """Writes a `.npz`, whole or not at all.

        Raises:
            UserError: it cannot be written.
        """
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez(file, weights=self.weights.numpy(), means=self.means.numpy(), factors=self.factors.numpy())

    @classmethod
    def load(cls, path: str | Path) -> Mixture:
        """What `save` wrote.

        Raises:
            UserError: there is no such file, or it is damaged or something else.
        """
        if not Path(path).is_file():
            raise UserError(f"{path} does not exist: fit the mixture of the aggregate posterior first")
        try:
            with np.load(path, allow_pickle=False) as file:
                weights, means, factors = (torch.from_numpy(file[name]) for name in ("weights", "means", "factors"))
            mixture = cls(weights, means, factors)
            mixture._check()
        except (ValueError, TypeError, KeyError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{path} is damaged or no mixture ({reason}): remove it and fit it again") from None
        return mixture

    def _check(self) -> None:
        """Refuses with a ValueError what cannot be sampled from."""
        parts = (self.weights, self.means, self.factors)
        if any(part.dtype != torch.float64 or not torch.isfinite(part).all() for part in parts):
            raise ValueError("expected finite values in float64")
        if self.weights.ndim != 2 or self.means.ndim != 3 or 0 in self.means.shape:
            raise ValueError("expected weights of 2 and means of 3 dimensions")
        if self.means.shape[:2] != self.weights.shape or self.factors.shape != (*self.means.shape, self.latent):
            raise ValueError("the shapes of weights, means and factors do not fit together")
        if (self.weights < 0).any() or not torch.allclose(self.weights.sum(1), torch.ones(len(self.weights)).double()):
            raise ValueError("weights are not shares that add up to 1")


def fit_mixture(encodings: Encodings, *, components: int = 10, classes: int = 0, seed: int = 0) -> Mixture:
    """Fits a mixture of Gaussians to one sample of q(z|x) for each example: an ex-post density (Ghosh et al., 2020).

    Args:
        encodings: of the training examples.
        components: of the mixture; fewer where there are not two examples for each.
        classes: those of a conditional model, each of which then gets a mixture of its own; 0 fits one.
        seed: of the samples, and of where the fit begins.

    Raises:
        UserError: there are fewer than 2 examples, of a class where it has its own mixture; components below 1;
            labels are missing.
    """
    if components < 1:
        raise UserError(f"components must be >= 1, got {components}")
    z = encodings.draw(seeded(seed, "aggregate posterior")).double()
    if not classes:
        return _stacked([_fitted(z, components, seed, "the data")], components)
    if encodings.y is None:
        raise UserError("a mixture for each class needs labels, and the codes have none: encode labelled data")
    groups = [z[encodings.y == label] for label in range(classes)]
    return _stacked([_fitted(g, components, seed, f"class {i}") for i, g in enumerate(groups)], components)


def _fitted(z: Tensor, components: int, seed: int, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and lower Cholesky factors of one mixture."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(z) < 2:
        raise UserError(f"a mixture needs at least 2 examples, and {name} has {len(z)}: encode more")
    fit = GaussianMixture(min(components, len(z) // 2), max_iter=ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            fit.fit(z.numpy())
        except ValueError as error:
            reason = str(error).split(". ")[0].splitlines()[0]
            raise UserError(f"the mixture of {name} cannot be fitted ({reason}): take fewer components") from None
    if not fit.converged_:
        log.warning("the mixture of %s had not converged after %d iterations", name, ITERATIONS)
    weights, means, covariances = (torch.from_numpy(part) for part in (fit.weights_, fit.means_, fit.covariances_))
    return weights / weights.sum(), means, torch.linalg.cholesky(covariances)


def _stacked(fits: list[tuple[Tensor, Tensor, Tensor]], components: int) -> Mixture:
    """Mixtures side by side, padded with components of weight 0 to the most that any has."""
    most = min(components, max(len(weights) for weights, _, _ in fits))

    def padded(part: Tensor) -> Tensor:
        return torch.cat([part, part.new_zeros(most - len(part), *part.shape[1:])])

    return Mixture(*(torch.stack([padded(fit[part]) for fit in fits]) for part in range(3)))
