"""What recurrent networks see of series with gaps, categories and unequal lengths, and how series come from it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, log_softmax, one_hot

from noiseforge.data.spec import Batch, Column, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.networks.sequence.marginals import Marginals
from noiseforge.networks.sequence.masks import interpolated, moments, time_mean
from noiseforge.networks.sequence.masks import known as known_values
from noiseforge.networks.sequence.related import related_columns
from noiseforge.networks.sequence.view import LARGEST, Parts, View
from noiseforge.networks.sequence.whitening import Whitening

FLATTEST = 0.01
"""Standard deviations of the data that a series varies by at least, for what it is normalised by."""
BY_CHANCE = 1.5
"""Variance between series, over that of independent steps, up to which a mean or a scale tells nothing of a series."""
MOST_HIDDEN = 4.0
"""Times that gaps make a variance smaller, at most, for what it is brought back by."""
PREPARED = 1_000_000
"""Steps of the training series that the whitening is taken from, at most."""


class Representation(nn.Module):
    """Series (N, T, D) of a Spec as a `View`, and `Parts` as series.

    Real columns are whitened. With `normalise` each component of each series also has its mean taken away and is
    divided by its scale, which are told beside it: so a quiet series is as much worth as a lively one (Lin et al.
    2020, section 4.1.3), and what is left is brought nearer to a normal distribution by `Marginals`. Means or scales
    that differ no more than those of noise would are left: steps that are independent keep their own distribution. A
    Spec without columns has D real ones.
    """

    real: Tensor
    lengths: Tensor
    told: Tensor

    def __init__(self, spec: Spec, *, normalise: bool) -> None:
        super().__init__()
        self.spec, self.normalise = spec, normalise
        self.steps, self.features = spec.shape
        self.columns = spec.columns or tuple(Column(name=str(index)) for index in range(self.features))
        ends = torch.tensor([column.width for column in self.columns]).cumsum(0).tolist()
        self.places = [slice(end - c.width, end) for end, c in zip(ends, self.columns, strict=True)]
        both = list(zip(self.columns, self.places, strict=True))
        self.categories = [place for column, place in both if column.categories]
        self.gaps = [place for column, place in both if column.missing]
        real = [place.start for column, place in both if not column.categories]
        self.register_buffer("real", torch.tensor(real, dtype=torch.long), persistent=False)
        self.whitening = Whitening(len(real))
        self.register_buffer("lengths", torch.zeros(self.steps).index_fill(0, torch.tensor([self.steps - 1]), 1.0))
        levels = 2 * len(real) if normalise else 0
        self.register_buffer("told", torch.ones(levels))
        self.level_whitening = Whitening(levels)
        self.marginals = Marginals(len(real))
        self.widths = (len(real), self.features - len(real), len(self.gaps))
        self.outputs = sum(self.widths)
        """Numbers of `Parts` a step."""
        self.levels = levels
        """Numbers of `Parts` for a whole series."""
        self.inputs = self.outputs + levels + 1
        """Numbers of a `View` a step."""
        self.numbers = self.steps * (self.outputs + 1)
        """Numbers of a `View` that differ from step to step, in all."""

    @torch.no_grad()
    def prepare(self, data: Dataset) -> None:
        """Takes the whitening and the shares of the lengths from some training series.

        Raises:
            UserError: nothing varies at all.
        """
        batch = self.some(data)
        length = torch.full((len(batch.x),), self.steps) if batch.length is None else batch.length
        self.lengths.copy_(one_hot(length - 1, self.steps).float().mean(0))
        filled, known = known_values(batch.x, batch.length)
        alive = torch.arange(self.steps) < length[:, None]
        rows, there = filled[..., self.real][alive], known[..., self.real][alive]
        whole = there.all(1)
        if int(whole.sum()) >= 10 * len(self.real):
            # A row with a gap has lost the dependencies between columns.
            rows, there = rows[whole], there[whole]
        means = rows.sum(0) / there.sum(0).clamp(min=1)
        known_steps = (known[..., self.real] & alive.unsqueeze(2)).all(2)
        steps = filled[..., self.real].diff(dim=1)[known_steps[:, 1:] & known_steps[:, :-1]]
        group = related_columns(filled[..., self.real], known[..., self.real])
        self.whitening.fit(torch.where(there, rows, means), steps, group)
        if len(self.real) and not self.whitening.kept.any():
            raise UserError("all columns are constant: there is nothing to learn")
        if self.normalise and len(self.real):
            there = known[..., self.real]
            components = self.whitening(self._without_gaps(filled[..., self.real], there, alive))
            self.told.copy_(self._telling(components, there, alive))
            levels = self._levels(components, alive)
            self.level_whitening.fit(levels)
            mean, scale = self._mean_and_scale(self.level_whitening(levels))
            self.marginals.fit(((components - mean) / scale)[alive & there.all(2)])

    def some(self, data: Dataset) -> Batch:
        """Training series that are enough to know a distribution by, always the same."""
        count = max(1, min(len(data), PREPARED // self.steps))
        return data.batch(torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count])

    @property
    def ragged(self) -> bool:
        """Whether series of several lengths were seen."""
        return bool(self.lengths[-1] < 1)

    @property
    def chooses(self) -> bool:
        """Whether series have categories, gaps or several lengths."""
        return bool(self.categories or self.gaps) or self.ragged

    def forward(self, x: Tensor, length: Tensor | None) -> View:
        """(N, T, D) with NaN for what is missing, and (N,) lengths or None, in parts."""
        filled, known = known_values(x, length)
        real, known_real = filled[..., self.real], known[..., self.real]
        steps = torch.arange(x.shape[1], device=x.device)
        alive = (steps < (self.steps if length is None else length[:, None])).expand(len(x), -1)
        missing = [(~known[..., place.start] & alive).to(filled.dtype) for place in self.gaps]
        columns = self._without_gaps(real, known_real, alive)
        components = self.whitening(columns)
        level = self.level_whitening(self._levels(components, alive))
        mean, scale = self._mean_and_scale(level)
        return View(
            columns,
            self.marginals((components - mean) / scale),
            level,
            known_real,
            torch.cat([filled[..., :0], *[filled[..., place] for place in self.categories]], 2),
            torch.stack(missing, 2) if missing else filled[..., :0],
            alive,
            length,
        )

    def _without_gaps(self, real: Tensor, known: Tensor, alive: Tensor) -> Tensor:
        """(N, T, R) of columns: gaps are on a line between their neighbours, and at the mean after the end."""
        line = interpolated(real, known, self.whitening.mean)
        return torch.where(alive.unsqueeze(2), line, self.whitening.mean)

    def _levels(self, components: Tensor, alive: Tensor) -> Tensor:
        """(N, 2·R) means and logarithms of the scales; 0 where they tell nothing."""
        if not self.normalise:
            return components[:, 0, :0]
        mean, variance, _ = moments(components, alive)
        return _mean_and_log_scale(mean, variance) * self.told

    def _telling(self, components: Tensor, known: Tensor, alive: Tensor) -> Tensor:
        """(2·R,) 1 for a mean or scale in which series differ more than series of independent steps do."""
        counted = _counted(known, alive)
        mean, variance, fourth = moments(components, counted)
        steps = counted.float().sum() / len(counted)
        kurtosis = (fourth / variance.clamp(min=FLATTEST**4).square()).mean(0)
        chance = torch.cat([torch.ones_like(kurtosis), (kurtosis - 1).clamp(min=0) / 4]) / steps
        differ = _mean_and_log_scale(mean, variance).var(0, correction=0)
        return (differ > BY_CHANCE * chance).to(components.dtype)

    def _mean_and_scale(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, R) each; 0 and 1 without normalisation."""
        if not self.normalise:
            return level.new_zeros(1, 1, 1), level.new_ones(1, 1, 1)
        mean, log_scale = self.level_whitening.restore(level).unsqueeze(1).chunk(2, 2)
        return mean, log_scale.clamp(-8, 4).exp()

    def parts(self, outputs: Tensor, level: Tensor) -> Parts:
        """(N, T, outputs) of a decoder, and the levels (N, levels), in parts."""
        real, category, missing = outputs.split(self.widths, 2)
        return Parts(real * self.whitening.kept * self._coded(), category, missing, level * self.level_whitening.kept)

    def _coded(self) -> Tensor | float:
        """(R,) 0 for components that no decoder is asked for: noise alone, of which a code would hold a little."""
        return self.told.view(2, -1).amax(0) if self.normalise and len(self.real) else 1.0

    def values(self, real: Tensor, level: Tensor) -> Tensor:
        """Components (N, T, R) of `Parts` and their levels as real columns (N, T, R)."""
        mean, scale = self._mean_and_scale(level)
        return self.whitening.restore((mean + scale * self.marginals.restore(real)) * self.whitening.kept)

    def levelled(
        self,
        real: Tensor,
        level: Tensor,
        alive: Tensor,
        share: Tensor | float = 1.0,
        missing: Tensor | None = None,
    ) -> Tensor:
        """Components (N, T, R) of which the values have mean 0 and the scale that their levels say, as the data's have.

        Args:
            real: components.
            level: (N, levels).
            alive: (N, T) bool.
            share: of the variance to have, (N, 1, R) or one for all: series without their noise have less.
            missing: (N, T, M), 1 in a gap, where levels are to be those of series with gaps.
        """
        if not self.normalise:
            return real
        tells_mean, tells_scale = self.told.chunk(2)
        normalised = self.marginals.restore(real)
        mean, variance, _ = moments(normalised, alive)
        if missing is not None and self.gaps:
            there = alive.unsqueeze(2)
            some = missing * ((missing < 0.5) & there).any(1, keepdim=True)  # a column without any value tells nothing
            seen = self.blanked(real, level, some, there.to(real.dtype))
            mean, shown, _ = moments(self.marginals.restore(seen), alive)
            variance = shown.maximum(variance / MOST_HIDDEN)
        factor = (share * self._variance(level) / variance.unsqueeze(1).clamp(min=FLATTEST**2)).sqrt()
        centred = normalised - tells_mean * mean.unsqueeze(1)
        return self.marginals(centred * torch.where(tells_scale > 0, factor, 1))

    def share(self, real: Tensor, level: Tensor, alive: Tensor) -> Tensor:
        """(N, R) of the variance that levels say, as components (N, T, R) have it at steps (N, T); (N, 0) without."""
        if not self.normalise:
            return real[:, 0, :0]
        return moments(self.marginals.restore(real), alive)[1] / self._variance(level).squeeze(1)

    def _variance(self, level: Tensor) -> Tensor:
        """(N, 1, R) of components that were divided by their scales: less than 1 of a series that hardly varies."""
        return (1 - (FLATTEST / self._mean_and_scale(level)[1]).square()).clamp(min=FLATTEST**4)

    def flat(self, view: View) -> Tensor:
        """(N, numbers): components, categories, gaps and the end of all steps; without components that are noise."""
        alive = view.alive.unsqueeze(2)
        real = view.real * alive * self._coded()
        return torch.cat([real, view.category, view.missing, alive.to(real.dtype)], 2).flatten(1)

    def steps_of(self, flat: Tensor) -> Tensor:
        """(N, T, outputs + 1) of what `flat` gives: components come first."""
        return flat.unflatten(1, (self.steps, -1))

    def errors(self, view: View, parts: Parts) -> Tensor:
        """(N, T, R) of what the components of a series are more than those the decoder gave; a gap asks for nothing."""
        difference = (view.columns - self.values(parts.real, view.level)) * view.known
        given, scale = self.marginals.restore(parts.real), self._mean_and_scale(view.level)[1]
        return self.marginals(given + self.whitening.rotated(difference) / scale) - parts.real

    def surprise(self, view: View, parts: Parts) -> dict[str, Tensor]:
        """Nats (N,) of the categories and of the gaps that a series has, where there are such."""
        nats: dict[str, Tensor] = {}
        for logits, wanted in zip(self.split(parts.category), self.split(view.category), strict=True):
            there = wanted.sum(2) > 0
            lost = cross_entropy(logits.flatten(0, 1), wanted.flatten(0, 1).argmax(1), reduction="none")
            nats["category"] = nats.get("category", 0) + (lost.view(there.shape) * there).sum(1)
        if self.gaps:
            lost = binary_cross_entropy_with_logits(parts.missing, view.missing, reduction="none")
            nats["missing"] = (lost * view.alive.unsqueeze(2)).sum((1, 2))
        return nats

    def length_surprise(self, logits: Tensor, view: View) -> Tensor:
        """Nats (N,) of the lengths."""
        return cross_entropy(self.length_logits(logits), view.alive.sum(1) - 1, reduction="none")

    def length_logits(self, logits: Tensor) -> Tensor:
        """(N, T) relative to the shares in the training data; lengths that never were are out of reach."""
        return logits + torch.where(self.lengths > 0, self.lengths.clamp(min=1e-6).log(), -1e4)

    def blanked(self, real: Tensor, level: Tensor, missing: Tensor, alive: Tensor) -> Tensor:
        """Generated components as a view of such series would show them: attributes constant, gaps interpolated.

        Args:
            real: (N, T, R).
            level: (N, levels).
            missing: (N, T, M), 1 in a gap.
            alive: (N, T, 1), 1 before the end.
        """
        constant = self._of_real([column.attribute for column in self.columns])
        if not self.gaps and not constant.any():
            return real.clamp(-LARGEST, LARGEST)
        x = self.values(real, level)
        x = torch.where(constant, (x * alive).sum(1, keepdim=True) / alive.sum(1, keepdim=True), x)
        gone = self._gaps_of_columns(missing)[..., self._is_real()]
        line = interpolated(x, (gone < 0.5) & (alive > 0.5), self.whitening.mean)
        mean, scale = self._mean_and_scale(level)
        components = (self.whitening(x + gone * (line - x)) - mean) / scale
        return self.marginals(components).clamp(-LARGEST, LARGEST)

    def category_gaps(self, missing: Tensor) -> Tensor:
        """(N, T, K) from (N, T, M): 1 where the category is missing."""
        gaps = self._gaps_of_columns(missing)
        wide = [gaps[..., i : i + 1].expand(-1, -1, c.width) for i, c in enumerate(self.columns) if c.categories]
        return torch.cat([missing[..., :0], *wide], 2)

    def _gaps_of_columns(self, missing: Tensor) -> Tensor:
        """(N, T, columns) from (N, T, M)."""
        gaps, never = iter(missing.unbind(2)), missing.new_zeros(missing.shape[:2])
        return torch.stack([next(gaps) if column.missing else never for column in self.columns], 2)

    def _is_real(self) -> list[int]:
        return [index for index, column in enumerate(self.columns) if not column.categories]

    def _of_real(self, values: list[bool]) -> Tensor:
        """(R,) bool of the real columns."""
        return torch.tensor([values[index] for index in self._is_real()], device=self.real.device)

    # -- back to series ---------------------------------------------------------------------------------------

    def draw_lengths(self, logits: Tensor, generator: torch.Generator | None) -> Tensor:
        """(N,) on the CPU, of logits (N, T); the likeliest without a generator."""
        return 1 + _draw(log_softmax(self.length_logits(logits), 1).cpu(), generator)

    def draw_gaps(self, logits: Tensor, alive: Tensor, generator: torch.Generator) -> Tensor:
        """(N, T, M) bool of logits (N, T, M) on the CPU; that of an attribute is drawn once for a whole series."""
        attributes = [column.attribute for column in self.columns if column.missing]
        gone = []
        for chances, attribute in zip(logits.sigmoid().unbind(2), attributes, strict=True):
            once = time_mean(chances.unsqueeze(2), alive).squeeze(2) if attribute else chances
            gone.append((torch.rand(once.shape, generator=generator) < once) & alive)
        return torch.stack(gone, 2) if gone else logits > 0

    def series(self, parts: Parts, length: Tensor, generator: torch.Generator | None) -> Tensor:
        """(N, T, D) on the CPU, NaN where a value is missing, 0 after the end.

        Args:
            parts: on the CPU.
            length: (N,).
            generator: draws categories and gaps; None takes the likeliest category, and leaves nothing out.
        """
        alive = torch.arange(self.steps) < length[:, None]
        x = torch.zeros(len(length), self.steps, self.features)
        x[..., self.real.cpu()] = self.values(*(part.to(self.real.device) for part in (parts.real, parts.level))).cpu()
        logits = dict(zip([place.start for place in self.categories], self.split(parts.category), strict=True))
        for column, place in zip(self.columns, self.places, strict=True):
            if column.categories:
                x[..., place] = self._categories(logits[place.start], column, alive, generator)
            else:
                x[..., place.start] = self._values(x[..., place.start], column, alive)
        if generator is not None:
            gone = self.draw_gaps(parts.missing, alive, generator)
            for index, place in enumerate(self.gaps):
                x[..., place] = x[..., place].masked_fill(gone[..., index : index + 1], torch.nan)
        return x * alive.unsqueeze(2)

    def split(self, category: Tensor) -> list[Tensor]:
        """(N, T, K) by columns."""
        if not self.categories:
            return []
        return list(category.split([place.stop - place.start for place in self.categories], 2))

    def _categories(self, logits: Tensor, column: Column, alive: Tensor, generator: torch.Generator | None) -> Tensor:
        """One-hot (N, T, width); that of an attribute is chosen once for a whole series."""
        chances = log_softmax(logits, 2)
        if column.attribute:
            chances = time_mean(chances, alive)
        chosen = _draw(chances.flatten(0, 1), generator).view(chances.shape[:2])
        return one_hot(chosen, column.width).to(logits.dtype).expand(-1, logits.shape[1], -1)

    def _values(self, x: Tensor, column: Column, alive: Tensor) -> Tensor:
        """(N, T) of a real column as it may be: constant, in range, and on its levels."""
        if column.attribute:
            x = time_mean(x.unsqueeze(2), alive).squeeze(2).expand_as(x)
        if column.kind == "lag":
            x = torch.cat([torch.full_like(x[:, :1], -column.offset / column.scale), x[:, 1:]], 1)
        if self.spec.value_range is not None:
            x = x.clamp(*self.spec.value_range)
        if column.levels:
            levels = (torch.tensor(column.levels, dtype=torch.float64) - column.offset) / column.scale
            middles = ((levels[1:] + levels[:-1]) / 2).to(x.dtype)
            return levels.to(x.dtype)[torch.bucketize(x.contiguous(), middles)]
        if column.kind == "integer":
            return ((x.double() * column.scale + column.offset).round() - column.offset).div(column.scale).to(x.dtype)
        return x


def _counted(known: Tensor, alive: Tensor) -> Tensor:
    """(N, T) bool: steps before the end without gaps, where there are two, of (N, T, R) and (N, T)."""
    whole = alive & known.all(2)
    return torch.where(whole.sum(1, keepdim=True) > 1, whole, alive)


def _mean_and_log_scale(mean: Tensor, variance: Tensor) -> Tensor:
    """(N, 2·R) of (N, R) each."""
    return torch.cat([mean, (variance + FLATTEST**2).log() / 2], 1)


def _draw(log_chances: Tensor, generator: torch.Generator | None) -> Tensor:
    """(N,) indices of (N, K), by the race of exponential clocks; the likeliest without a generator."""
    if generator is None:
        return log_chances.argmax(1)
    waiting = -torch.log1p(-torch.rand(log_chances.shape, generator=generator))
    return (log_chances.exp() / waiting).argmax(1)
