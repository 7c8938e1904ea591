"""A model as an ONNX file: scored, recorded, and led back to what it was made of."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import lineage
from cocopipe.cli import main
from cocopipe.commands import export_model
from lineage.verbs.trace import trace
from tests.commands.test_evaluations import Project, made, own_figures, project

__all__ = ["made", "project"]

VERSION = "models:/coco-detector/2"
Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(project: Project, capfd: pytest.CaptureFixture[str]) -> Said:
    """Run the command; returns its code and what it said."""
    stated = (project.root / "params.yaml").read_text()
    stated = stated.replace("score_threshold: 0.01", "score_threshold: 0.125")
    (project.root / "params.yaml").write_text(stated.replace("workers: 2", "workers: 0"))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["export-model", *arguments])
        streams = capfd.readouterr()
        return code, streams.out, streams.err

    return run


def test_the_file_is_scored_recorded_and_led_back(project: Project, said: Said) -> None:
    code, out, err = said(VERSION, "--format", "onnx", "--out", "m.onnx")
    assert code == 0, err
    client = project.client
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments, "attributes.run_name = 'export-model'")
    own = own_figures(project.root, "two", "two")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["AP"] == pytest.approx(own["AP"], abs=0.001)
    digest = hashlib.md5(Path("m.onnx").read_bytes()).hexdigest()
    assert digest in out
    assert out.startswith("m.onnx: AP ")
    subject = json.loads(
        Path(client.download_artifacts(run.info.run_id, "evaluation.json")).read_text()
    )
    assert subject["model"] == {"path": "m.onnx", "digest": digest}
    assert subject["dataset"]["digest"] == project.hash("data/val", "two")
    said_of_it = {each.key: each.value for each in onnx.load("m.onnx").metadata_props}
    assert said_of_it["model_hash"] == project.hash("models/detector", "two")
    assert said_of_it["model_versions"] == VERSION
    nodes = trace(lineage.Project.find(), digest).as_dict()["nodes"]
    assert project.hash("models/detector", "two") in {node.get("hash") for node in nodes}


def test_a_file_that_finds_something_else_is_not_written(
    project: Project, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit is another here: so it leaves out what the model finds."""
    from cocopipe.detect.onnx_file import writing

    whole = writing.write_onnx

    def less(*arguments: object, score_threshold: float, **others: object) -> None:
        whole(*arguments, score_threshold=0.9, **others)

    monkeypatch.setattr(writing, "write_onnx", less)
    code, out, err = said(VERSION, "--out", "m.onnx")
    assert code == 1
    assert out == ""
    assert "which are more than 0.001 apart: it is not written" in err
    own = own_figures(project.root, "two", "two")
    assert f"and the model {own['AP']:.4f}" in err
    assert not list(project.root.glob("m.onnx*"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("models:/coco-detector/9",), "coco-detector has no such version or alias"),
        (("models/detector", "--on", "main"), "--on main is the revision main"),
        (("main",), "main is the revision main"),
    ],
)
def test_what_a_user_can_get_wrong_is_a_sentence(
    project: Project, said: Said, arguments: tuple[str, ...], sentence: str
) -> None:
    code, out, err = said(*arguments, "--out", "m.onnx")
    assert (code, out) == (1, "")
    assert sentence in err
    assert not Path("m.onnx").exists()


def test_a_model_that_is_no_version_needs_data_to_be_scored_on(
    project: Project, said: Said
) -> None:
    shutil.copytree("models/detector", "copy")
    Path("copy/config.json").write_text(Path("copy/config.json").read_text() + "\n")
    code, _, err = said("copy", "--out", "m.onnx")
    assert code == 1
    assert "is no version that was evaluated: say on what to score the file, with --on" in err


def test_a_file_that_is_there_is_left_alone(project: Project, said: Said) -> None:
    Path("m.onnx").write_text("mine")
    code, _, err = said(VERSION, "--out", "m.onnx")
    assert code == 1
    assert "m.onnx exists: name a file that does not exist yet" in err
    assert Path("m.onnx").read_text() == "mine"


def test_without_the_extra_it_says_what_to_install(
    project: Project, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_model, "find_spec", lambda name: None if "onnx" in name else os)
    code, _, err = said(VERSION, "--out", "m.onnx")
    assert code == 1
    assert "onnx and onnxruntime are not installed: run `pip install '.[onnx]'`" in err
