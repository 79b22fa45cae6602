"""The command line: each verb does its work, each mistake is one line and status 2, and help is light."""

import html
import json
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from tests.command_line import refused

import noiseforge
from noiseforge.cli import main
from noiseforge.evaluation.figures import Evaluation, Figure
from noiseforge.terminal import Terminal, show_evaluation

TINY = ["train.images=256", "train.batch=32", "model.network=mlp", "model.latent=8"]
TINY += [
    "model.generator={hidden: [16]}",
    "model.discriminator={hidden: [16]}",
    "model.augment=",
    "model.conditional=false",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was trained in a second, for tests that only read it."""
    return noiseforge.train("image/digits", out=tmp_path_factory.mktemp("runs") / "tiny", overrides=TINY).path


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commands run in a folder of their own, so that what they write by default lands there."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trian image/digits", "No such command 'trian'. Did you mean 'train'"),
        ("train image/digits --sede 3", "No such option: --sede, did you mean --seed"),
        ("train", "Missing argument 'RECIPE'; see `noiseforge train --help`"),
        ("train image/digitz", "unknown recipe 'image/digitz', did you mean 'image/digits'"),
        ("train image/digits train.batchh=3", "unknown key train.batchh, did you mean train.batch?"),
        ("train image/digits train.batch=0", "train.batch must be >= 2, got 0"),
        ("train image/digits batch", "expected an override such as train.batch=32"),
        ("train image/digits --device tpux", "unknown device 'tpux'"),
        ("train image/digits --dry-run --device tpux", "unknown device 'tpux'"),
        (
            "train image/digits --data digitz",
            "unknown data source (and no such folder) 'digitz', did you mean",
        ),
        ("train image/digits --out /dev/null/run", "Not a directory"),
        ("train image/digits --dry-run --data ring", "ring holds point data: take mlp"),
        ("data nowhere/at/all", "does not exist"),
        ("data digits --on-bad-file ignore", "'error', 'skip'"),
        ("data digits --size 4", "size must be from 8 to 256"),
        ("data digits --json /dev/full", "No space left on device; free some space"),
        ("recipes image/mnits", "did you mean 'image/mnist'"),
        ("sample nowhere --out x.png", "nowhere is not a run"),
        ("diagnose nowhere", "nowhere is not a run"),
        ("evaluate nowhere", "nowhere does not exist"),
        ("sample nowhere -n 0 --out x.png", "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    assert message in refused(capsys, *words.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train image/digits --out RUN", "not empty: go on with --resume"),
        ("sample RUN --out /dev/null/x.png", "cannot write /dev/null/x.png"),
        ("sample RUN --out x.tif", "cannot be saved as '.tif'"),
        ("sample RUN --out RUN/recipe.yaml", "exists: choose another --out, or replace it with --overwrite"),
        ("sample RUN --out RUN --overwrite", "holds more than saved samples"),
        ("sample RUN --out x.png --label 3", "not conditional"),
        ("neighbours RUN --out x.txt", "ends in .png"),
        ("interpolate RUN --steps 1 --out x.png", "greater than or equal to 2"),
        ("evaluate RUN --metrics fidd", "unknown metric 'fidd', did you mean 'fid'"),
        ("evaluate RUN --features inseption", "did you mean 'inception'"),
        ("evaluate RUN --out /dev/null/report", "Not a directory"),
        ("evaluate RUN/samples", "say which, such as --data digits"),
    ],
)
def test_a_mistake_with_a_run_is_one_line(
    capsys: pytest.CaptureFixture[str], run: Path, words: str, message: str
) -> None:
    assert message in refused(capsys, *words.replace("RUN", str(run)).split())


def test_a_folder_without_pictures_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert str(tmp_path) in refused(capsys, "data", tmp_path)
    assert str(tmp_path) in refused(capsys, "evaluate", tmp_path, "--data", "digits")


@pytest.mark.parametrize("content", [b"", b"a: [", b"\xff\xfe", b"data: {source: digits}", b"spec: 3"])
def test_a_damaged_recipe_of_a_run_is_told(capsys: pytest.CaptureFixture[str], copy: Path, content: bytes) -> None:
    (copy / "recipe.yaml").write_bytes(content)
    assert "recipe.yaml is damaged" in refused(capsys, "sample", copy, "--out", "x.png")


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"\x08" + b"\x00" * 7 + b"not json"])
def test_damaged_weights_are_told(capsys: pytest.CaptureFixture[str], copy: Path, content: bytes) -> None:
    (copy / "model.safetensors").write_bytes(content)
    assert "model.safetensors does not hold" in refused(capsys, "sample", copy, "--out", "x.png")


class Hostile:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_hostile_state_is_refused_and_not_run(capsys: pytest.CaptureFixture[str], copy: Path, tmp_path: Path) -> None:
    victim = tmp_path / "executed"
    (copy / "state.pt").write_bytes(pickle.dumps(Hostile(victim)))
    assert "not a checkpoint" in refused(capsys, "train", copy, "--resume")
    assert not victim.exists()
    pickle.loads((copy / "state.pt").read_bytes())
    assert victim.exists()


def test_a_damaged_evaluation_is_told(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    (copy / "report").mkdir(exist_ok=True)
    (copy / "report" / "evaluation.json").write_text("{")
    assert "evaluation.json is damaged" in refused(capsys, "diagnose", copy)


@pytest.mark.parametrize(
    ("failure", "status", "message"),
    [
        (ZeroDivisionError("twice\nthe line"), 1, "internal error (ZeroDivisionError: twice the line)"),
        (MemoryError(), 2, "out of memory: lower train.batch"),
        (KeyboardInterrupt(), 130, "--resume"),
        (PermissionError(13, "Permission denied", "/x"), 2, "Permission denied: /x; choose a place"),
    ],
)
def test_every_failure_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr("noiseforge.recipes.load.list_recipes", Mock(side_effect=failure))
    assert main(["recipes"]) == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_fault_keeps_its_traceback_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noiseforge.recipes.load.list_recipes", Mock(side_effect=ZeroDivisionError))
    monkeypatch.setenv("NOISEFORGE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["recipes"])


# -- what the verbs do --------------------------------------------------------------------------------------


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    """Runs a command that must succeed with its JSON on standard output alone; returns the JSON."""
    capsys.readouterr()
    assert main([*map(str, words), "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_recipes_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(answer(capsys, "recipes")["recipes"]) == noiseforge.list_recipes()
    assert answer(capsys, "recipes", "image/digits")["recipe"]["data"]["source"] == "digits"
    assert main(["recipes", "image/digits"]) == 0
    assert "noiseforge train image/digits" in capsys.readouterr().out


def test_data_describes(capsys: pytest.CaptureFixture[str]) -> None:
    described = answer(capsys, "data", "digits")
    assert described["shape"] == [1, 8, 8]
    assert described["training examples"] + described["test examples"] == 1797


def test_a_dry_run_plans_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = answer(capsys, "train", "image/digits", *TINY, "--dry-run", "--seed", "5")
    assert plan["rounds"] == 8
    assert plan["parameters of the generator"] == 8 * 16 + 16 + 16 * 64 + 64
    assert "seed: 5" in plan["recipe"]
    assert not list(tmp_path.iterdir())


def test_training_goes_on_in_a_run(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    result = answer(capsys, "train", copy, "train.images=320", "--resume")
    assert result["run"] == str(copy)
    assert result["last"]["train"]["images"] == 320


def test_samples_are_those_of_the_seed(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    answer(capsys, "sample", run, "-n", 9, "--seed", 4, "--out", tmp_path / "s.npy")
    saved = np.load(tmp_path / "s.npy")
    np.testing.assert_array_equal(saved, noiseforge.sample(run, 9, seed=4))
    assert saved.shape == (9, 1, 8, 8)
    assert not np.array_equal(saved, noiseforge.sample(run, 9, seed=5))


def test_a_folder_of_pictures_is_replaced_when_asked(run: Path, tmp_path: Path) -> None:
    noiseforge.sample(run, 5, out=tmp_path / "pictures/")
    noiseforge.sample(run, 3, out=tmp_path / "pictures/", overwrite=True)
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("sample nowhere --out pictures", "nowhere is not a run"),
        ("sample RUN --label 3 --out pictures", "not conditional"),
        ("neighbours RUN --out pictures", "ends in .png"),
        ("neighbours RUN --out pictures.png", "got a folder"),
        ("interpolate RUN --label 3 --out pictures", "not conditional"),
    ],
)
def test_a_folder_stays_where_a_command_fails(
    capsys: pytest.CaptureFixture[str], run: Path, words: str, message: str
) -> None:
    folder = Path(words.split()[-1])
    noiseforge.sample(run, 5, out=f"{folder}/")
    assert message in refused(capsys, *words.replace("RUN", str(run)).split(), "--overwrite")
    assert len(list(folder.glob("*.png"))) == 5


def test_interpolation_begins_and_ends_at_the_seeds(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    answer(capsys, "interpolate", run, "--from", 3, "--to", 8, "--steps", 5, "--out", tmp_path / "i.png")
    steps = noiseforge.interpolate(run, 3, 8, 5)
    ends = np.concatenate([noiseforge.sample(run, 1, seed=seed) for seed in (3, 8)])
    np.testing.assert_allclose(steps[[0, -1]], ends, atol=1e-5)
    width, height = Image.open(tmp_path / "i.png").size
    assert width > 4 * height


def test_neighbours_of_training_examples_are_themselves(tmp_path: Path) -> None:
    data = noiseforge.load_data("digits")
    rows = np.array([3, 1, 4])
    found = noiseforge.neighbours(data.train.batch(torch.from_numpy(rows)).x, data=data, n=3)
    assert sorted(found.indices.tolist()) == sorted(rows.tolist())
    np.testing.assert_array_equal(found.samples, found.nearest)
    assert found.distances.tolist() == [0, 0, 0]


def test_evaluate_measures_and_reports(capsys: pytest.CaptureFixture[str], copy: Path, tmp_path: Path) -> None:
    words = ("--features", "pixels", "--metrics", "fid,coverage", "-n", 100)
    result = answer(capsys, "evaluate", copy, *words)
    assert [figure["metric"] for figure in result["figures"]] == ["fid", "coverage"]
    assert Path(result["report"]).is_file()
    assert json.loads((copy / "report" / "evaluation.json").read_text())["figures"] == result["figures"]
    assert "evaluation" not in found_by(capsys, copy)
    answer(capsys, "sample", copy, "-n", 100, "--out", tmp_path / "s.npy")
    again = answer(capsys, "evaluate", tmp_path / "s.npy", "--data", "digits", *words, "--out", tmp_path / "r")
    assert [f["value"] for f in again["figures"]] == pytest.approx([f["value"] for f in result["figures"]])


@pytest.mark.parametrize(
    ("n_fake", "n_real", "said"), [(1000, 179, "1,000 vs 179"), (1000, 0, "1,000"), (0, 1797, "1,797 real")]
)
def test_a_table_says_what_was_counted(capsys: pytest.CaptureFixture[str], n_fake: int, n_real: int, said: str) -> None:
    figure = Figure(metric="kl", value=2.0, n_real=n_real, n_fake=n_fake, extractor="", seed=7, better="lower")
    show_evaluation(Terminal(), Evaluation(subject="s", source="digits", figures=(figure,), created="", seconds=1.0))
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split(maxsplit=3)[3].split("  ")[0] == said and row.split()[-1] == "7"


def found_by(capsys: pytest.CaptureFixture[str], run: Path) -> dict[str, str]:
    """The findings of a diagnosis and their sentences."""
    return {finding["name"]: finding["sentence"] for finding in answer(capsys, "diagnose", run)["findings"]}


def test_an_evaluation_that_is_not_of_the_run_as_it_is_is_left_out(
    capsys: pytest.CaptureFixture[str], copy: Path, tmp_path: Path
) -> None:
    words = ("evaluate", copy, "--features", "pixels", "--metrics", "coverage,precision,copies", "-n", 50)
    answer(capsys, *words)
    answer(capsys, "train", copy, "train.images=320", "--resume")
    assert "made after 256 images, and the run has seen 320" in found_by(capsys, copy)["evaluation"]
    np.save(tmp_path / "other.npy", np.random.default_rng(0).random((40, 8, 8)))
    answer(capsys, *words, "--data", tmp_path / "other.npy")
    assert "other data" in found_by(capsys, copy)["evaluation"]
    assert "other data" in (copy / "report" / "index.html").read_text()


@pytest.mark.parametrize("form", ["RUN", "s.npz"])
def test_the_command_in_the_report_measures_the_same(capsys: pytest.CaptureFixture[str], copy: Path, form: str) -> None:
    answer(capsys, "sample", copy, "-n", 90, "--out", "s.npz")
    against = () if form == "RUN" else ("--data", "digits")
    words = ("evaluate", form.replace("RUN", str(copy)), *against, "--metrics", "nearest_ratio,class_min_share")
    first = answer(capsys, *words, "-n", 60, "--seed", 3)
    again = answer(capsys, *shlex.split(first["command"])[1:])
    assert again["figures"] == first["figures"] and again["command"] == first["command"]
    assert first["command"] in html.unescape(Path(first["report"]).read_text())


def test_reports_of_files_with_equal_names_stand_side_by_side(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    words = ("--data", "digits", "--features", "pixels", "--metrics", "copies")
    names = ("a/s.npy", "b/s.npy", "s.npz", "a/s.npy")
    reports = []
    for name in names:
        noiseforge.sample(run, 5, out=name, overwrite=True)
        reports.append(answer(capsys, "evaluate", name, *words)["report"])
    assert len(set(reports)) == 3 and reports[0] == reports[3] and all(Path(report).is_file() for report in reports)


@pytest.mark.parametrize(
    "words",
    ["evaluate nowhere", "evaluate empty --data digits", "evaluate bad.npy --data digits", "evaluate RUN --metrics x"],
)
def test_an_evaluation_that_fails_leaves_nothing(capsys: pytest.CaptureFixture[str], copy: Path, words: str) -> None:
    Path("empty").mkdir()
    Path("bad.npy").write_text("no array")
    before = sorted((*Path().rglob("*"), *copy.rglob("*")))
    refused(capsys, *words.replace("RUN", str(copy)).split())
    assert sorted((*Path().rglob("*"), *copy.rglob("*"))) == before


def test_a_second_demo_leaves_the_first(
    capsys: pytest.CaptureFixture[str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = noiseforge.api.train
    monkeypatch.setattr("noiseforge.api.train", lambda *given, **named: train(*given, overrides=TINY, **named))
    Path("runs/demo").mkdir(parents=True)
    assert answer(capsys, "demo", "--out", "runs/demo")["run"] == "runs/demo"
    before = {path: path.read_bytes() for path in Path("runs/demo").rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["demo", "--out", "runs/demo"]) == 0
    assert "this demo goes to runs/demo-2" in capsys.readouterr().out
    for name in ("samples.png", "report/index.html", "model.safetensors"):
        assert (Path("runs/demo-2") / name).is_file()
    assert before == {path: path.read_bytes() for path in Path("runs/demo").rglob("*") if path.is_file()}


def test_json_goes_to_a_file(tmp_path: Path) -> None:
    assert main(["recipes", "--json", str(tmp_path / "new" / "r.json")]) == 0
    assert json.loads((tmp_path / "new" / "r.json").read_text())["recipes"]


# -- what importing costs -----------------------------------------------------------------------------------


def cpu_seconds(*words: str) -> float:
    def spent() -> float:
        usage = getrusage(RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def once() -> float:
        before = spent()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        return spent() - before

    return min(once() for _ in range(3))


def test_help_is_light() -> None:
    heavy = "{'torch', 'numpy', 'pydantic', 'yaml', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules)"
    code = f"import sys, noiseforge.cli as c; assert c.main(['--help']) == 0; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    bare, helped = cpu_seconds("-c", "import json, re, pathlib"), cpu_seconds("-m", "noiseforge", "--help")
    assert helped < 10 * bare, f"{helped:.3f} s, where a bare start takes {bare:.3f} s"


def test_the_package_is_light_and_its_names_exist() -> None:
    names = "noiseforge.list_recipes(), noiseforge.read_recipe('image/digits'), noiseforge.UserError"
    code = f"import sys, noiseforge; {names}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(callable(getattr(noiseforge, name)) for name in noiseforge.__all__)
    assert noiseforge.__version__
    with pytest.raises(AttributeError, match="nonsense"):
        noiseforge.nonsense  # noqa: B018
