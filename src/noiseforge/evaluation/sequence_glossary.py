"""What each metric of series is called and says, in the order of `glossary.Entry`."""

from __future__ import annotations

SERIES_GLOSSARY: dict[str, tuple[str, str, float | None, float | None]] = {
    "discriminative_score": (
        "Discriminative score",
        "How far a small recurrent judge gets beyond guessing: at 0 samples pass for real, at 0.5 it is always right.",
        0.5,
        None,
    ),
    "discriminative_score_pca": (
        "Discriminative score of a Gaussian",
        "A Gaussian along principal components, without any network: a model should lie well below.",
        0.5,
        None,
    ),
    "discriminative_score_held_out": (
        "Discriminative score, held-out series",
        "The same judge against real series that the model was not trained on: copies gain nothing here.",
        0.5,
        None,
    ),
    "strong_judge_32": (
        "Strong judge, 2 x 32",
        "The same question to a judge of two layers of 32 units, which sees what the small one misses.",
        0.5,
        None,
    ),
    "strong_judge_32_pca": (
        "Strong judge, 2 x 32, of a Gaussian",
        "What the baseline without a network scores.",
        0.5,
        None,
    ),
    "strong_judge_64": ("Strong judge, 2 x 64", "The same question to a judge of two layers of 64 units.", 0.5, None),
    "strong_judge_64_pca": (
        "Strong judge, 2 x 64, of a Gaussian",
        "What the baseline without a network scores.",
        0.5,
        None,
    ),
    "official_judge_32": (
        "Discriminative score, judge of 2 x 32",
        "The official score with a larger judge: the same training, and the same split.",
        0.5,
        None,
    ),
    "official_judge_64": (
        "Discriminative score, judge of 2 x 64",
        "The official score with a larger judge: the same training, and the same split.",
        0.5,
        None,
    ),
    "predictive_score": (
        "Predictive score",
        "Error on real series of a network that has learned from samples to predict the last feature a step ahead.",
        None,
        0.5,
    ),
    "predictive_score_pca": (
        "Predictive score of a Gaussian",
        "What the baseline without a network scores.",
        None,
        0.5,
    ),
    "predictive_ratio": (
        "Prediction, every feature",
        "The error of networks that learned from samples, over that of networks that learned from real series.",
        None,
        0.5,
    ),
    "close_share": (
        "Closest samples",
        "The share of samples as near to a training series as only one of a hundred unseen real series is.",
        1.0,
        None,
    ),
    "warped_coverage": (
        "Coverage, time warped",
        "The share of real series with a sample nearby: low when kinds of series are missing.",
        0.0,
        None,
    ),
    "warped_precision": (
        "Precision, time warped",
        "The share of samples with a real series nearby: low when samples are unlike the data.",
        0.0,
        None,
    ),
    "recognised": (
        "Trained on samples, tested on real",
        "The share of real series that a classifier recognises which has learned from samples alone.",
        0.0,
        None,
    ),
    "marginal_difference": (
        "Distribution of values",
        "How far the values of each feature must be moved to be distributed like real ones, in standard deviations.",
        None,
        2,
    ),
    "skewness_difference": ("Skewness", "How differently lopsided the distributions of values are.", None, 2),
    "kurtosis_difference": ("Kurtosis", "How differently heavy the tails of the distributions of values are.", None, 2),
    "autocorrelation_difference": (
        "Autocorrelation",
        "How differently values go with those some steps later.",
        None,
        2,
    ),
    "correlation_difference": (
        "Correlations between features",
        "How differently features go with one another: the sum over pairs, over 10.",
        None,
        2,
    ),
    "spectral_distance": (
        "Spectrum (dB)",
        "How far the power at each frequency lies from that of real series.",
        None,
        1,
    ),
    "kernel_distance": (
        "Kernel distance of series",
        "Whether whole series are distributed alike; real series score 0 on average.",
        None,
        None,
    ),
    "frechet_kernels": (
        "Fréchet distance, random kernels",
        "How far samples lie from real series in what fixed random convolutions see; comparable at equal N only.",
        None,
        2,
    ),
    "length_difference": (
        "Lengths",
        "The largest difference of the shares of series that are shorter than any length.",
        1.0,
        None,
    ),
    "missing_difference": ("Missing values", "How differently often values are missing.", 1.0, None),
}
