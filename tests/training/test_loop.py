"""Resume equals no interruption, processes equal one process, a NaN is named, and nothing complete is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from noiseforge.data.source import load_data
from noiseforge.data.spec import Data
from noiseforge.errors import Diverged, UserError
from noiseforge.models.gan import GAN
from noiseforge.models.player import Player
from noiseforge.recipes.schema import DataSettings, GANSettings, Recipe, TrainSettings
from noiseforge.training.loop import Interrupted, train
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes
from noiseforge.training.progress import Progress
from noiseforge.training.run import Run


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data("digits")


def recipe(images: int = 640, **model: object) -> Recipe:
    settings = {
        "network": "dcgan",
        "loss": "hinge",
        "latent": 8,
        "augment": "translate:0.125",
        "generator": {"width": 8, "norm": "batch"},
        "discriminator": {"width": 8, "norm": "spectral", "turns": 2},
    }
    return Recipe(
        data=DataSettings(source="digits"),
        model=GANSettings.model_validate({**settings, **model}),
        train=TrainSettings(images=images, batch=32, save_every=64),
    )


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.load_model().state_dict()


def test_a_run_holds_its_files_and_gives_the_same_samples_again(digits: Data, tmp_path: Path) -> None:
    run = train(recipe(128), digits, tmp_path / "run")
    names = {p.name for p in run.path.iterdir()}
    assert {"recipe.yaml", "environment.json", "model.safetensors", "state.pt", "metrics.jsonl"} <= names
    assert list((run.path / "samples").glob("*.png"))
    again = Run.open(run.path)
    assert again == run
    assert torch.equal(run.load_model().sample(4), again.load_model().sample(4))


def test_a_player_has_turns_only_in_its_span(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def spanned(model: GAN) -> list[Player]:
        critic, generator = players(model)
        return [replace(critic, ends=64), replace(generator, begins=32)]

    players = GAN.players
    monkeypatch.setattr(GAN, "players", spanned)
    training = Training(recipe(), digits, Processes.join("cpu"))
    rounds = [training.round() for _ in range(4)]
    assert [sorted({name.split("/")[0] for name in terms}) for terms in rounds] == [
        ["discriminator"],
        ["discriminator", "generator"],
        ["generator"],
        ["generator"],
    ]
    assert [seat.turns for seat in training.seats] == [4, 3]


def test_an_average_begins_with_its_player(digits: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(model: GAN) -> list[Player]:
        return [replace(player, begins=0 if player.name == "discriminator" else 64) for player in players(model)]

    players = GAN.players
    monkeypatch.setattr(GAN, "players", late)
    training = Training(recipe(), digits, Processes.join("cpu"))
    before = [p.clone() for p in training.model.generator.parameters()]
    for _ in range(3):
        training.round()
    moved = [name for name, p in training.model.generator.named_parameters() if not torch.equal(p, before.pop(0))]
    assert moved
    live = dict(training.model.generator.named_parameters())
    # Of a half-life of 3.2 images and 32 more, 0.1 % of the beginning is left.
    for name in moved:
        torch.testing.assert_close(training.averages["generator"].shadow[name], live[name].detach(), rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(digits: Data, tmp_path: Path) -> None:
    first, second = (weights(train(recipe(128), digits, tmp_path / name)) for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("stop_at", [96, 352])
def test_resume_equals_no_interruption_bit_for_bit(digits: Data, tmp_path: Path, stop_at: int) -> None:
    whole = train(recipe(), digits, tmp_path / "whole")

    def interrupt(progress: Progress) -> None:
        if progress.images == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="--resume"):
        train(recipe(), digits, tmp_path / "parts", progress=interrupt)
    parts = train(recipe(), digits, tmp_path / "parts", resume=True)
    one, other = weights(whole), weights(parts)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    seen = [(r["event"], r["images"]) for r in parts.records() if r["event"] == "train"]
    assert seen == sorted(set(seen)), "a record is neither lost nor written twice"


def test_a_longer_schedule_goes_on_from_a_finished_run(digits: Data, tmp_path: Path) -> None:
    train(recipe(128), digits, tmp_path / "run")
    longer = train(recipe(256), digits, tmp_path / "run", resume=True)
    assert Run.open(longer.path).recipe.train.images == 256
    assert longer.records()[-1]["images"] == 256


def test_resume_refuses_other_data_and_other_networks(digits: Data, tmp_path: Path) -> None:
    train(recipe(64), digits, tmp_path / "run")
    with pytest.raises(UserError, match="other data"):
        train(recipe(128), load_data("digits", seed=1, test_fraction=0.3), tmp_path / "run", resume=True)
    with pytest.raises(UserError, match=r"state\.pt does not fit this recipe"):
        train(recipe(128, latent=9), digits, tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="not empty"):
        train(recipe(128), digits, tmp_path / "run")


def test_a_nan_is_named_and_the_last_good_checkpoint_stays(digits: Data, tmp_path: Path) -> None:
    hot = {"width": 8, "norm": "none", "lr": {"start": 0, "end": 1e30, "images": 256}}
    with pytest.raises(Diverged, match=r"(discriminator|generator)/adversarial became (nan|-?inf) after \d+ images"):
        train(recipe(1280, loss="wasserstein", r1=1.0, discriminator=hot), digits, tmp_path / "run")
    state = Run.open(tmp_path / "run").load_state()
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    last = Run.open(tmp_path / "run").records()[-1]
    assert last["event"] == "diverged"


def test_weights_that_a_step_broke_are_never_saved(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The terms of that step are still finite: they were computed before it."""
    play = Training.round

    def broken(self: Training) -> dict[str, torch.Tensor]:
        terms = play(self)
        if self.images == 128:
            next(self.model.generator.parameters()).data[0] = torch.nan
        return terms

    monkeypatch.setattr(Training, "round", broken)
    with pytest.raises(Diverged, match=r"weight generator\..* became NaN or infinite after 128 images; the last good"):
        train(recipe(256), digits, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    state = run.load_state()
    assert state["images"] == 64 and all(torch.isfinite(tensor).all() for tensor in state["model"].values())
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())
    assert run.records()[-1]["event"] == "diverged" and run.records()[-1]["images"] == 128


@pytest.mark.parametrize("method", ["sample", "critique"])
def test_a_look_at_a_model_without_finite_samples_ends_the_training(
    digits: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    healthy = getattr(GAN, method)
    monkeypatch.setattr(GAN, method, lambda *given, **named: healthy(*given, **named) * torch.nan)
    with pytest.raises(Diverged, match="the last good checkpoint is kept"):
        train(recipe(64), digits, tmp_path / "run")
    assert Run.open(tmp_path / "run").records()[-1]["event"] == "diverged"


@pytest.mark.parametrize("name", ["state.pt", "model.safetensors", "recipe.yaml"])
def test_damaged_files_are_named(digits: Data, tmp_path: Path, name: str) -> None:
    run = train(recipe(64), digits, tmp_path / "run")
    (run.path / name).write_bytes((run.path / name).read_bytes()[:20])
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        again = Run.open(run.path)
        again.load_model()
        again.load_state()


class Hostile:
    """Would write a file if it were ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return (Path.write_text, (self.path, "run"))


def test_a_hostile_checkpoint_runs_nothing(digits: Data, tmp_path: Path) -> None:
    run = train(recipe(64), digits, tmp_path / "run")
    torch.save({"format": 1, "model": Hostile(tmp_path / "proof")}, run.path / "state.pt")
    with pytest.raises(UserError, match="nothing of it was run"):
        run.load_state()
    assert not (tmp_path / "proof").exists()


TWO_PROCESSES = """
import sys, torch
from noiseforge.data.source import load_data
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes
from noiseforge.recipes.schema import Recipe
torch.set_num_threads(1)
training = Training(Recipe.model_validate_json(sys.argv[1]), load_data("digits"), Processes.join("cpu"))
for _ in range(8):
    training.round()
if training.processes.writes:
    torch.save(training.model.state_dict(), sys.argv[2])
"""


def test_two_processes_equal_one_with_the_whole_batch(digits: Data, tmp_path: Path) -> None:
    """Networks without batch statistics; a penalty, which differentiates twice; fp32, as bf16 rounds far more."""
    plain = {"width": 8}
    shared = recipe(loss="nonsaturating", r1=1.0, r2=1.0, augment="", generator=plain, discriminator=plain)
    shared = shared.model_copy(update={"train": shared.train.model_copy(update={"precision": "fp32"})})
    (tmp_path / "two.py").write_text(TWO_PROCESSES)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command = [*launcher, tmp_path / "two.py", shared.model_dump_json(), tmp_path / "two.pt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    alone = Training(shared, digits, Processes.join("cpu"))
    start = {name: tensor.clone() for name, tensor in alone.model.state_dict().items()}
    for _ in range(8):
        alone.round()
    one = alone.model.state_dict()
    moved = torch.cat([(one[name] - start[name]).flatten() for name in one]).norm()
    apart = torch.cat([(one[name] - two[name]).flatten() for name in one]).norm()
    assert moved > 0.01
    assert apart < 1e-5 * moved


SHARED = """
import sys, torch
from noiseforge.data.source import load_data
from noiseforge.recipes.schema import Recipe
from noiseforge.training.players import Training
from noiseforge.training.processes import Processes
import noiseforge.networks.sequence.principal as principal
processes = Processes.join("cpu")
principal.SQUARED_NORM = 128 * (1 + processes.rank)
training = Training(Recipe.model_validate_json(sys.argv[1]), load_data("digit-rows"), processes)
torch.save(training.model.state_dict(), sys.argv[2] + str(processes.rank))
"""


def test_what_the_first_process_takes_from_the_data_all_have(tmp_path: Path) -> None:
    """Here the second one has another unit of codes; on another machine all of them are a little different."""
    small = {"hidden": [8]}
    model = {"kind": "latent_rgan", "generator": small, "discriminator": small, "autoencoder": {"code": 4, "hidden": 6}}
    chosen = Recipe.model_validate(
        {"data": {"source": "digit-rows"}, "model": model, "train": {"images": 16, "batch": 16}}
    )
    (tmp_path / "shared.py").write_text(SHARED)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command = [*launcher, tmp_path / "shared.py", chosen.model_dump_json(), tmp_path / "state"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"state{rank}", weights_only=True) for rank in (0, 1))
    alone = Training(chosen, load_data("digit-rows"), Processes.join("cpu")).model.state_dict()
    mean = "representation.whitening.mean"
    torch.testing.assert_close(first[mean], alone[mean])
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_killed_run_always_resumes(tmp_path: Path) -> None:
    """SIGKILL at moments from before the first checkpoint to the middle of later ones."""
    file = tmp_path / "recipe.json"
    file.write_text(recipe(100_000).model_dump_json())
    code = f"""
from pathlib import Path
from noiseforge.data.source import load_data
from noiseforge.recipes.schema import Recipe
from noiseforge.training.loop import train
recipe = Recipe.model_validate_json(Path({str(file)!r}).read_text())
train(recipe, load_data("digits"), Path("run"), resume=True)
"""
    state = tmp_path / "run" / "state.pt"
    reached = -1
    for delay in (0.0, 0.4, 0.83, 0.31):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
        deadline = time.monotonic() + 60
        while (state.stat().st_mtime_ns if state.exists() else 0) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        assert process.poll() is None, "the run goes on from where it was killed"
        process.kill()
        process.wait()
        images = Run.open(tmp_path / "run").load_state()["images"]
        assert isinstance(images, int)
        assert images >= reached
        reached = images
    assert reached > 0
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[:-1]:
        json.loads(line)
