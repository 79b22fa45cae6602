"""The judge: a small classifier of the data's own classes, whose features and labels the metrics use."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from math import ceil, prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from noiseforge.data.feed import Feed
from noiseforge.data.spec import Data, Dataset, Spec
from noiseforge.data.split import seeded
from noiseforge.errors import UserError
from noiseforge.evaluation.sound_variation import SETTINGS as SOUND_SETTINGS
from noiseforge.evaluation.sound_variation import varied
from noiseforge.networks.blocks import initialise
from noiseforge.training.processes import computes_in_bf16

logger = logging.getLogger(__name__)

FEATURES = 128
"""Width of the penultimate layer, which is what metrics compare."""
WIDTH = 32
LARGEST_SIDE = 64
"""Larger pictures are averaged down to this side before the judge looks."""
COARSEST_SIDE = 8
PASSES = 20
"""Times that each training example is seen, where the budgets below allow it."""
SOUND_PASSES = 30
"""The same for spectrograms, of which there are fewer in a data set, and which vary more."""
MOST_EXAMPLES = 200_000
MOST_VALUES = 4e8
"""Pixels and channels seen in a training: it bounds the time for large pictures."""
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 5e-2
SHIFT = 14
"""Training pictures are shifted by up to this fraction of their side."""
INFERENCE_VALUES = 400_000

Progress = Callable[[float], None]


class JudgeNetwork(nn.Module):
    """Convolutions for pictures (C, H, W) of 8 to 256 pixels, or an MLP for points (D,), with batch normalisation."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        layers = _convolutions(shape) if len(shape) == 3 else [*_dense(prod(shape)), *_dense(FEATURES)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, 128), not negative."""
        features: Tensor = self.body(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def build_network(shape: tuple[int, ...], classes: int, generator: torch.Generator) -> JudgeNetwork:
    """A judge's network whose weights are all drawn from `generator`."""
    with torch.device("meta"):  # where PyTorch's own initialisation touches no random state
        network = JudgeNetwork(shape, classes)
    network.to_empty(device="cpu")
    initialise(network, generator, lambda fan_in: sqrt(2 / fan_in))
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.reset_parameters()
    return network


class Judge:
    """A trained network, its accuracy on the test examples, and an identity that follows from its weights."""

    def __init__(self, network: JudgeNetwork, accuracy: float, device: torch.device) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.accuracy = accuracy
        self.id = f"judge-{weights_hash(network)}"
        self._device = device

    def features(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, 128) float64 on the CPU."""
        return in_batches(self.network.features, x, self._device)

    def probabilities(self, features: Tensor) -> Tensor:
        """Class probabilities (N, K) float64 from features (N, 128)."""
        head = self.network.head
        logits = features @ head.weight.cpu().double().T + head.bias.cpu().double()
        return logits.softmax(1)


class StackedJudge:
    """A judge of single digits that reads each channel of a stack on its own; the label of (a, b, c) is 100a + 10b + c.

    The accuracy is the judge's own, for one digit.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.accuracy = judge.accuracy
        self.id = f"stacked-{judge.id}"

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 3 x 128) float64 on the CPU."""
        return self.judge.features(x.flatten(0, 1).unsqueeze(1)).unflatten(0, (len(x), -1)).flatten(1)

    def probabilities(self, features: Tensor) -> Tensor:
        """The joint probabilities (N, 1000), channels being independent, from features (N, 3 x 128)."""
        first, *others = (
            self.judge.probabilities(features.reshape(-1, FEATURES)).unflatten(0, (len(features), -1)).unbind(1)
        )
        for other in others:
            first = (first[:, :, None] * other[:, None, :]).flatten(1)
        return first


def train_judge(
    data: Data, *, seed: int = 0, device: str | torch.device = "cpu", progress: Progress | None = None
) -> Judge:
    """A judge trained on the labelled training examples, and scored on the test examples.

    AdamW under a one-cycle schedule; pictures are shifted by up to 1/14 of their side, spectrograms varied as
    `sound_variation.varied` does. Less than a minute for MNIST on two cores, a few seconds for a few thousand small
    pictures, some 40 s on one core for two thousand clips.

    Args:
        data: labelled, with two classes or more.
        seed: of weights, order and shifts.
        device: where it is trained and will run.
        progress: called with the share of the steps that is done.

    Raises:
        UserError: the data has no labels, or a single class.
    """
    if len(data.spec.classes) < 2 or data.train.labels is None:
        raise UserError(
            f"a judge needs labels of at least 2 classes, and {data.spec.source} has {len(data.spec.classes)}; "
            "use features=random"
        )
    device = torch.device(device)
    generator = seeded(seed, "judge")
    network = build_network(data.spec.shape, len(data.spec.classes), generator).to(device).train()
    vary, passes, values = _shifted, PASSES, prod(data.spec.shape)
    if _of_sound(data.spec):
        vary, passes, values = varied, SOUND_PASSES, LARGEST_SIDE**2  # what is left once they are averaged down
    steps, batch = _budget(len(data.train), values, passes)
    feed = Feed(data.train, batch, seed, device)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in range(steps):
        x, y, *_ = feed.next()
        if y is None:
            raise UserError(f"{data.spec.source} names classes but gives no labels")
        with torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bf16(device)):
            loss = cross_entropy(network(vary(x, generator)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress:
            progress((step + 1) / steps)
    judge = Judge(network, 0.0, device)
    judge.accuracy = _accuracy(judge, data.test)
    logger.info("judge of %s: %.2f %% of the test examples right", data.spec.source, 100 * judge.accuracy)
    return judge


def in_batches(function: Callable[[Tensor], Tensor], x: Tensor, device: torch.device) -> Tensor:
    """`function` of x (N, ...) in batches on the device, without gradients; (N, d) float64 on the CPU."""
    size = max(INFERENCE_VALUES // prod(x.shape[1:]), 1)
    with torch.no_grad():
        return torch.cat([function(part.to(device)).cpu().double() for part in x.split(size)])


def weights_hash(network: nn.Module) -> str:
    """Twelve hexadecimal digits that follow from the weights."""
    content = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:12]


def _convolutions(shape: tuple[int, ...]) -> list[nn.Module]:
    channels, side = shape[0], min(max(shape[1:]), LARGEST_SIDE)
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(side)] if (side, side) != shape[1:] else []
    width = WIDTH
    for kernel in (5, 3):
        stride = 2 if side >= COARSEST_SIDE else 1
        layers += _convolution(channels, width, kernel, stride)
        channels, width, side = width, 2 * width, ceil(side / stride)
    while side > COARSEST_SIDE:
        layers += _convolution(channels, channels, 3, 2)
        side = ceil(side / 2)
    layers += _convolution(channels, width, 3, 1)
    return [*layers, *_dense(width * side**2)]


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _dense(inputs: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(inputs, FEATURES, bias=False), nn.BatchNorm1d(FEATURES), nn.ReLU()]


def _of_sound(spec: Spec) -> bool:
    """Whether its pictures are spectrograms: those alone have a sample rate."""
    return spec.modality == "image" and spec.sample_rate is not None


def _budget(examples: int, values: int, passes: int) -> tuple[int, int]:
    """Steps, and examples in a step, for so many passes over so many training examples of so many values each."""
    seen = min(passes * examples, MOST_EXAMPLES, MOST_VALUES / values)
    batch = 256 if seen >= MOST_EXAMPLES / 2 else 64
    return max(int(seen / batch), 50), min(batch, max(examples, 2))


def _shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (N, C, H, W) moved by up to 1/14 of their side each way, edges repeated; points as they are."""
    if x.ndim != 4:
        return x
    n, _, height, width = x.shape
    most = height // SHIFT
    shift = torch.randint(-most, most + 1, (2, n, 1), generator=generator).to(x.device)
    rows = (torch.arange(height, device=x.device) + shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=x.device) + shift[1]).clamp(0, width - 1)
    each = torch.arange(n, device=x.device)
    return x.permute(0, 2, 3, 1)[each[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _accuracy(judge: Judge, dataset: Dataset) -> float:
    right = 0
    for indices in torch.arange(len(dataset)).split(5_000):
        x, y, *_ = dataset.batch(indices)
        right += int(torch.as_tensor(judge.probabilities(judge.features(x)).argmax(1) == y).sum())
    return right / len(dataset)


def describe_judge(spec: Spec, seed: int) -> dict[str, object]:
    """All that a judge's weights follow from, as JSON: what a kept judge is found by."""
    return {
        "fingerprint": spec.fingerprint,
        "shape": list(spec.shape),
        "classes": list(spec.classes),
        "seed": seed,
        "settings": [
            FEATURES,
            WIDTH,
            LARGEST_SIDE,
            COARSEST_SIDE,
            PASSES,
            MOST_EXAMPLES,
            MOST_VALUES,
            LEARNING_RATE,
            WEIGHT_DECAY,
            SHIFT,
        ],
        **({"sound": [SOUND_PASSES, *SOUND_SETTINGS]} if _of_sound(spec) else {}),
    }
