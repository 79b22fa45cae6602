"""What may stand in a recipe. No torch here: a wrong key is told before anything heavy is imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from noiseforge.recipes.adversarial_settings import AdversarialSettings
from noiseforge.recipes.classifier_settings import ClassifierSettings
from noiseforge.recipes.player_settings import NetworkSettings, OptimiserSettings, PlayerSettings
from noiseforge.recipes.recurrent_settings import LatentRecurrentGANSettings, RecurrentGANSettings, RecurrentVAESettings
from noiseforge.recipes.schedule import Schedule, Settings


class DataSettings(Settings):
    """Where the data comes from, and how it is cut."""

    source: str
    size: int | None = Field(None, ge=8, le=256)
    """Side of the square pictures in pixels; None keeps the source's own."""
    channels: Literal[1, 3] | None = None
    test_fraction: float = Field(0.1, gt=0, lt=1)
    """Held out, stratified by label, where the source has no test set of its own."""
    labels_per_class: int | None = Field(None, ge=1)
    seed: int = 0
    sample_rate: int | None = Field(None, ge=1000, le=384_000)
    """Sound: Hz to resample to; None keeps the recordings' own rate."""
    labels_from: str | None = None
    """Sound: a pattern of file names such as `{label}_{speaker}_{index}`, or `folders`; None finds out."""
    split: str | None = None
    """Sound: index:A-B, speaker:NAME or stratified; sequences: time, blocks:N, series, stratified or all; None keeps
    the source's own."""
    level: Annotated[float, Field(ge=-60, le=0)] | Literal["keep"] | None = None
    """Sound: speech level in dBFS to bring clips to; None is -23, keep leaves them as they were recorded."""
    longest: float | None = Field(None, ge=0.02, allow_inf_nan=False)
    """Sound: seconds above which a recording is cut into clips; None is 20."""
    window: int | None = Field(None, ge=2)
    """Sequences: steps of the windows that every series is cut into; None leaves them whole."""
    stride: int | None = Field(None, ge=1)
    """Sequences: steps from one window to the next; None is 1."""
    layout: Literal["ntc", "nct", "wide"] | None = None
    """Arrays of series: (N, steps, features) or (N, features, steps); wide: a row is a series."""
    scaling: Literal["minmax", "standard", "robust"] | None = None
    """Sequences: how every column is scaled, by its training part; None is minmax."""
    id_column: str | None = None
    """Tables: whose row it is; None takes id, series, series_id or sequence where there is one."""
    time_column: str | None = None
    """Tables: when it was; None takes time, timestamp, date or datetime where there is one."""
    label_column: str | None = None
    """Tables: the class of a series; None takes label, class, target or y where it is constant in each series."""
    scan: Literal["rows", "pixels", "permuted"] | None = None
    """Pictures that are read as sequences: row by row, pixel by pixel, or by pixels in one fixed shuffled order."""


class GANSettings(AdversarialSettings):
    """A generator and a discriminator, and no more."""

    kind: Literal["gan"] = "gan"


class LikelihoodSettings(Settings):
    """p(x|z): what a decoder's numbers mean, and what the reconstruction term measures."""

    kind: Literal["bernoulli", "gaussian", "logistic"]
    """bernoulli: pixels on or off; gaussian: a density; logistic: discretised, for grey levels and colour."""
    binarise: Literal["dynamic", "threshold", "none"] = "none"
    """bernoulli: dynamic draws every pixel anew at every look, on with its grey level as the probability; threshold
    is on above the middle; none takes data that is binary already."""
    scale: Literal["fixed", "shared", "learned"] = "shared"
    """gaussian, logistic: one scale that stays at sigma, one that is learned, or one for each value by the decoder."""
    sigma: float = Field(0.5, gt=0, allow_inf_nan=False)
    """The scale, or where it starts, in model units: data spans [-1, 1]."""
    levels: int = Field(256, ge=2)
    """logistic: values between -1 and 1, both included, that the data can take."""

    @model_validator(mode="after")
    def refuse_senseless(self) -> LikelihoodSettings:
        """Settings that the kind does not use."""
        others = {
            "bernoulli": ("scale", "sigma", "levels"),
            "gaussian": ("binarise", "levels"),
            "logistic": ("binarise",),
        }
        for name in others[self.kind]:
            if getattr(self, name) != LikelihoodSettings.model_fields[name].default:
                raise ValueError(f"likelihood.{name} means nothing to likelihood.kind={self.kind}: leave it out")
        return self


class CodingSettings(Settings):
    """What the models with an encoder and a decoder share."""

    network: Literal["mlp", "dcgan", "residual"]
    latent: int = Field(50, ge=1)
    conditional: bool = False
    encoder: NetworkSettings = NetworkSettings()
    decoder: NetworkSettings = NetworkSettings()
    likelihood: LikelihoodSettings

    @model_validator(mode="after")
    def refuse_critics_settings(self) -> CodingSettings:
        """What belongs to a discriminator alone, or makes the code of one example depend on the others."""
        for name, chosen in (("encoder", self.encoder), ("decoder", self.decoder)):
            if chosen.norm == "spectral" or chosen.minibatch_std or chosen.activation == "maxout" or chosen.fourier:
                raise ValueError(f"{name}: norm=spectral, minibatch_std, maxout and fourier belong to a discriminator")
            if self.network == "residual" and chosen.norm != "none":
                raise ValueError(f"{name}: network=residual is free of normalisation: norm is none")
        return self


class VAESettings(CodingSettings):
    """The variational family: an encoder, a decoder, a likelihood, and a bound on the evidence."""

    kind: Literal["vae"] = "vae"
    optimiser: OptimiserSettings = OptimiserSettings(lr=1e-3, beta1=0.9)
    importance_samples: int = Field(1, ge=1)
    """k of the importance-weighted bound (Burda et al. 2016); 1 is the evidence lower bound."""
    gradient: Literal["standard", "sticking", "doubly"] = "standard"
    """With what gradient: sticking the landing (Roeder et al. 2017), doubly reparameterised (Tucker et al. 2018)."""
    beta: Schedule = 1.0
    """Weight of the KL term; a ramp from 0 warms it up."""
    free_bits: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Nats of KL that each dimension of the latent has for free (Kingma et al. 2016)."""

    @model_validator(mode="after")
    def refuse_senseless(self) -> VAESettings:
        """Combinations that cannot work, each with the reason."""
        weighted = self.importance_samples > 1 or self.gradient != "standard"
        if weighted and (self.beta != 1.0 or self.free_bits):
            raise ValueError(
                "beta and free_bits weigh a KL term, which importance_samples > 1 and gradient do not have"
            )
        if self.gradient == "doubly" and self.importance_samples == 1:
            raise ValueError("gradient=doubly with importance_samples=1 is gradient=sticking: say that")
        return self


class AAESettings(CodingSettings):
    """The adversarial autoencoder (Makhzani et al. 2015): a discriminator makes the codes look like the prior."""

    kind: Literal["aae"] = "aae"
    optimiser: OptimiserSettings = OptimiserSettings(lr=1e-3, beta1=0.5)
    """Of the encoder and decoder, which reconstruct."""
    regulariser: OptimiserSettings = OptimiserSettings()
    """Of the encoder, which deceives the discriminator."""
    discriminator: PlayerSettings = PlayerSettings(hidden=(256, 256))
    """Of codes: an mlp."""


class VAEGANSettings(AdversarialSettings):
    """A GAN whose generator decodes, and an encoder; the discriminator's features judge it (Larsen et al. 2016)."""

    kind: Literal["vaegan"] = "vaegan"
    encoder: PlayerSettings = PlayerSettings(lr=1e-3)
    beta: Schedule = 1.0
    """Weight of the KL term of the encoder."""
    reconstruction: float = Field(1.0, gt=0, allow_inf_nan=False)
    """Weight of the distance of a reconstruction in the discriminator's features, in the decoder's loss."""

    @model_validator(mode="after")
    def refuse_other_priors(self) -> VAEGANSettings:
        """The KL term has its closed form for a normal prior."""
        if self.latent_distribution != "normal" or self.latent_categories:
            raise ValueError("kind=vaegan: the prior is normal, leave latent_distribution and latent_categories out")
        if self.augment:
            raise ValueError("kind=vaegan with augment: a picture and its reconstruction would be augmented apart")
        return self


class WaveNetSettings(Settings):
    """WaveNet (van den Oord et al. 2016): the distribution of each value of a sound given those before it."""

    kind: Literal["wavenet"] = "wavenet"
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    """Of one stack of layers, in samples."""
    stacks: int = Field(2, ge=1)
    kernel: int = Field(2, ge=2)
    residual: int = Field(32, ge=1)
    gate: int = Field(64, ge=2)
    """Channels of the gated units, half of them filters and half gates."""
    skip: int = Field(128, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    weight_norm: bool = False
    output: Literal["mu_law", "logistics"] = "mu_law"
    """mu_law: codes and a softmax; logistics: real numbers and a mixture of discretised logistics."""
    levels: int = Field(256, ge=4, le=65536)
    """Values that are told apart: the codes of mu_law, the grid of logistics (65536 for 16 bits)."""
    components: int = Field(10, ge=1)
    """logistics: how many are mixed."""
    condition_on: tuple[Literal["label", "speaker", "progress", "mel"], ...] = ()
    """What is known beside the past; progress is the place in the clip and its duration, mel its own spectrogram."""
    conditions: int = Field(32, ge=1)
    """Channels in which it is told."""
    hop: int = Field(80, ge=1)
    """Samples of a frame of what changes along a clip."""
    mels: int = Field(40, ge=1)
    """mel: bands of each frame."""
    crop: int = Field(8000, ge=2)
    """Samples of a clip that one round trains on, the context of its first target included."""
    optimiser: OptimiserSettings = OptimiserSettings(lr=1e-3, beta1=0.9)

    @property
    def receptive_field(self) -> int:
        """Values that one distribution follows from."""
        return (self.kernel - 1) * sum(self.dilations) * self.stacks + 1

    @model_validator(mode="after")
    def refuse_senseless(self) -> WaveNetSettings:
        """Sizes that do not fit each other."""
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations: expected whole numbers of at least 1, got {list(self.dilations)}")
        if self.gate % 2:
            raise ValueError(f"gate={self.gate}: half are filters and half are gates, so it must be even")
        if self.crop < self.receptive_field + self.hop:
            raise ValueError(
                f"crop={self.crop} holds no target with its whole context: the receptive field is "
                f"{self.receptive_field} samples; take a crop of twice as many, or fewer dilations"
            )
        if len(set(self.condition_on)) < len(self.condition_on):
            raise ValueError(f"condition_on names something twice: {', '.join(self.condition_on)}")
        if self.output == "mu_law" and self.components != WaveNetSettings.model_fields["components"].default:
            raise ValueError("components belong to output=logistics: leave them out")
        if "mel" not in self.condition_on and self.mels != WaveNetSettings.model_fields["mels"].default:
            raise ValueError("mels belong to condition_on=[mel]: leave them out")
        return self


ModelSettings = Annotated[
    GANSettings
    | VAESettings
    | AAESettings
    | VAEGANSettings
    | WaveNetSettings
    | LatentRecurrentGANSettings
    | RecurrentGANSettings
    | RecurrentVAESettings
    | ClassifierSettings,
    Field(discriminator="kind"),
]
"""One class of settings for each kind of model."""


class TrainSettings(Settings):
    """How long and how the players play. Everything is counted in real images seen, not in steps."""

    images: int = Field(ge=1)
    batch: int = Field(64, ge=2)
    """Real images of one round over all processes together."""
    average_halflife: float = Field(10_000, ge=0)
    """Half-life in images of the moving average of weights that sampling uses; 0 keeps no average."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the processor computes in it, else fp32. Penalties are always fp32."""
    sample_every: int = Field(0, ge=0)
    """Images between grids from fixed noise and between checks of health; 0: twenty in a run."""
    save_every: int = Field(0, ge=0)
    """Images between checkpoints; 0: ten in a run."""


class EvaluateSettings(Settings):
    """What `evaluate` measures by default."""

    samples: int = Field(10_000, ge=2)
    metrics: tuple[str, ...] | None = None
    """Names of some; None takes all that fit."""
    features: str | None = None
    """judge, random, pixels or inception; None: the judge where there are labels, else random."""
    likelihood_samples: int = Field(500, ge=1)
    """Importance samples for each test example, where the model has a likelihood; papers report 5,000."""


class Recipe(Settings):
    """One training, whole: its data, model, schedule, evaluation and seed."""

    data: DataSettings
    model: ModelSettings
    train: TrainSettings
    evaluate: EvaluateSettings = EvaluateSettings()
    seed: int = 0

    @model_validator(mode="after")
    def refuse_packs_that_do_not_fill(self) -> Recipe:
        """A batch must be whole packs."""
        packing = getattr(self.model, "packing", 1)
        if self.train.batch % packing:
            raise ValueError(f"train.batch={self.train.batch} must be a multiple of model.packing={packing}")
        return self
