"""A deep recurrent classifier of sequences."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from noiseforge.corruption.compose import parse
from noiseforge.data.spec import Batch, Dataset, Spec
from noiseforge.errors import UserError
from noiseforge.models.model import Model
from noiseforge.models.player import Moment, Player
from noiseforge.networks.blocks import initialise, scaled
from noiseforge.networks.sequence.masks import chunked, known
from noiseforge.networks.sequence.pooling import pool, pooled_width
from noiseforge.networks.sequence.recurrent import Read, Recurrent, State
from noiseforge.networks.sequence.truncated import Reader, pooled_in_pieces, truncated_loss
from noiseforge.recipes.classifier_settings import ClassifierSettings

TOGETHER = 256
"""Sequences that are classified side by side."""
REACH = 1024
"""Steps before the end within which the reach of gradients is measured."""


class Classifier(Model):
    """One player, who reads a sequence and names its class.

    Features are centred one by one and divided by one number for all, which both come from the training data: noise on
    a feature that hardly changes is not blown up. Missing values are 0 after that, and where the training data or its
    corruptions have any, a second feature for each says what is known.

    Raises:
        UserError: the data are no sequences, or have no classes.
    """

    centre: Tensor
    """(D,) mean of each feature."""
    scale: Tensor
    """() standard deviation about them over all features."""

    def __init__(self, settings: ClassifierSettings, spec: Spec, rng: torch.Generator):
        if spec.modality != "sequence":
            reason = f"model.kind=classifier is of sequences, and {spec.source} holds {spec.modality} examples"
            raise UserError(f"{reason}: read pictures as sequences by data.scan=rows, or name a table of series")
        if len(spec.classes) < 2:
            found = f"{len(spec.classes)} classes" if spec.classes else "no labels"
            raise UserError(f"a classifier needs 2 classes or more, and {spec.source} has {found}: name a label column")
        super().__init__(spec, conditional=False)
        self.settings = settings
        self.corruptions = tuple(parse(text, "sequence") for text in settings.corrupt)
        self.flagged = any(column.missing for column in spec.columns) or any(map(_loses, settings.corrupt))
        steps, features = spec.shape
        inputs = features * (2 if self.flagged else 1) * settings.chunk
        # Layers draw from the global state as they are made. It is put back, and every weight is drawn anew.
        with torch.random.fork_rng(devices=[]):
            self.reader = Recurrent(
                inputs,
                settings.hidden,
                settings.layers,
                cell=settings.cell,
                bidirectional=settings.bidirectional,
                dropout=settings.dropout,
                layer_norm=settings.layer_norm,
                residual=settings.residual,
                dilations=settings.dilations,
            )
            self.head = nn.Linear(pooled_width(self.reader.width, settings.pooling), len(spec.classes))
        longest = -(-steps // settings.chunk) if settings.chrono else None
        self.reader.initialise(rng, longest=longest, uniform=settings.initial == "uniform")
        initialise(self.head, rng, scaled(1.0))
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(()))

    def players(self) -> list[Player]:
        """The reader and its head as one."""
        return [Player("classifier", self, self._loss, self.settings.optimiser, averaged=True)]

    @torch.no_grad()
    def prepare(self, data: Dataset) -> None:
        """Takes the features' means and their common spread from the training examples."""
        count, total, square = (torch.zeros(len(self.centre), dtype=torch.float64) for _ in range(3))
        for rows in torch.arange(len(data)).split(TOGETHER):
            batch = data.batch(rows)
            filled, there = known(batch.x, batch.length)
            count += there.sum((0, 1))
            total += filled.double().sum((0, 1))
            square += filled.double().square().sum((0, 1))
        mean = total / count.clamp_min(1)
        variance = (square - count * mean.square()).sum() / count.sum().clamp_min(1)
        self.centre.copy_(mean)
        self.scale.copy_(variance.sqrt() if variance > 0 else torch.ones(()))

    # -- reading ----------------------------------------------------------------------------------------------

    def features(self, x: Tensor, length: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the network reads of x (N, T, D), NaN where it is missing: (N, T / chunk, inputs), and the lengths."""
        filled, there = known(x, length)
        seen = (filled - self.centre) / self.scale * there
        if self.flagged:
            seen = torch.cat([seen, there.to(seen)], 2)
        return chunked(seen, length, self.settings.chunk)

    def logits(self, x: Tensor, length: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(N, K) of sequences (N, T, D) with true lengths (N,); `seed` is of the dropout, None leaves it out."""
        read = self.reader(*self.features(x, length), drops=_generator(x, seed))
        steps = None if length is None else -(-length // self.settings.chunk)
        return self._named(pool(read.outputs, read.final[:, -1], steps, self.settings.pooling), seed)

    @torch.inference_mode()
    def predict_proba(self, x: Tensor, length: Tensor | None = None) -> Tensor:
        """The probability (N, K) of each class, float32 on the CPU.

        Args:
            x: (N, T, D) as this model's data are scaled, of any T; NaN where a value is missing.
            length: (N,) true steps, at least one; all T when left out.

        Raises:
            UserError: another number of features.
        """
        if x.ndim != 3 or x.shape[2] != len(self.centre):
            wanted = f"(N, T, {len(self.centre)})"
            raise UserError(f"this classifier takes sequences {wanted}, got {tuple(x.shape)}: give the same features")
        was_training, device = self.training, self.centre.device
        self.eval()
        whole = torch.full((len(x),), x.shape[1]) if length is None else length.cpu()
        made = []
        for rows in torch.arange(len(x)).split(TOGETHER):
            size = whole[rows]
            made.append(self._read_out(x[rows, : int(size.max())].to(device), size.to(device)).softmax(1).cpu())
        self.train(was_training)
        return torch.cat(made) if made else torch.zeros(0, len(self.spec.classes))

    def _read_out(self, x: Tensor, length: Tensor) -> Tensor:
        """(N, K), piece by piece where the settings truncate."""
        if self.settings.truncate is None:
            return self.logits(x, length).float()
        read = self._piecewise(x, length, None)
        steps = -(-length // self.settings.chunk)
        return self._named(pooled_in_pieces(read, steps, self._piece, self.settings.pooling)[0], None).float()

    def _named(self, pooled: Tensor, seed: int | None) -> Tensor:
        """The logits of pooled vectors, in full precision: losses compare them."""
        with torch.autocast(pooled.device.type, enabled=False):
            # Not the draws of the layers before, which would drop the same units.
            drops = None if seed is None else _generator(pooled, seed + 1)
            return self.head(_dropped(pooled.float(), self.settings.dropout, drops))

    @property
    def _piece(self) -> int:
        return (self.settings.truncate or 0) // self.settings.chunk

    def _piecewise(self, x: Tensor, length: Tensor, seed: int | None) -> Reader:
        """What reads from one step of the network to another; its dropout is the same in every piece."""
        size = self.settings.chunk

        def read(start: int, end: int, within: Tensor, state: State | None) -> Read:
            left = (length - start * size).clamp(0, (end - start) * size)
            steps, _ = self.features(x[:, start * size : end * size], left)
            return self.reader(steps, within, state, drops=_generator(x, seed))

        return read

    # -- training ---------------------------------------------------------------------------------------------

    def _loss(self, batch: Batch, moment: Moment) -> dict[str, Tensor]:
        x = self._corrupted(batch, moment)
        y = _labels(batch)
        seed = moment.noise.private().initial_seed() if self.settings.dropout else None
        if self.settings.truncate is not None:
            return {"cross_entropy": self._truncated(x, y, batch.length, moment, seed)}
        return {"cross_entropy": self._judged(self.logits(x, batch.length, seed=seed), y, moment)}

    def _judged(self, logits: Tensor, y: Tensor, moment: Moment) -> Tensor:
        moment.note("accuracy", (logits.argmax(1) == y).float().mean())
        return cross_entropy(logits, y, label_smoothing=self.settings.label_smoothing)

    def _truncated(self, x: Tensor, y: Tensor, length: Tensor | None, moment: Moment, seed: int | None) -> Tensor:
        whole = torch.full((len(x),), x.shape[1], device=x.device) if length is None else length
        return truncated_loss(
            self._piecewise(x, whole, seed),
            -(-whole // self.settings.chunk),
            self._piece,
            self.settings.pooling,
            lambda pooled: self._judged(self._named(pooled, seed), y, moment),
            [parameter for parameter in self.parameters() if parameter.requires_grad],
        )

    def _corrupted(self, batch: Batch, moment: Moment) -> Tensor:
        """Each example with one of the corruptions, by chance."""
        if not self.corruptions:
            return batch.x
        draws = moment.noise.private()
        choice = torch.randint(len(self.corruptions), (len(batch.x),), generator=draws).to(batch.x.device)
        x = batch.x.clone()
        for index, corruption in enumerate(self.corruptions):
            rows = (choice == index).nonzero()[:, 0]
            if len(rows) and corruption.steps:
                length = None if batch.length is None else batch.length[rows]
                x[rows] = corruption(x[rows], length=length, generator=draws)
        return x

    # -- health -----------------------------------------------------------------------------------------------

    def health(self, batch: Batch) -> dict[str, object]:
        """How well it does on held-out examples, and how far back gradients reach.

        Returns:
            `accuracy` and `loss` (nats), over `count` examples; `chance`, the share of the commonest class in them;
            `gradient_by_distance`, see `gradient_reach`.
        """
        y = _labels(batch).cpu()
        probability = self.predict_proba(batch.x, batch.length)
        taken = probability.gather(1, y[:, None]).clamp_min(torch.finfo(torch.float32).tiny)
        return {
            "accuracy": float((probability.argmax(1) == y).float().mean()),
            "loss": float(-taken.log().mean()),
            "chance": float(y.bincount().max()) / max(len(y), 1),
            "count": float(len(y)),
            "gradient_by_distance": self.gradient_reach(batch),
        }

    @torch.enable_grad()
    def gradient_reach(self, batch: Batch) -> list[float]:
        """The gradient's norm of the last step's loss by the input 0, 1, 2, 4, ... steps before it.

        What the last step alone is classified as is compared with the label, whatever the pooling. The norms are means
        over those of up to 64 sequences; distances end where a sequence or `REACH` does.
        """
        rows = torch.arange(min(len(batch.x), 64))
        whole = torch.full((len(batch.x),), batch.x.shape[1]) if batch.length is None else batch.length.cpu()
        longest = min(int(whole[rows].max()), REACH)
        rows = rows[whole[rows] >= longest]
        begin = (whole[rows] - longest)[:, None] + torch.arange(longest)
        x = batch.x[rows].cpu().gather(1, begin[:, :, None].expand(-1, -1, batch.x.shape[2])).to(self.centre.device)
        # Where a value is missing there is nothing to change.
        x = torch.where(x.isnan(), self.centre, x).requires_grad_()
        features, _ = self.features(x, None)
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN follows back in training mode alone
            last = self.reader(features).outputs[:, -1]
        pooled = torch.cat([last] * (pooled_width(1, self.settings.pooling)), 1)
        loss = cross_entropy(self._named(pooled, None), _labels(batch)[rows].to(x.device), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        norms = gradient.norm(dim=2).mean(0).flip(0).tolist()
        return [norms[distance] for distance in distances(longest)]


def distances(steps: int) -> Iterator[int]:
    """0, 1, 2, 4, ..., below the number of steps.

    >>> list(distances(6))
    [0, 1, 2, 4]
    """
    yield 0
    distance = 1
    while distance < steps:
        yield distance
        distance *= 2


def _loses(text: str) -> bool:
    """Whether a corruption makes values missing."""
    return any(step.name in ("drop", "channels") for step in parse(text, "sequence").steps)


def _labels(batch: Batch) -> Tensor:
    if batch.y is None:
        raise UserError("a classifier learns from labels, and these sequences have none: name a label column")
    return batch.y


def _dropped(x: Tensor, share: float, drops: torch.Generator | None) -> Tensor:
    if drops is None or not share:
        return x
    kept = torch.rand(x.shape, generator=drops, device=drops.device) >= share
    return x * kept.to(x.device) / (1 - share)


def _generator(x: Tensor, seed: int | None) -> torch.Generator | None:
    """What draws the dropout of one step; None without a seed."""
    return None if seed is None else torch.Generator(x.device).manual_seed(seed)
