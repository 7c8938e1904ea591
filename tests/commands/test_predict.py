import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run
from PIL import Image
from pycocotools.coco import COCO

import lineage
from cocopipe.cli import main
from cocopipe.coco.layout import open_raw
from cocopipe.detect.network.detector import save
from lineage.verbs.impact import impact
from lineage.verbs.trace import trace
from tests.conftest import Once, using_store
from tests.detect.small import new_detector, without_background
from tests.detect.splits import encode, rectangles, write_split

VERSION = "models:/coco-detector/1"


@dataclass
class Project:
    """A repository with a model and a split that DVC tracks, and a store that knows the model."""

    root: Path

    @property
    def client(self) -> mlflow.MlflowClient:
        uri = f"sqlite:///{self.root / 'mlflow.db'}"
        return mlflow.MlflowClient(uri, registry_uri=uri)

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hash(self, path: str) -> str:
        text = (self.root / f"{path}.dvc").read_text()
        return text.partition("md5: ")[2].split()[0]

    def predictions(self) -> list[Run]:
        """Runs of the command, the oldest first."""
        found = self.client.search_runs(
            [each.experiment_id for each in self.client.search_experiments()],
            "attributes.run_name = 'predict'",
            order_by=["attributes.start_time ASC"],
        )
        return [self.client.get_run(run.info.run_id) for run in found]


@pytest.fixture(scope="session")
def made(once: Once, empty_store: Path) -> Project:
    def make(folder: Path) -> Project:
        project = Project(folder / "project")
        (project.root / "models" / "detector").mkdir(parents=True)
        for command in (
            ("git", "init", "--quiet", "--initial-branch", "main"),
            ("git", "config", "user.email", "who@example.org"),
            ("git", "config", "user.name", "Who"),
            ("dvc", "init", "--quiet"),
            ("dvc", "config", "core.analytics", "false"),
        ):
            project.run(*command)
        save(without_background(new_detector(image_size=32)), project.root / "models" / "detector")
        split = write_split(folder / "raw", *rectangles(4, seed=1, odd=False))
        shutil.copytree(split, project.root / "data" / "val")
        project.run("dvc", "add", "--quiet", "models/detector", "data/val")
        (project.root / ".gitignore").write_text("/mlflow.db*\n/mlartifacts/\n/photos/\n")
        photos = project.root / "photos"
        (photos / "more").mkdir(parents=True)
        Image.effect_noise((60, 40), 60).convert("RGB").save(photos / "a.jpg")
        Image.effect_noise((50, 70), 60).save(photos / "more" / "b.png")
        (photos / "notes.txt").write_text("no image")
        project.run("git", "add", "--all")
        project.run("git", "commit", "--quiet", "--message", "A model")
        shutil.copy(empty_store, project.root / "mlflow.db")
        tags = {"dvc.hash": project.hash("models/detector")}
        client = project.client
        with using_store(client.tracking_uri):  # where it looks for the model
            experiment = client.create_experiment("others", str(project.root / "mlartifacts"))
            model = client.create_logged_model(experiment, name="detector", tags=tags)
            client.finalize_logged_model(model.model_id, "READY")
            client.create_registered_model("coco-detector")
            client.create_model_version("coco-detector", f"models:/{model.model_id}", tags=tags)
        client.set_registered_model_alias("coco-detector", "champion", "1")
        return project

    return Project(once("a model to ask", make).root)


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy, where the process is."""
    root = tmp_path / "project"
    shutil.copytree(made.root, root, symlinks=True)
    monkeypatch.chdir(root)
    return Project(root)


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """Run the command; returns its code and what it said."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["predict", *arguments])
        streams = capfd.readouterr()
        return code, streams.out, streams.err

    return run


def written(folder: str, name: str) -> Any:
    return json.loads((Path(folder) / name).read_text())


def inputs(run: Run) -> dict[str, tuple[str, str]]:
    """Name of each dataset -> digest and context."""
    return {
        each.dataset.name: (
            each.dataset.digest,
            next(tag.value for tag in each.tags if tag.key == "mlflow.data.context"),
        )
        for each in run.inputs.dataset_inputs
    }


def test_a_folder_of_images_gets_pictures_results_and_a_document(
    project: Project, said: Said
) -> None:
    code, out, err = said(
        "models:/coco-detector@champion", "photos", "--out", "out", "--score-threshold", "0"
    )
    assert code == 0, err
    (run,) = project.predictions()
    document = COCO(str(project.root / "out" / "instances.json"))
    found = document.loadRes(written("out", "predictions.json"))
    assert len(found.anns) == len(document.anns) > 0
    assert out == (
        f"out: 2 images, {len(document.anns)} objects · {VERSION} · run {run.info.run_id}\n"
    )
    assert {
        image["file_name"]: (image["width"], image["height"]) for image in document.imgs.values()
    } == {
        "a.jpg": (60, 40),
        "more/b.png": (50, 70),
    }
    assert {category["name"] for category in document.cats.values()} == {"red", "blue"}
    first = document.anns[1]
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3], abs=0.01)
    assert 0 < first["score"] < 1
    with Image.open("out/pictures/more/b.png.jpg") as picture:
        assert picture.size == (50, 70)
    assert not Path("out/dataset").exists()
    info = written("out", "instances.json")["info"]
    digest = project.hash("models/detector")
    assert info["model"] == {"path": "models/detector", "hash": digest, "versions": [VERSION]}
    assert info["score_threshold"] == 0.0


def test_a_run_ties_the_predictions_to_model_and_data(project: Project, said: Said) -> None:
    assert said("models/detector", "data/val", "--out", "out", "--dataset")[0] == 0
    (run,) = project.predictions()
    assert run.info.status == "FINISHED"
    assert run.data.tags["model"] == VERSION
    assert run.data.params == {
        "score_threshold": "0.3",
        "max_detections": "100",
        "upright": "False",
    }
    named = inputs(run)
    assert named["models/detector"] == (project.hash("models/detector"), "model")
    assert named["data/val"] == (project.hash("data/val"), "input")
    assert {name: context for name, (_, context) in named.items()} == {
        "models/detector": "model",
        "data/val": "input",
        "out": "output",
        "out/dataset": "output",
    }
    (model,) = run.inputs.model_inputs
    logged = project.client.get_logged_model(model.model_id)
    assert logged.tags["dvc.hash"] == project.hash("models/detector")
    project.run("dvc", "add", "--quiet", "out")
    assert project.hash("out") == named["out"][0]


def test_impact_and_trace_go_through_it(project: Project, said: Said) -> None:
    assert said("models/detector", "data/val", "--out", "out")[0] == 0
    (run,) = project.predictions()
    asked = lineage.Project.find()
    for ref in ("models/detector", "data/val"):
        nodes = impact(asked, ref).as_dict()["nodes"]
        assert "out" in {node.get("path") for node in nodes}, ref
    for ref in (inputs(run)["out"][0], run.info.run_id):
        nodes = trace(asked, ref).as_dict()["nodes"]
        assert {"models/detector", "data/val"} <= {node.get("path") for node in nodes}, ref


def test_the_dataset_is_a_source_whose_boxes_are_the_predictions(
    project: Project, said: Said
) -> None:
    assert said("models/detector", "photos", "--out", "out", "--dataset", "--pictures", "0")[0] == 0
    assert not Path("out/pictures").exists()
    for name in ("a.jpg", "more/b.png"):
        copied = Path("out/dataset/train", name).read_bytes()
        assert copied == Path("photos", name).read_bytes()
    ours = written("out", "instances.json")
    assert written("out/dataset/annotations", "instances_train.json") == ours
    with open_raw(Path("out/dataset")) as raw:
        assert [split.name for split in raw.splits] == ["train"]


def test_a_split_keeps_its_ids_and_names(project: Project, said: Said) -> None:
    assert said("models/detector", "data/val", "--out", "out", "--pictures", "1")[0] == 0
    images = written("out", "instances.json")["images"]
    assert [(image["id"], image["file_name"]) for image in images] == [
        (number, f"{number}.jpg") for number in range(4)
    ]
    assert [path.name for path in Path("out/pictures").iterdir()] == ["0.jpg"]


def test_the_same_asked_twice_is_the_same_bytes(project: Project, said: Said) -> None:
    for out in ("out", "out2"):
        assert said(VERSION, "photos", "--out", out, "--score-threshold", "0")[0] == 0
    first, second = (inputs(run) for run in project.predictions())
    assert first["out"][0] == second["out2"][0]


def test_an_older_model_comes_from_the_cache(project: Project, said: Said) -> None:
    digest = project.hash("models/detector")
    shutil.rmtree("models/detector")
    assert said(VERSION, "photos/a.jpg", "--out", "out")[0] == 0
    assert said("models/detector@main", "photos/a.jpg", "--out", "out2")[0] == 0
    assert written("out2", "instances.json")["info"]["model"]["hash"] == digest


def test_images_are_turned_on_demand(project: Project, said: Said) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(Image.effect_noise((60, 40), 60).convert("RGB"), "JPEG", exif=exif)
    Path("out-turned.jpg").write_bytes(turned)
    assert said("models/detector", "out-turned.jpg", "--out", "out")[0] == 0
    assert said("models/detector", "out-turned.jpg", "--out", "out2", "--upright")[0] == 0
    sizes = [
        [(each["width"], each["height"]) for each in written(out, "instances.json")["images"]]
        for out in ("out", "out2")
    ]
    assert sizes == [[(60, 40)], [(40, 60)]]
    with Image.open("out2/pictures/out-turned.jpg") as picture:
        assert picture.size == (40, 60)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("models:/coco-detector/9", "photos"), "coco-detector has no such version or alias"),
        (("models/detektor", "photos"), "models/detektor is nothing that git, DVC or this"),
        (("main", "photos"), "main is the revision main"),
        (("photos", "photos/a.jpg"), "photos holds no config.json: give a folder that the train"),
        (("models/detector", "nowhere"), "nowhere is not there: name an image file, a folder"),
        (("models/detector", "models"), "there are no images in models"),
        (("models/detector", "photos", "photos/a.jpg"), "several images are called a.jpg"),
        (("models/detector", "photos/notes.txt"), "notes.txt can't be looked at (it is no JPEG"),
        (("models/detector", "photos", "photos/notes.txt"), "notes.txt can't be looked at"),
        (("models/detector", "photos", "--device", "abacus"), "device 'abacus' is unknown"),
    ],
)
def test_what_a_user_can_get_wrong_is_a_sentence_and_leaves_nothing(
    project: Project, said: Said, arguments: tuple[str, ...], sentence: str
) -> None:
    before = sorted(Path().iterdir())
    code, out, err = said(*arguments, "--out", "out")
    assert code == 1
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.startswith("cocopipe: ")]
    assert sentence in line
    assert sorted(Path().iterdir()) == before
    assert all(run.info.status == "FAILED" for run in project.predictions())


def test_a_folder_with_something_in_it_is_left_alone(project: Project, said: Said) -> None:
    Path("out").mkdir()
    assert said("models/detector", "photos", "--out", "out", "--pictures", "0")[0] == 0
    code, _, err = said("models/detector", "photos", "--out", "out")
    assert code == 1
    assert "out exists and is not empty: name a folder that does not exist yet" in err
    assert len(project.predictions()) == 1


def test_a_failure_is_told_in_the_run(project: Project, said: Said) -> None:
    assert said("models/detector", "photos", "photos/notes.txt", "--out", "out")[0] == 1
    (run,) = project.predictions()
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].startswith("notes.txt can't be looked at")


def test_without_a_project_a_folder_is_asked_and_nothing_recorded(
    project: Project, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    model, photos = project.root / "models" / "detector", project.root / "photos"
    code, out, err = said(str(model), str(photos), "--out", "out")
    assert code == 0
    assert out.startswith("out: 2 images, ")
    assert "no run tells of these predictions" in err
    assert written("out", "instances.json")["info"]["model"] == {"path": "detector"}
    code, _, err = said(VERSION, str(photos), "--out", "out2")
    assert code == 1
    assert "only in a project of git and DVC" in err
