"""What the models that generate series share: from networks to series with gaps, categories and lengths."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.models.latent import CHUNK, LatentModel
from noiseforge.networks.sequence.autoencoder import Decoded, SequenceDecoder, chunk_for
from noiseforge.networks.sequence.balance import Balance
from noiseforge.networks.sequence.masks import inside
from noiseforge.networks.sequence.representation import Representation
from noiseforge.networks.sequence.view import SURE, Parts, View
from noiseforge.recipes.recurrent_settings import RecurrentNetworkSettings

SETTLING, FEWEST = 4096, 256
"""Series that show how frequent lengths and gaps are; fewer, but not below the second, where they are of more numbers
than `NUMBERS`."""
NUMBERS = 4_000_000

Latents = Callable[[int, torch.Generator, Tensor | None], Tensor]
"""(k, latent) of k, a generator on the CPU, and labels (k,)."""


class Made(NamedTuple):
    """Series before they are brought to their columns: parts, and the lengths (N,) on the CPU."""

    parts: Parts
    length: Tensor


class SeriesModel(LatentModel):
    """A latent model of series. Subclasses say how latents are decoded, and what is drawn beside them."""

    representation: Representation

    def prepare(self, data: Dataset) -> None:
        """Takes the whitening, and the lengths that occur, from the training series."""
        self.representation.prepare(data)

    @abstractmethod
    def made(self, z: Tensor, y: Tensor | None, generator: torch.Generator | None, *, denoised: bool) -> Made:
        """Of latents (N, latent) on the model's device. Without a generator all is as likely as can be."""

    def render(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self._series(self.made(z, y, None, denoised=True), None).x

    @torch.inference_mode()
    def likeliest(self, z: Tensor, y: Tensor | None = None) -> Samples:
        """What `decode` gives of latents (N, latent), and the lengths of these series."""
        lengths = []

        def network(z: Tensor, y: Tensor | None) -> Tensor:
            made = self.made(z, y, None, denoised=True)
            lengths.append(made.length)
            return self._series(made, None).x

        x = self.in_chunks(network, z, y)
        return Samples(x, y, torch.cat(lengths) if self.representation.ragged else None)

    @torch.inference_mode()
    def series(
        self,
        n: int,
        *,
        label: int | str | Tensor | None = None,
        generator: torch.Generator | None = None,
        denoised: bool = False,
        latents: Latents | None = None,
    ) -> Samples:
        """n series in model units, on the CPU: x (n, T, D), NaN where a value is missing, and their lengths.

        Args:
            n: how many.
            label: of a conditional model, one class (index or name) or (n,) indices; None takes the classes in turn.
            generator: a CPU generator; None starts one at seed 0.
            denoised: without what the model holds for noise, where it has a model of that.
            latents: draws them, such as a mixture of the data's codes; None draws from the prior.
        """
        if n < 1:
            raise UserError(f"n must be >= 1, got {n}")
        generator = generator or torch.Generator().manual_seed(0)
        y, device = self.labels(n, label), next(self.parameters()).device
        was_training = self.training
        self.eval()
        draw: Latents = latents or (lambda count, generator, y: self.latent(count, generator))
        made = []
        for start in range(0, n, CHUNK):
            some = None if y is None else y[start : start + CHUNK]
            z = draw(min(CHUNK, n - start), generator, some).to(device)
            told = None if some is None else some.to(device)
            made.append(self._series(self.made(z, told, generator, denoised=denoised), generator))
        self.train(was_training)
        return self._joined(made, y)

    def sample(
        self, n: int, *, label: int | str | Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """x (n, T, D) of `series`."""
        return self.series(n, label=label, generator=generator).x

    def _series(self, made: Made, generator: torch.Generator | None) -> Samples:
        parts = Parts(*(part.float().cpu() for part in made.parts))
        return Samples(self.representation.series(parts, made.length, generator), length=made.length)

    def _joined(self, made: list[Samples], y: Tensor | None) -> Samples:
        lengths = [some.length for some in made if some.length is not None]
        length = torch.cat(lengths) if self.representation.ragged else None
        return Samples(torch.cat([some.x for some in made]), y, length)


class CodingSeriesModel(SeriesModel):
    """A model of series that also codes them, and has a recurrent decoder.

    Args:
        settings: of the recurrent networks.
        spec: what a series is.
        rng: draws the weights.
        latent: dimensions of the prior.
        code: numbers that the decoder takes beside the levels.
        conditional: whether labels are a condition.
        normalise: whether each series is normalised by itself.
    """

    def __init__(
        self,
        settings: RecurrentNetworkSettings,
        spec: Spec,
        rng: torch.Generator,
        *,
        latent: int,
        code: int,
        conditional: bool,
        normalise: bool,
    ):
        super().__init__(latent, conditional=conditional, spec=spec)
        steps = spec.shape[0]
        self.representation = Representation(spec, normalise=normalise)
        self.chunk = settings.chunk or chunk_for(steps)
        self.decoder = SequenceDecoder(
            self.representation.levels + code,
            self.representation.outputs,
            steps,
            hidden=settings.hidden,
            layers=settings.layers,
            chunk=self.chunk,
            cell=settings.cell,
            classes=self.classes,
        )
        self.decoder.initialise(rng)
        self.balance = Balance(steps, len(self.representation.gaps), self.classes)

    def prepare(self, data: Dataset) -> None:
        super().prepare(data)
        batch = self.representation.some(data)
        self.balance.learn(self.representation(batch.x, batch.length), batch.y)

    @abstractmethod
    def decoded(self, z: Tensor, y: Tensor | None) -> tuple[Tensor, Decoded]:
        """The codes of latents (N, latent) on the model's device, and what the decoder makes of them."""

    @torch.no_grad()
    def settle(self) -> None:
        """Lengths and gaps of what is made become as frequent as those of the training series."""
        representation = self.representation
        if not (representation.ragged or representation.gaps):
            return
        each = representation.steps * (1 + len(representation.gaps))
        count = max(min(SETTLING, NUMBERS // each), FEWEST)

        def network(z: Tensor, y: Tensor | None) -> Tensor:
            code, decoded = self.decoded(z, y)
            length = representation.length_logits(decoded.length.float())
            return torch.cat([length, self.parts(code, decoded).missing.float().flatten(1)], 1)

        latents = self.latent(count, torch.Generator().manual_seed(0))
        logits = self.in_chunks(network, latents, self.balance.labels(count))
        length, missing = logits.split([representation.steps, each - representation.steps], 1)
        self.balance.fit(length, missing.unflatten(1, (representation.steps, -1)), representation.lengths.cpu())

    def parts(self, code: Tensor, decoded: Decoded) -> Parts:
        """What a decoder gave of a code. The levels are the code's first numbers."""
        return self.representation.parts(decoded.outputs, code[:, : self.representation.levels])

    def choices(self, view: View, parts: Parts, decoded: Decoded) -> dict[str, Tensor]:
        """Nats (N,) of what is no real number: categories, gaps and the length, where there are such."""
        nats = self.representation.surprise(view, parts)
        if self.representation.ragged:
            nats["length"] = self.representation.length_surprise(decoded.length, view)
        return nats

    def draft(self, code: Tensor, decoded: Decoded, noise: Tensor | None, generator: torch.Generator | None) -> Made:
        """What a decoder gave of a code, with noise (N, T, R) on its components, and lengths drawn.

        With their noise, series have the mean and scale that their levels say, once their gaps are filled: so gaps are
        drawn as well.
        """
        parts = self.parts(code, decoded)
        parts = parts._replace(missing=parts.missing + self.balance.missing)
        length = self.representation.draw_lengths(decoded.length.float() + self.balance.length, generator)
        if noise is not None and generator is not None:
            alive = inside(noise, length)
            logits = parts.missing.float().cpu()
            missing = self.representation.draw_gaps(logits, alive.cpu(), generator).to(noise)
            real = self.representation.levelled(parts.real + noise, parts.level, alive, missing=missing)
            parts = parts._replace(real=real, missing=SURE * (2 * missing - 1))
        return Made(parts, length)

    @abstractmethod
    def coded(self, x: Tensor, length: Tensor | None, y: Tensor | None) -> Tensor:
        """The codes (N, code) of series on the model's device."""

    @torch.inference_mode()
    def reconstruct(self, x: Tensor, y: Tensor | None = None, length: Tensor | None = None) -> Tensor:
        """Series (N, T, D) decoded from the codes of series (N, T, D) with NaN for gaps; what was missing is filled.

        Args:
            x: in model units.
            y: (N,) labels, of a conditional model.
            length: (N,) steps of each; None where all have T.
        """
        ends = torch.full((len(x),), x.shape[1]) if length is None else length

        def network(rows: Tensor, labels: Tensor | None) -> Tensor:
            some = rows.cpu()
            code = self.coded(x[some].to(rows.device), ends[some].to(rows.device), labels)
            made = Made(self.parts(code, self.decoder(code, labels)), ends[some])
            return self._series(made, None).x

        return self.in_chunks(network, torch.arange(len(x)), self.condition(y))
