"""Which stages an edit of the code reruns, in DVC's own words."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]

ON_SPLITS = {"convert", "inspect", "train", "evaluate"}
"""The stages that write or read converted splits."""

EVERY = {"download", *ON_SPLITS, "register"}

EDITS = [
    # what is edited, in which file of src, the stages that `dvc status` then names
    ("the zip reader", "cocopipe/coco/zips.py", {"convert"}),
    ("the streaming reader of JSON", "cocopipe/coco/json_pieces.py", {"convert"}),
    ("the checks of documents", "cocopipe/coco/document.py", {"convert"}),
    ("the writer of tables", "cocopipe/convert/table_writer.py", {"convert"}),
    ("a download source", "cocopipe/sources/hub.py", {"download"}),
    ("an export format", "cocopipe/export/yolo.py", set()),
    ("the comparison of versions", "cocopipe/diff/matching.py", set()),
    ("the tables of a split", "cocopipe/split/tables.py", ON_SPLITS),
    # A reader, beside the format; convert's result stays the same.
    ("the drawing of masks", "cocopipe/split/masks.py", ON_SPLITS),
    ("the columns of objects", "cocopipe/split/objects.py", ON_SPLITS),
    ("the names of documents", "cocopipe/documents.py", ON_SPLITS),
    ("the writing of files", "cocopipe/files.py", EVERY),
    ("the decoding of images", "cocopipe/detect/reading/decoding.py", {"train", "evaluate"}),
    ("what a detector finds", "cocopipe/detect/prediction/predict.py", {"train", "evaluate"}),
    ("the scores of a training", "cocopipe/detect/training/average_precision.py", {"train"}),
    ("the training loop", "cocopipe/detect/training/loop.py", {"train"}),
    ("what a setting may be", "cocopipe/detect/settings.py", set()),
    ("what a setting of convert may be", "cocopipe/convert/settings.py", {"convert"}),
    ("the ranges of settings", "cocopipe/checked.py", set()),
    ("the sections of params.yaml", "cocopipe/params.py", set()),
    ("the scores", "cocopipe/detect/evaluation/score.py", {"evaluate"}),
    ("the drawing of pictures", "cocopipe/drawing/draw.py", {"inspect", "evaluate"}),
    ("a plot of the data", "cocopipe/quality/plots.py", {"inspect"}),
    ("the thresholds' verdict", "cocopipe/stages/register.py", {"register"}),
    ("what MLflow gets", "cocopipe/tracking/artifacts.py", set()),
    ("how MLflow gets losses", "cocopipe/tracking/losses.py", set()),
    ("a command", "cocopipe/commands/export.py", set()),
    ("the bridge", "lineage/recording/stage_run.py", set()),
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repo]:
    """This pipeline, up to date: its code is here, its outputs stand for the real ones."""
    root = tmp_path_factory.mktemp("pipeline")
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("data/source", "models/initial"):
        (root / folder).mkdir(parents=True)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.chdir(root)
    with Repo.init(no_scm=True) as repo:
        for out in repo.index.outs:
            path = Path(out.fs_path)
            (path if path.suffix else path / "file").parent.mkdir(parents=True, exist_ok=True)
            (path if path.suffix else path / "file").write_text(path.name)
        repo.commit(force=True)
    with Repo() as repo:
        assert repo.status() == {}
        yield repo
    monkeypatch.undo()


def named_after(pipeline: Repo, file: str) -> set[str]:
    """The stages that DVC names once the file has a comment more."""
    path = Path(pipeline.root_dir) / "src" / file
    before = path.read_text()
    path.write_text(f"{before}\n# A comment.\n")
    try:
        with Repo() as edited:
            return set(edited.status())
    finally:
        path.write_text(before)


@pytest.mark.parametrize(("what", "file", "stages"), EDITS, ids=[edit[1] for edit in EDITS])
def test_an_edit_reruns_the_stages_whose_result_could_differ(
    pipeline: Repo, what: str, file: str, stages: set[str]
) -> None:
    named = named_after(pipeline, file)
    assert named == stages, what
