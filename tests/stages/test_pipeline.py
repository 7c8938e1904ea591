"""The pipeline as a user runs it: `dvc repro`, in a clone of this project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.stages.conftest import Clone, tag

pytestmark = pytest.mark.slow
STAGES = ["download", "convert", "inspect", "train", "evaluate", "register"]


def test_one_run_for_each_stage_and_every_hash_of_the_lock_in_it(finished: Clone) -> None:
    runs = {run.data.tags["dvc.stage"]: run for run in finished.runs()}
    assert len(finished.runs()) == len(STAGES)
    assert list(runs) == STAGES == list(finished.lock())

    for stage, entry in finished.lock().items():
        run = runs[stage]
        assert run.info.status == "FINISHED"
        for tag_name, items in [("dvc.deps", entry["deps"]), ("dvc.outs", entry["outs"])]:
            assert tag(run, tag_name) == {item["path"]: item["md5"] for item in items}
        digests = {
            (each.dataset.name, each.dataset.digest): {t.key: t.value for t in each.tags}
            for each in run.inputs.dataset_inputs
        }
        read = {(i["path"], i["md5"]) for i in entry["deps"] if i["path"] in finished.outs()}
        wrote = {(i["path"], i["md5"]) for i in entry["outs"] if i["path"].startswith("data/")}
        assert set(digests) == read | wrote
        for item in entry["outs"]:
            if item["path"].startswith("data/"):
                context = digests[item["path"], item["md5"]]["mlflow.data.context"]
                assert context == "output"


def test_contexts_params_profile_and_code_are_recorded(finished: Clone) -> None:
    train = next(run for run in finished.runs() if run.data.tags["dvc.stage"] == "train")
    contexts = {
        each.dataset.name: next(t.value for t in each.tags if t.key == "mlflow.data.context")
        for each in train.inputs.dataset_inputs
    }
    assert contexts == {"data/train": "training", "data/val": "validation"}
    assert train.data.params["train.optimizer.learning_rate"] == "0.002"
    head = finished.run("git", "rev-list", "--max-parents=0", "HEAD").stdout.strip()
    assert train.data.tags["git.commit"] == head
    assert train.data.tags["git.branch"] == "main"
    assert train.data.tags["git.dirty"] == "false"

    profiles = {
        each.dataset.name: json.loads(each.dataset.profile) for each in train.inputs.dataset_inputs
    }
    source = json.loads((finished.root / "data/raw/annotations/instances_sample.json").read_text())
    images = sum(profile["images"] for profile in profiles.values())
    assert images == len(source["images"]) == 40
    assert sum(p["annotations"] for p in profiles.values()) == len(source["annotations"])
    assert profiles["data/train"]["categories"] == len(source["categories"])


def test_a_training_run_has_losses_system_metrics_and_the_dataset_beside_the_model(
    finished: Clone, tmp_path: Path
) -> None:
    client = finished.client()
    train = next(run for run in finished.runs() if run.data.tags["dvc.stage"] == "train")
    assert {
        "train/loss",
        "validation/loss",
        "learning_rate",
        "images_per_s",
        "validation_s",
    } <= set(train.data.metrics)
    artifacts = {
        file.path
        for folder in ("", "dataset/train", "dataset/train/annotations")
        for file in client.list_artifacts(train.info.run_id, folder)
    }
    assert {
        "lineage.json",
        "dataset/train/preview.png",
        "dataset/train/annotations/instances.json",
    } <= artifacts
    path = client.download_artifacts(
        train.info.run_id, "dataset/train/annotations/instances.json", str(tmp_path)
    )
    train_json = json.loads(Path(path).read_text())
    assert {image["id"] for image in train_json["images"]} < set(range(1, 41))

    record = json.loads(
        Path(
            client.download_artifacts(train.info.run_id, "lineage.json", str(tmp_path))
        ).read_text()
    )
    assert record["environment"]["packages"]["torch"] == "2.14.1"
    assert record["signature"] == train.data.tags["dvc.signature"]


def test_the_saved_epoch_scored_what_its_evaluation_comes_to(finished: Clone) -> None:
    metrics = json.loads((finished.root / "reports/evaluate/metrics.json").read_text())
    chosen = json.loads((finished.root / "reports/train/chosen.json").read_text())
    train = next(run for run in finished.runs() if run.data.tags["dvc.stage"] == "train")
    assert chosen["reason"] == "the best AP"
    assert train.data.tags["chosen_epoch"] == f"epoch {chosen['epoch']}, the best AP"
    assert train.data.metrics["chosen/epoch"] == chosen["epoch"]
    for name in ("AP", "AP50"):
        assert chosen[name] == metrics[name]
        assert train.data.metrics[f"chosen/{name}"] == metrics[name]
    assert train.data.metrics["validation/AP"] <= metrics["AP"]


def test_scores_are_tied_to_model_and_dataset(finished: Clone) -> None:
    evaluate = next(run for run in finished.runs() if run.data.tags["dvc.stage"] == "evaluate")
    train = next(run for run in finished.runs() if run.data.tags["dvc.stage"] == "train")
    (made,) = train.outputs.model_outputs
    # A search leaves model inputs out.
    (used,) = finished.client().get_run(evaluate.info.run_id).inputs.model_inputs
    assert made.model_id == used.model_id
    model = finished.client().get_logged_model(made.model_id)
    metric = next(metric for metric in model.metrics if metric.key == "AP50")
    assert (metric.dataset_name, metric.dataset_digest) == (
        "data/val",
        finished.outs()["data/val"],
    )
    written = json.loads((finished.root / "reports/evaluate/metrics.json").read_text())
    assert metric.value == pytest.approx(written["AP50"])
    assert model.tags["dvc.hash"] == finished.outs()["models/detector"]


ANSWERS = """
import sys, json
sys.modules["cocopipe"] = None
import mlflow, pandas as pd, pyarrow.parquet as pq
uri, split = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model("models:/coco-detector@candidate")
stored = pq.read_table(f"{split}/images").to_pylist()
files = {row["sha256"]: row["image"]["bytes"] for row in stored}
columns = ["image_id", "sha256"]
images = pq.read_table(f"{split}/annotations/instances.parquet", columns=columns).to_pylist()
table = pd.DataFrame({"image": [files[image["sha256"]] for image in images]})
found = model.predict(table, params={"score_threshold": 0.01}).to_dict(orient="records")
ids = [image["image_id"] for image in images]
print(json.dumps([{"image_id": image_id, **row} for image_id, row in zip(ids, found)]))
"""


def test_the_registered_model_answers_exactly_what_was_evaluated(
    finished: Clone, tmp_path: Path
) -> None:
    """In a process of its own, where this project is not."""
    uri = f"sqlite:///{finished.root / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ANSWERS, uri, str(finished.root / "data/val")],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answered = [
        {
            "image_id": row["image_id"],
            "category_id": category,
            "bbox": [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(score, 5),
        }
        for row in sorted(json.loads(done.stdout), key=lambda row: row["image_id"])
        for (x1, y1, x2, y2), category, score in zip(
            row["boxes"], row["category_ids"], row["scores"], strict=True
        )
    ]
    evaluated = json.loads((finished.root / "reports/evaluate/predictions.json").read_text())
    assert len(evaluated) > 100
    assert answered == evaluated


def test_labels_that_a_model_made_lead_back_to_it(copied: Clone, tmp_path: Path) -> None:
    """Its predictions on new images become a source, and that becomes the data of a training."""
    model, images = "models:/coco-detector@candidate", tmp_path / "images"
    images.mkdir()
    for path in (copied.root / "data/raw").rglob("*.jpg"):
        # Of the same bytes, each would stay on the side that it is on.
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(images / path.name)
    options = ("--out", "data/labels", "--dataset", "--pictures", "1", "--score-threshold", "0.02")
    copied.run("cocopipe", "predict", model, str(images), *options)
    copied.set(download__source="directory", download__directory__path="data/labels/dataset")
    copied.repro("convert")
    graph = json.loads(copied.run("lineage", "trace", "data/train", "--json").stdout)
    made_of = {node.get("path"): node.get("hash") for node in graph["nodes"]}
    assert made_of["models/detector"] == copied.outs()["models/detector"]
    for ref in (model, "models/detector"):
        graph = json.loads(copied.run("lineage", "impact", ref, "--json").stdout)
        reached = {(node.get("path"), node.get("hash")) for node in graph["nodes"]}
        assert ("data/train", copied.outs()["data/train"]) in reached


def test_again_there_is_nothing_to_do(finished: Clone) -> None:
    before = len(finished.runs())
    said = finished.repro()
    assert "Data and pipelines are up to date" in said
    assert len(finished.runs()) == before
    assert finished.run("git", "status", "--porcelain").stdout == ""
    assert not (finished.root / "mlruns").exists()


def test_machine_and_tracking_rerun_nothing(copied: Clone) -> None:
    copied.set(machine__workers=1, tracking__images="all")
    assert "Data and pipelines are up to date" in copied.repro()


def test_registering_twice_registers_once(copied: Clone) -> None:
    copied.repro("--force", "--single-item", "register")
    client = copied.client()
    (version,) = client.search_model_versions("name = 'coco-detector'")
    candidate = client.get_model_version_by_alias("coco-detector", "candidate")
    assert int(candidate.version) == 1
    train = next(run for run in copied.runs() if run.data.tags["dvc.stage"] == "train")
    assert version.run_id == version.tags["dvc.run"] == train.info.run_id
    assert version.tags["dvc.hash"] == copied.outs()["models/detector"]
    assert version.tags["dvc.signature"] == train.data.tags["dvc.signature"]
    assert version.tags["git.commit"] == train.data.tags["git.commit"]
    data = json.loads(version.tags["dvc.data"])
    assert data["data/train"] == copied.outs()["data/train"]


def test_a_split_for_testing_is_evaluated_on_demand(copied: Clone) -> None:
    copied.set(evaluate__split="test")
    assert (
        "evaluate: data/test has no images to evaluate on: give the source a split for test, or"
        " have one divided off by convert.test_fraction\n"
    ) in copied.fails("evaluate")
    copied.set(convert__test_fraction=0.3)
    copied.repro("evaluate")
    run = next(run for run in reversed(copied.runs()) if run.data.tags["dvc.stage"] == "evaluate")
    contexts = {
        each.dataset.name: next(t.value for t in each.tags if t.key == "mlflow.data.context")
        for each in run.inputs.dataset_inputs
    }
    assert contexts["data/test"] == "evaluation"
    assert "data/val" not in contexts
    written = json.loads((copied.root / "reports/evaluate/evaluation.json").read_text())
    assert written["dataset"] == {"path": "data/test", "digest": copied.outs()["data/test"]}
    train = next(run for run in reversed(copied.runs()) if run.data.tags["dvc.stage"] == "train")
    assert "data/test" not in {each.dataset.name for each in train.inputs.dataset_inputs}


def test_a_rejected_model_is_said_where_the_stage_ends(copied: Clone) -> None:
    copied.set(register__thresholds={"AP50": 0.999})
    said = copied.run("dvc", "repro", "register").stdout
    (line,) = [line for line in said.splitlines() if line.startswith("register: ")]
    ap50 = json.loads((copied.root / "reports/evaluate/metrics.json").read_text())["AP50"]
    assert f"rejected: AP50 {ap50:.3f} < 0.999 · models:/coco-detector/1" in line
    assert line.endswith("see reports/register.json")


def test_promote_says_why(copied: Clone) -> None:
    said = [copied.run("cocopipe", "promote").stdout for _ in range(2)]
    assert said[0].startswith("promoted: version 1 is the first champion")
    assert said[1] == "kept: version 1 is the champion already\n"


def test_an_empty_server_is_brought_up_to_date_once(finished: Clone, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'fresh.db'}"
    artifacts = {"MLFLOW_TRACKING_URI": uri}
    first = finished.run("lineage", "sync", **artifacts).stdout
    runs = finished.runs(uri)
    assert sorted(run.data.tags["dvc.stage"] for run in runs) == sorted(STAGES), first
    assert {run.data.tags["lineage.backfilled"] for run in runs} == {"true"}
    client = finished.client(uri)
    version = client.get_model_version_by_alias("coco-detector", "candidate")
    assert version.tags["dvc.hash"] == finished.outs()["models/detector"]
    assert client.get_logged_model(version.source.removeprefix("models:/")).status == "READY"

    finished.run("lineage", "sync", **artifacts)
    assert len(finished.runs(uri)) == len(STAGES)
    assert len(client.search_model_versions("name = 'coco-detector'")) == 1


def test_dataset_versions_by_git(finished: Clone, two_versions: Clone, tmp_path: Path) -> None:
    clone = two_versions.copy(tmp_path / "clone")
    first, second = finished.outs(), clone.outs()
    assert first["data/train"] != second["data/train"]

    clone.run("git", "checkout", "--quiet", "data-v1")
    clone.run("dvc", "checkout", "--quiet")
    assert clone.outs() == first
    status = json.loads(clone.run("dvc", "data", "status", "--json").stdout)
    assert not status.get("uncommitted"), status
    runs = len(clone.runs())
    assert "up to date" in clone.repro()
    # The same settings on another branch come from the run-cache, without a run.
    clone.set(download__sample__images=44)
    assert "Stage 'convert' is cached" in clone.repro("convert")
    assert clone.outs() == second
    assert len(clone.runs()) == runs


def test_workers_do_not_change_a_byte(copied: Clone) -> None:
    hashes = []
    for workers in (1, 2):
        copied.set(machine__workers=workers)
        copied.repro("--force", "--single-item", "convert")
        hashes.append(copied.outs())
    assert hashes[0] == hashes[1]


def test_a_temporary_experiment_runs_the_code_of_its_own_tree(clone: Clone) -> None:
    """Not that of its parent, nor that which is installed."""
    stage = clone.root / "src/cocopipe/stages/download.py"
    line = "    mlflow.set_tag(SOURCE, params.download.source)\n"
    assert line in stage.read_text()
    stage.write_text(stage.read_text().replace(line, f'{line}    mlflow.set_tag("at", __file__)\n'))
    clone.commit("the stage says where it is")
    clone.run("dvc", "exp", "run", "--temp", "download")
    (run,) = clone.runs()
    assert run.data.tags["at"].startswith(f"{clone.root}/.dvc/tmp/exps/")
    assert run.data.tags["git.dirty"] == "false"
    assert (clone.root / "mlartifacts" / run.info.run_id).is_dir()
