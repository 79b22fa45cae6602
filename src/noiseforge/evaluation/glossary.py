"""What each metric is called, and what it says, in one plain sentence."""

from __future__ import annotations

import math
from typing import NamedTuple

from noiseforge.evaluation.figures import Better, Figure
from noiseforge.evaluation.sequence_glossary import SERIES_GLOSSARY


class Entry(NamedTuple):
    """A metric's name for people, its meaning, and the worst value to expect where that is known."""

    title: str
    meaning: str
    worst: float | None = None
    decades: float | None = None
    """Where there is no worst value: powers of ten above the floor at which a value counts as worst."""


GLOSSARY: dict[str, Entry] = {
    "fid": Entry(
        "Fréchet distance (FID)",
        "How far samples lie from real data as a whole; comparable only at the same N and extractor.",
        decades=2,
    ),
    "fid_infinity": Entry(
        "FID at infinite N",
        "The Fréchet distance with its dependence on the number of samples taken out.",
    ),
    "kid": Entry(
        "Kernel distance (KID)",
        "Like the Fréchet distance, but fair with few samples: real data score 0 on average.",
    ),
    "precision": Entry("Precision", "The share of samples that look real: that lie among the real examples.", 0.0),
    "recall": Entry("Recall", "The share of real examples that the model could have made.", 0.0),
    "density": Entry("Density", "How deep among real examples the samples lie; 1 is as deep as real data.", 0.0),
    "coverage": Entry(
        "Coverage",
        "The share of real examples with a sample nearby: low when kinds of example are missing.",
        0.0,
    ),
    "pairwise_ratio": Entry(
        "Variety",
        "Mean distance between two samples, over that of two real examples; far below 1: samples look alike.",
    ),
    "inception_score": Entry(
        "Inception score",
        "High when samples are clearly of one class each, and of all classes together.",
        1.0,
    ),
    "label_agreement": Entry(
        "Label agreement",
        "The share of samples that the judge recognises as the class that was asked for.",
        0.0,
    ),
    "class_min_share": Entry(
        "Rarest class",
        "The share of samples in the class that is made least often; 0 means a class is missing.",
        0.0,
    ),
    "modes": Entry("Modes", "How many of the data's separate kinds of example were made at least once.", 0.0),
    "high_quality": Entry(
        "High quality", "The share of points within three standard deviations of a mode's centre.", 0.0
    ),
    "reverse_kl": Entry(
        "Reverse KL (nats)", "How unevenly the modes are made; a perfect sampler scores the floor.", decades=2
    ),
    "nearest_ratio": Entry(
        "Nearest-neighbour ratio",
        "Distance to the nearest training example, over that of unseen real data. Far below 1: memorising; far "
        "above: unlike the data.",
    ),
    "copies": Entry("Exact copies", "The share of samples that repeat a training example to the last value.", 1.0),
    "nll": Entry(
        "Negative log-likelihood (nats)",
        "How surprised the model is by an unseen example; comparable only between likelihoods of the same kind.",
    ),
    "elbo": Entry(
        "Evidence lower bound (nats)",
        "What training raises: the reconstruction less the KL of the code. Minus it is never better than the NLL.",
    ),
    "reconstruction": Entry(
        "Reconstruction (nats)", "How likely an unseen example is, given a code that was drawn for it."
    ),
    "kl": Entry(
        "KL of the code (nats)",
        "What a code tells of its example: the price of a good reconstruction. Near 0 the code is ignored.",
    ),
    "active_units": Entry(
        "Active units", "How many dimensions of the code change with the example; the others are ignored.", 0.0
    ),
    "bits_per_dimension": Entry(
        "Bits per dimension",
        "The negative log-likelihood in bits for each value of an example; knowing nothing of 8-bit data costs 8.",
    ),
    "reconstruction_error": Entry(
        "Reconstruction error",
        "Mean squared difference of test examples and their reconstructions, in model units.",
    ),
    "linear_probe": Entry(
        "Linear probe",
        "The share of unseen examples whose class a linear classifier reads off their codes rightly.",
        0.0,
    ),
    "knn_probe": Entry(
        "Nearest-codes probe",
        "The share of unseen examples whose class is that of most of the training codes nearest to theirs.",
        0.0,
    ),
    "bits_per_sample": Entry(
        "Bits per sample", "What each held-out value costs when the model predicts it; the rows below must cost more."
    ),
    "bits_uniform": Entry("Bits, knowing nothing", "Every value as likely as every other."),
    "bits_histogram": Entry("Bits, by the histogram", "Each value as likely as in the training clips."),
    "bits_markov": Entry("Bits, by the value before", "A table of which value follows which."),
    "bits_linear_prediction": Entry("Bits, by linear prediction", "A weighted sum of the 32 values before."),
    "bf16_agreement": Entry(
        "The same value in bf16",
        "How often the likeliest next value stays the same when the kernel rounds to bf16.",
        0.0,
    ),
    "bf16_bits_change": Entry("Bits more in bf16", "What rounding to bf16 costs held-out clips, in bits per sample."),
    "speaker_agreement": Entry(
        "Speaker agreement",
        "The share of samples that the judge recognises as the speaker who was asked for.",
        0.0,
    ),
    "cell_coverage": Entry(
        "Pairs of label and speaker",
        "The share of the training clips' pairs of label and speaker that were made at least once.",
        0.0,
    ),
    "cell_distance": Entry(
        "Balance of the pairs",
        "How far the shares of the pairs of label and speaker are from those of the training clips; at most 1.",
        1.0,
    ),
    "close_copies": Entry(
        "Close copies",
        "The share of samples much nearer to a training clip than unseen real clips are.",
        1.0,
    ),
    "spectrum_distance": Entry(
        "Average spectrum (dB)",
        "How far the long-term average spectrum of the samples lies from that of real sound, levels set aside.",
        decades=1,
    ),
    "level_distance": Entry(
        "Level (dB)", "How far the levels of the samples lie from those of real clips, on average.", decades=1
    ),
    "crossings_distance": Entry(
        "Zero crossings (per second)",
        "How far the samples' rates of changes of sign lie from those of real clips: high for hiss and crackle.",
        decades=1,
    ),
    "duration_distance": Entry(
        "Duration (s)", "How far the durations of the samples lie from those of real clips, on average.", decades=1
    ),
    "accuracy": Entry("Accuracy", "The share of held-out examples whose class is named rightly.", 0.0),
    "least_recall": Entry("Lowest recall", "The share named rightly of the class that is hardest to name.", 0.0),
    "cross_entropy": Entry("Cross-entropy (nats)", "How surprised the classifier is by the true classes."),
    "calibration_error": Entry(
        "Calibration error", "How far the classifier's confidence lies from the share that it names rightly."
    ),
}
GLOSSARY |= {metric: Entry(*told) for metric, told in SERIES_GLOSSARY.items()}
ARROWS: dict[Better, tuple[str, str]] = {
    "higher": ("↑", "higher is better"),
    "lower": ("↓", "lower is better"),
    "floor": ("≈", "near the floor is better"),
}
"""The sign of each direction, and what it says."""
HEADLINES = ("fid", "coverage", "precision", "modes", "high_quality", "reverse_kl", "kid", "recall")
"""The figures worth the top of a page, the first ones that were measured."""
HEADLINES_OF: dict[str, tuple[str, ...]] = {
    "audio": ("bits_per_sample", "label_agreement", "speaker_agreement", *HEADLINES),
    "sequence": (
        *("accuracy", "least_recall", "cross_entropy", "calibration_error"),
        *("discriminative_score", "strong_judge_64", "predictive_score", "nearest_ratio", *HEADLINES),
    ),
}
"""The same, of a modality that has its own."""


def entry(figure: Figure) -> Entry:
    """The entry of a figure's metric; a metric that has none is named by itself."""
    return GLOSSARY.get(figure.metric, Entry(figure.metric, ""))


def standing(figure: Figure) -> float | None:
    """How far a figure has come from the worst value (0) to what real data score (1), or None where unknown.

    Where the worst value has a limit the way is linear, else logarithmic: FID at ten times its floor has come
    half way. Estimates that are fair at any N have no floor above 0 to measure from. Where the floor itself is
    best, twice as much is as far from it as half as much.

    >>> protocol = dict(n_real=9, n_fake=9, extractor="pixels", seed=0)
    >>> standing(Figure(metric="fid", value=5.0, floor=0.5, better="lower", **protocol))
    0.5
    >>> standing(Figure(metric="coverage", value=0.45, floor=0.9, better="higher", **protocol))
    0.5
    >>> [standing(Figure(metric="pairwise_ratio", value=x, floor=1.0, better="floor", **protocol)) for x in (0.5, 2.0)]
    [0.5, 0.5]
    """
    _, _, worst, decades = entry(figure)
    floor = figure.floor
    if floor is None:
        return None
    if figure.better == "floor" and floor > 0:
        share = min(figure.value, floor) / max(figure.value, floor)
    elif worst is not None and worst != floor:
        share = (figure.value - worst) / (floor - worst)
    elif decades is not None and floor > 0:
        share = 1 - math.log10(max(figure.value, floor) / floor) / decades
    else:
        return None
    return min(max(share, 0.0), 1.0)
