"""A run: the folder of one training, and how a model comes back from it."""

from __future__ import annotations

import datetime
import errno
import json
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from noiseforge.data.spec import Spec
from noiseforge.errors import UserError
from noiseforge.files import replacing, write_text
from noiseforge.models import build_model
from noiseforge.recipes.schema import Recipe
from noiseforge.training.record import read_records

if TYPE_CHECKING:
    from noiseforge.models.model import Model

POSTERIOR = "posterior.npz"
"""What was fitted to the codes of a model: of no use to other weights."""
FORMAT = 1
"""Of state.pt: raised when an older state can no longer be resumed."""


@dataclass(frozen=True)
class Run:
    """The folder of one training.

    recipe.yaml (resolved, with the Spec), environment.json, model.safetensors (the averaged weights that sampling
    uses), state.pt (all that resuming needs), metrics.jsonl, events/, samples/, report/.
    """

    path: Path
    recipe: Recipe
    spec: Spec

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """The run in an existing folder.

        Raises:
            UserError: there is no such folder, or its recipe.yaml is missing or not one.
        """
        path = Path(path)
        file = path / "recipe.yaml"
        if not file.is_file():
            raise UserError(f"{path} is not a run: expected a folder with recipe.yaml, as `noiseforge train` makes")
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            spec = Spec.model_validate(content.pop("spec"))
            return cls(path, Recipe.model_validate(content), spec)
        except (yaml.YAMLError, ValidationError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{file} is damaged ({reason}): train again, or restore the file") from None

    def write(self, *, fresh: bool) -> None:
        """Makes the folder, recipe.yaml and environment.json.

        Raises:
            UserError: `fresh`, and the folder holds something already.
        """
        if fresh and self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} exists and is not empty: go on with --resume, or choose another --out")
        content = {**self.recipe.model_dump(mode="json"), "spec": self.spec.model_dump(mode="json")}
        (self.path / "samples").mkdir(parents=True, exist_ok=True)
        write_text(self.path / "recipe.yaml", yaml.safe_dump(content, sort_keys=False))
        write_text(self.path / "environment.json", _environment())

    @property
    def resumable(self) -> bool:
        """Whether a checkpoint was completed here."""
        return (self.path / "state.pt").is_file()

    def records(self) -> list[dict[str, object]]:
        """The lines of metrics.jsonl."""
        return read_records(self.path / "metrics.jsonl")

    def load_model(self, device: str = "cpu") -> Model:
        """The trained model with the averaged weights, ready to sample.

        Raises:
            UserError: the weights are missing, damaged, or of another model.
        """
        from noiseforge.training.processes import choose_device

        file = self.path / "model.safetensors"
        if not file.is_file():
            raise UserError(f"{self.path} has no model.safetensors yet: go on with `--resume`")
        model = build_model(self.recipe.model, self.spec, torch.Generator().manual_seed(self.recipe.seed))
        try:
            model.load_state_dict(load_file(file))
        except (SafetensorError, RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{file} does not hold this run's weights ({reason}): restore it or train again") from None
        return model.to(choose_device(device)).eval()

    def save_model(self, weights: dict[str, torch.Tensor]) -> None:
        """Writes model.safetensors, whole or not at all."""
        with replacing(self.path / "model.safetensors") as temporary:
            try:
                save_file({name: tensor.contiguous().cpu() for name, tensor in weights.items()}, temporary)
            except SafetensorError as error:
                raise OSError(errno.ENOSPC, f"no room for the weights ({str(error).splitlines()[0]})") from error
        (self.path / POSTERIOR).unlink(missing_ok=True)

    def save_state(self, state: dict[str, object]) -> None:
        """Writes state.pt, whole or not at all."""
        with replacing(self.path / "state.pt") as temporary:
            try:
                torch.save({"format": FORMAT, **state}, temporary)
            except RuntimeError as error:  # torch's own writer says so when the disk is full
                raise OSError(errno.ENOSPC, f"no room for a checkpoint ({str(error).splitlines()[0]})") from error

    def load_state(self) -> dict[str, object]:
        """What `save_state` wrote.

        Raises:
            UserError: there is none, it is damaged, or it holds anything but plain data.
        """
        file = self.path / "state.pt"
        if not file.is_file():
            raise UserError(f"{self.path} has no checkpoint to go on from: train without --resume")
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged or hostile file provokes
            reason = str(error).split(". ")[0].splitlines()[0]
            raise UserError(f"{file} is damaged or not a checkpoint ({reason}): nothing of it was run") from None
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise UserError(f"{file} is not a checkpoint of this version of noiseforge: train again")
        return state


def _environment() -> str:
    packages = ("noiseforge", "torch", "numpy", "accelerate", "safetensors")
    return json.dumps(
        {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "command": " ".join(sys.argv),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "processors": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "packages": {name: version(name) for name in packages},
        },
        indent=2,
    )
