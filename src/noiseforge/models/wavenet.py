"""WaveNet: sound as a chain of values, each drawn from what came before it (van den Oord et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from noiseforge.data.samples import Samples
from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.errors import Diverged, UserError, unknown
from noiseforge.models.model import Model
from noiseforge.models.player import Moment, Player
from noiseforge.networks.wavenet.conditioner import PLACES, Conditioner, mel_frames, mel_window, progress
from noiseforge.networks.wavenet.generate import generate, stepper, stream_generators
from noiseforge.networks.wavenet.network import CausalNetwork
from noiseforge.objectives.likelihood import logistic_mixture
from noiseforge.objectives.mu_law import mu_law_decode, mu_law_encode
from noiseforge.objectives.spectral import mel_filterbank
from noiseforge.recipes.schema import WaveNetSettings

QUANTILES = 9
"""Durations of the training clips that are kept for each label and speaker."""
TOGETHER = 16
"""Clips that are generated side by side."""
PIECE = 400
"""Values of each that are generated at once: what the layers are told takes thousands of numbers for each value."""


class WaveNet(Model):
    """One player, who predicts each value of a clip from the values before it."""

    CONDITIONED = "model.condition_on=[label]"
    durations: Tensor
    """(cells, QUANTILES) of the lengths of training clips in samples, a row for each label and speaker."""

    def __init__(self, settings: WaveNetSettings, spec: Spec, rng: torch.Generator):
        if spec.modality != "audio":
            reason = f"model.kind=wavenet is of sound, and {spec.source} holds {spec.modality} examples"
            raise UserError(f"{reason}: name a source of sound, or take a recipe of image/ or toy/")
        super().__init__(spec, conditional="label" in settings.condition_on)
        if "speaker" in settings.condition_on and not spec.speakers:
            raise UserError(f"condition_on=speaker needs speakers, and {spec.source} names none: leave it out")
        self.settings = settings
        self.speakers = len(spec.speakers) if "speaker" in settings.condition_on else 0
        self.follows_progress = "progress" in settings.condition_on
        self.mels = _checked_mels(settings, spec) if "mel" in settings.condition_on else 0
        self.changes = self.follows_progress or self.mels > 0
        self.continuous = settings.output == "logistics"
        known = self.classes + self.speakers + (PLACES + 1 if self.follows_progress else 0) + self.mels
        # Layers draw from the global state as they are made. It is put back, and every weight is drawn anew.
        with torch.random.fork_rng(devices=[]):
            self.conditioner = Conditioner(known, settings.conditions) if known else None
            self.network = CausalNetwork(
                levels=0 if self.continuous else settings.levels,
                outputs=3 * settings.components if self.continuous else settings.levels,
                dilations=settings.dilations * settings.stacks,
                kernel=settings.kernel,
                residual=settings.residual,
                gate=settings.gate,
                skip=settings.skip,
                conditions=settings.conditions if known else 0,
                hop=settings.hop,
                dropout=settings.dropout,
                normalised=settings.weight_norm,
            )
        for part in (self.conditioner, self.network):
            if part is not None:
                part.initialise(rng)
        cells = max(len(spec.classes), 1) * max(len(spec.speakers), 1)
        self.register_buffer("durations", torch.full((cells, QUANTILES), float(spec.shape[-1])))

    def players(self) -> list[Player]:
        """The network and its conditioner as one."""
        return [Player("wavenet", self, self._loss, self.settings.optimiser, averaged=True)]

    @torch.no_grad()
    def prepare(self, data: Dataset) -> None:
        """Keeps how long the training clips of each label and speaker are; of all, where there are none."""
        batches = [data.batch(rows) for rows in torch.arange(len(data)).split(256)]
        lengths = torch.cat([_lengths(batch) for batch in batches]).float()
        cells = torch.cat([self._cells(batch.y, batch.condition, len(batch.x)) for batch in batches])
        shares = torch.linspace(0, 1, QUANTILES)
        for cell in range(len(self.durations)):
            inside = lengths[cells == cell]
            self.durations[cell] = (inside if len(inside) else lengths).quantile(shares)

    # -- training and likelihood ------------------------------------------------------------------------------

    def _loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        draws = (moment.noise.uniform(len(batch.x), 1)[:, 0].cpu() + 1) / 2
        start, size = self._crop(_lengths(batch).cpu(), draws)
        nats, known = self._nats(batch, start, size, self._drops(moment, batch.x.device))
        mean = (nats * known).sum() / known.sum().clamp_min(1)
        moment.note("bits", mean / math.log(2))
        return {"nll": mean}

    def _drops(self, moment: Moment, device: torch.device) -> torch.Generator | None:
        """What draws the dropout of one step; None without any."""
        if not self.settings.dropout:
            return None
        return torch.Generator(device).manual_seed(moment.noise.private().initial_seed())

    def _crop(self, length: Tensor, draws: Tensor) -> tuple[Tensor, int]:
        """Where in each clip a crop begins (N,), and how long it is. Crops tile a clip, less the context of each."""
        hop, size = self.settings.hop, min(self.settings.crop, int(length.max()))
        stride = max((size - self.settings.receptive_field + 1) // hop, 1) * hop
        tiles = 1 + torch.ceil((length - size).clamp_min(0) / stride)
        return (draws * tiles).long() * stride, size

    def _nats(
        self, batch: Batch, start: Tensor, size: int, drops: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """-log P of `size` values of each clip from its `start` on (N, size), and which of them count.

        What counts lies within the clip, and has all of its context in the crop or the clip's beginning.
        """
        x, start = batch.x[:, 0], start.to(batch.x.device)
        place = start[:, None] + torch.arange(size, device=x.device)
        values = self.values(x.gather(1, place.clamp_max(x.shape[1] - 1)))
        before = self.values(x.gather(1, (start - 1).clamp_min(0)[:, None]))
        before = torch.where(start[:, None] > 0, before, self.start)
        known = self._told(batch, start, size)
        parameters = self.network(torch.cat([before, values[:, :-1]], 1), known, drops=drops)
        context = torch.where(start > 0, self.settings.receptive_field - 1, 0)
        counts = (place < _lengths(batch)[:, None]) & (place - start[:, None] >= context[:, None])
        return self.negative_log_likelihood(parameters.float(), values), counts

    def negative_log_likelihood(self, parameters: Tensor, values: Tensor) -> Tensor:
        """-log P of values (N, T), value by value, by parameters (N, T, outputs)."""
        if self.continuous:
            return -logistic_mixture(values, parameters, levels=self.settings.levels)
        flat = cross_entropy(parameters.flatten(0, 1), values.flatten(), reduction="none")
        return flat.view(values.shape)

    @torch.inference_mode()
    def nats(self, batch: Batch) -> Tensor:
        """-log P of whole clips, value by value, (N, T) float32 on the CPU; 0 after a clip's end."""
        was_training, device = self.training, next(self.parameters()).device
        self.eval()
        moved = _moved(batch, device)
        nats, known = self._nats(moved, torch.zeros(len(batch.x), dtype=torch.int64), batch.x.shape[-1])
        self.train(was_training)
        return (nats * known).float().cpu()

    @torch.inference_mode()
    def stepped(self, batch: Batch, *, path: str = "auto", precision: str = "fp32") -> Tensor:
        """The parameters (N, T, outputs) of each value of clips, as generation computes them, a value at a time."""
        runner = stepper(self.network.weights(), len(batch.x), path=path, precision=precision)
        values, size = self.values(batch.x[:, 0]), batch.x.shape[-1]
        told = self._course(batch, size)
        pieces = []
        for begin in range(0, size, PIECE):
            end = min(begin + PIECE, size)
            pieces.append(runner.parameters(values[:, begin:end], told(begin, end) if callable(told) else told))
        return torch.cat(pieces, 1)

    def values(self, x: Tensor) -> Tensor:
        """Sound in [-1, 1] as what the network reads: codes, or itself."""
        return x if self.continuous else mu_law_encode(x, self.settings.levels)

    @property
    def start(self) -> float | int:
        """What stands before the first value: silence."""
        return 0.0 if self.continuous else self.settings.levels // 2

    # -- what is known beside the past ------------------------------------------------------------------------

    def _told(self, batch: Batch, start: Tensor, size: int) -> Tensor | None:
        """The condition (N, F, conditions) of `size` values of each clip from `start`, a multiple of the hop."""
        if self.conditioner is None:
            return None
        hop = self.settings.hop
        frames = -(-batch.x.shape[-1] // hop) + -(-size // hop) if self.changes else 1
        told: Tensor = self.conditioner(self._features(batch, frames))
        if not self.changes:
            return told
        place = (start // hop)[:, None] + torch.arange(-(-size // hop), device=start.device)
        return told.gather(1, place[:, :, None].expand(-1, -1, told.shape[2]))

    def _features(self, batch: Batch, frames: int) -> Tensor:
        parts, length = [], _lengths(batch)
        hop, rate = self.settings.hop, self.spec.sample_rate or 1
        for name, index, count in (("label", batch.y, self.classes), ("speaker", batch.condition, self.speakers)):
            if count and index is None:
                raise UserError(f"this model is conditioned on the {name}, and the clips have none")
            if count and index is not None:
                parts.append(one_hot(index, count).float()[:, None].expand(-1, frames, -1))
        if self.follows_progress:
            parts.append(progress(length, frames, hop, rate))
        if self.mels:
            parts.append(mel_frames(batch.x[:, 0], length, frames, hop, rate, self.mels))
        return torch.cat(parts, -1)

    # -- sampling ---------------------------------------------------------------------------------------------

    def sample(
        self, n: int, *, label: int | str | Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """(n, 1, T) clips in [-1, 1], padded with zeros to the longest of them, on the CPU: see `clips`."""
        return self.clips(n, label=label, generator=generator).x

    @torch.inference_mode()
    def clips(
        self,
        n: int,
        *,
        label: int | str | Tensor | None = None,
        speaker: int | str | None = None,
        seconds: float | None = None,
        temperature: float = 1.0,
        nucleus: float = 1.0,
        generator: torch.Generator | None = None,
        path: str = "auto",
        precision: str = "fp32",
        threads: int = 1,
        progress: Callable[[float], None] | None = None,
    ) -> Samples:
        """n clips with their lengths, labels and speakers.

        Args:
            n: how many.
            label: one class by index or name, or (n,) indices; None takes the classes in turn.
            speaker: one by index or name; None takes them in turn, each through all classes.
            seconds: of every clip; None draws the durations of training clips of that label and speaker.
            temperature: below 1 prefers what is likely.
            nucleus: share of the probability that is drawn from, the likeliest codes first.
            generator: a CPU generator; None starts one at seed 0.
            path: kernel, queues or naive; auto takes the fastest that there is.
            precision: fp32 or bf16, of the kernel.
            threads: of the kernel, over the clips that are made side by side.
            progress: called with the share that is done.
        """
        if n < 1:
            raise UserError(f"n must be >= 1, got {n}")
        if self.mels:
            raise UserError(
                "this model is conditioned on mel frames, it makes clips anew and none of its own: "
                "use `noiseforge reconstruct`"
            )
        y, voice = self.labels(n, label), self._voices(n, speaker)
        sources = clip_generators(n, generator)
        length = self._drawn_lengths(y, voice, seconds, sources)
        given = Batch(torch.zeros(n, 1, 0), y, length, voice)
        drawing = {"temperature": temperature, "nucleus": nucleus, "path": path}
        return self._generated(given, sources, progress, **drawing, precision=precision, threads=threads)

    def _generated(
        self,
        given: Batch,
        sources: list[torch.Generator],
        progress: Callable[[float], None] | None,
        **drawing: Any,
    ) -> Samples:
        """Clips as long and for the same labels and speakers as those that are given, from a generator each."""
        length, n = _lengths(given), len(sources)
        x = torch.zeros(n, 1, int(length.max()))
        weights, done = self.network.weights(), 0
        for rows in length.argsort(descending=True).split(TOGETHER):
            longest, at = int(length[rows].max()), 0
            stream = generate(
                weights,
                len(rows),
                longest,
                [sources[row] for row in rows.tolist()],
                condition=self._course(_rows(given, rows), longest),
                chunk=PIECE,
                **drawing,
            )
            for chunk in stream:
                x[rows, 0, at : at + chunk.shape[1]] = self.heard(chunk)
                at += chunk.shape[1]
                if progress:
                    progress((done + len(rows) * at / longest) / n)
            done += len(rows)
        x *= torch.arange(x.shape[-1]) < length[:, None, None]
        return Samples(x, given.y, length, given.condition)

    def heard(self, values: Tensor) -> Tensor:
        """What the network writes as sound in [-1, 1]: the inverse of `values`."""
        return values if self.continuous else mu_law_decode(values, self.settings.levels)

    def _course(self, given: Batch, size: int) -> Callable[[int, int], Tensor] | Tensor | None:
        """What each layer is told of clips that are to be made: (N, 1, layers, gate), or a function of a stretch."""
        device = next(self.parameters()).device
        start = torch.zeros(len(given.x), dtype=torch.int64, device=device)
        known = self.network.condition(self._told(_moved(given, device), start, size))
        if known is not None and not torch.isfinite(known).all():
            raise Diverged("what the layers are told is NaN or infinite: the model has diverged")
        if known is None or not self.changes:
            return None if known is None else known.float().cpu()
        frames = known.float().cpu()
        return lambda begin, end: frames[:, torch.arange(begin, end) // self.settings.hop]

    def _voices(self, n: int, speaker: int | str | None) -> Tensor | None:
        names = self.spec.speakers
        if not self.speakers:
            if speaker is not None:
                raise UserError("speaker was given, but this model has none: train with model.condition_on=[speaker]")
            return None
        if speaker is None:
            return torch.arange(n) // max(self.classes, 1) % self.speakers
        if isinstance(speaker, str) and speaker in names:
            return torch.full((n,), names.index(speaker))
        if not str(speaker).isdecimal() or int(speaker) >= len(names):
            raise unknown("speaker", str(speaker), names)
        return torch.full((n,), int(speaker))

    def _drawn_lengths(
        self, y: Tensor | None, voice: Tensor | None, seconds: float | None, sources: list[torch.Generator]
    ) -> Tensor:
        """(n,) samples: as asked for, or drawn from the durations of training clips of the same kind."""
        if seconds is not None:
            if not 0 < seconds < math.inf:
                raise UserError(f"seconds must be above 0, got {seconds}")
            return torch.full((len(sources),), max(round(seconds * (self.spec.sample_rate or 1)), 1))
        kind, place = torch.stack([torch.rand(2, generator=source) for source in sources]).unbind(1)
        speakers = max(len(self.spec.speakers), 1)
        # What the model is not told is drawn, so that the lengths are those of the whole data.
        cell = (kind * len(self.durations)).long()
        y, voice = cell // speakers if y is None else y, cell % speakers if voice is None else voice
        quantiles = self.durations.cpu()[y * speakers + voice]
        place = place * (QUANTILES - 1)
        low, high = (quantiles.gather(1, end.long()[:, None])[:, 0] for end in (place.floor(), place.ceil()))
        return torch.lerp(low, high, place % 1).round().long().clamp_min(1)

    def _cells(self, y: Tensor | None, speaker: Tensor | None, n: int) -> Tensor:
        """(n,) the row of `durations` of each clip."""
        none = torch.zeros(n, dtype=torch.int64)
        label = none if y is None else y
        return label * max(len(self.spec.speakers), 1) + (none if speaker is None else speaker)


def clip_generators(n: int, generator: torch.Generator | None) -> list[torch.Generator]:
    """A generator for each clip, so that it does not depend on how many there are; seed 0 where none is given."""
    return stream_generators(n, generator or torch.Generator().manual_seed(0))


def _lengths(batch: Batch) -> Tensor:
    """(N,) the true lengths, which of clips that have none is their width."""
    if batch.length is not None:
        return batch.length
    return torch.full((len(batch.x),), batch.x.shape[-1], device=batch.x.device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    y, length, condition = (None if part is None else part.to(device) for part in batch[1:])
    return Batch(batch.x.to(device), y, length, condition)


def _rows(batch: Batch, rows: Tensor) -> Batch:
    y, length, condition = (None if part is None else part[rows] for part in batch[1:])
    return Batch(batch.x[rows], y, length, condition)


def _checked_mels(settings: WaveNetSettings, spec: Spec) -> int:
    """How many bands there are, each of which holds a frequency."""
    window, rate = mel_window(settings.hop), spec.sample_rate or 1
    if not mel_filterbank(rate, window, settings.mels).any(1).all():
        raise UserError(
            f"condition_on=mel: at hop={settings.hop} the window of {window} samples is too short for "
            f"mels={settings.mels} at {rate} Hz, some bands hold no frequency: take a longer hop or fewer mels"
        )
    return settings.mels
