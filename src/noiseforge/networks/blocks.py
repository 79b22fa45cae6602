"""What several networks share: packing, batch statistics, activations, labels and initial weights."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized

from noiseforge.errors import UserError

SLOPE = 0.2
"""Of the leaky rectifier for negative input, everywhere (Radford et al. 2016; Huang et al. 2024)."""

PIECES = 5
"""Linear pieces of a maxout unit (Goodfellow et al. 2013 and 2014)."""


class Maxout(nn.Module):
    """The largest of each `pieces` features, (N, F·pieces, ...) -> (N, F, ...). Goodfellow et al. 2013."""

    def __init__(self, pieces: int = PIECES) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, self.pieces)).amax(2)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(SLOPE),
    "tanh": nn.Tanh,
    "maxout": Maxout,
}

GAINS: dict[str, float] = {
    "relu": math.sqrt(2),
    "leaky": math.sqrt(2 / (1 + SLOPE**2)),
    "tanh": 1.0,
    "maxout": 1 / math.sqrt(1.8),
}
"""What keeps the second moment of a signal through a layer: 1 / √E[f(ε)²], ε ~ N(0, 1) (He et al. 2015)."""


def pieces(activation: str) -> int:
    """Features that a layer must give for each one that the activation leaves."""
    return PIECES if activation == "maxout" else 1


def activated(layer: nn.Linear | nn.modules.conv._ConvNd, *, norm: str, activation: str) -> list[nn.Module]:
    """A layer, its normalisation (none, batch, or spectral: of the layer's weights) and its activation."""
    if norm == "spectral":
        return [spectral_norm(layer), ACTIVATIONS[activation]()]
    if norm == "batch":
        features = nn.BatchNorm1d if isinstance(layer, nn.Linear) else nn.BatchNorm2d
        outputs = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
        return [layer, features(outputs), ACTIVATIONS[activation]()]
    return [layer, ACTIVATIONS[activation]()]


def pack(x: Tensor, count: int) -> Tensor:
    """Joins every `count` neighbouring samples along their first dimension. Lin et al. 2018 (PacGAN).

    Args:
        x: (N, C, H, W) or (N, D).
        count: samples in a pack.

    Returns:
        (N / count, count·C, H, W) or (N / count, count·D).

    Raises:
        UserError: N is not a multiple of `count`.

    >>> pack(torch.arange(4.0).view(4, 1), 2)
    tensor([[0., 1.],
            [2., 3.]])
    """
    if len(x) % count:
        raise UserError(f"packing {count}: the rows of a batch in one process must be a multiple of it, got {len(x)}")
    return x.reshape(len(x) // count, count * x.shape[1], *x.shape[2:])


def minibatch_std(x: Tensor, *, group: int = 4) -> Tensor:
    """Appends one feature: the standard deviation in a group of samples, averaged over features and places.

    Groups are neighbouring rows, as many as divide N up to `group`, so that a batch that several processes
    share gives the same as one process, if each has a multiple of `group`.

    Args:
        x: (N, F) or (N, C, H, W).
        group: samples in a group, at most.

    Returns:
        (N, F + 1) or (N, C + 1, H, W).

    Karras et al. 2018, section 3, in the form of Karras et al. 2020 (StyleGAN2), with other groups.

    >>> minibatch_std(torch.tensor([[0.0], [2.0]]))
    tensor([[0., 1.],
            [2., 1.]])
    """
    size = max(n for n in range(1, group + 1) if len(x) % n == 0)
    groups = x.float().reshape(len(x) // size, size, *x.shape[1:])
    # Not var(): across a middle dimension it runs ten times slower on CPUs.
    deviation = ((groups - groups.mean(1, keepdim=True)).square().mean(1) + 1e-8).sqrt().flatten(1).mean(1)
    feature = deviation.repeat_interleave(size).to(x.dtype).view(-1, *[1] * (x.dim() - 1))
    return torch.cat([x, feature.expand(-1, 1, *x.shape[2:])], 1)


class MinibatchStd(nn.Module):
    """`minibatch_std` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return minibatch_std(x)


class LabelledLatent(nn.Module):
    """Appends the embedding of a label to a latent: (N, latent) -> (N, width). Mirza and Osindero 2014.

    With no classes it gives the latent back.
    """

    def __init__(self, latent: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.width = 2 * latent if classes else latent
        if classes:
            self.embedding = nn.Embedding(classes, latent)

    def forward(self, z: Tensor, y: Tensor | None) -> Tensor:
        check_labels(y, self.classes)
        return z if y is None else torch.cat([z, self.embedding(y)], 1)


class ProjectionHead(nn.Module):
    """Features to a logit, w·f + v_y·f: (N, F), (N,) -> (N,). Miyato and Koyama 2018, eq. 3.

    With no classes it is the linear part alone.
    """

    def __init__(self, features: int, classes: int, *, norm: str = "none") -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(features, 1)
        if classes:
            # All products v_k·f, of which the label picks one: an embedding that spectral norm can hold.
            self.labels = nn.Linear(features, classes, bias=False)
        if norm == "spectral":
            for layer in self.children():
                spectral_norm(layer)

    def forward(self, features: Tensor, y: Tensor | None) -> Tensor:
        check_labels(y, self.classes)
        # Losses compare logits, for which the 8 bits of bfloat16 are too coarse.
        with torch.autocast(features.device.type, enabled=False):
            features = features.to(self.linear.bias.dtype)
            logits = self.linear(features).squeeze(1)
            return logits if y is None else logits + chosen(self.labels(features), y)


class CodeHead(nn.Module):
    """Features and a label (N,) if there are classes to the numbers of a code: (N, F), (N,) -> (N, outputs)."""

    def __init__(self, features: int, classes: int, outputs: int) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(features + classes, outputs)

    def forward(self, features: Tensor, y: Tensor | None) -> Tensor:
        check_labels(y, self.classes)
        if y is not None:
            features = torch.cat([features, one_hot(y, self.classes).to(features.dtype)], 1)
        return self.linear(features)


Head = Callable[[int], nn.Module]
"""Makes what a network ends in from the number of its features; it is called with features and labels."""


def logit_head(classes: int, norm: str) -> Head:
    """What makes a discriminator's head."""
    return lambda features: ProjectionHead(features, classes, norm=norm)


def chosen(values: Tensor, y: Tensor) -> Tensor:
    """The column of each row that its label names: (N, K), (N,) -> (N,)."""
    return (values * one_hot(y, values.shape[1])).sum(1)


def check_labels(y: Tensor | None, classes: int) -> None:
    """Raises ValueError unless labels are there exactly if the network has classes."""
    if classes and y is None:
        raise ValueError(f"a network of {classes} classes needs labels: pass y (N,), 0 to {classes - 1}")
    if y is not None and not classes:
        raise ValueError("a network without classes takes no labels: leave y out")


def scaled(gain: float) -> Callable[[float], float]:
    """Standard deviation gain / √fan_in of the initial weights, as a function of fan_in (He et al. 2015)."""
    return lambda fan_in: gain / math.sqrt(fan_in)


def initialise(module: nn.Module, rng: torch.Generator, std: Callable[[float], float]) -> None:
    """Draws all weights within `module` from N(0, std(fan_in)²) and sets all biases to 0.

    Embeddings are drawn from N(0, 1). The directions that spectral norm follows are drawn too, and followed
    until they settle.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            normal(layer.weight, 1.0, rng)
        elif isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            weight = _stored_weight(layer)
            normal(weight, std(_fan_in(layer, weight)), rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            _settle_spectral_norm(layer, rng)


def _stored_weight(layer: nn.Module) -> Tensor:
    parameters = dict(layer.named_parameters())
    return parameters["parametrizations.weight.original" if is_parametrized(layer, "weight") else "weight"]


def _fan_in(layer: nn.Module, weight: Tensor) -> float:
    """Inputs that one output is a sum of."""
    if isinstance(layer, nn.ConvTranspose2d):
        return weight.shape[0] * weight[0, 0].numel() / math.prod(layer.stride)
    return weight[0].numel()


@torch.no_grad()
def _settle_spectral_norm(layer: nn.Module, rng: torch.Generator) -> None:
    directions = [b for name, b in layer.named_buffers() if name.startswith("parametrizations.weight.")]
    for direction in directions:
        normal(direction, 1.0, rng)
        direction /= direction.norm()
    for _ in range(15 if directions else 0):
        layer.weight  # noqa: B018  each reading is one power iteration


@torch.no_grad()
def normal(tensor: Tensor, std: float, rng: torch.Generator) -> None:
    """Fills a tensor from N(0, std²), in place, drawing on the generator's own device."""
    tensor.copy_(torch.randn(tensor.shape, generator=rng, device=rng.device) * std)
