"""What is said of nodes."""

import dataclasses

import pytest
from rich.cells import cell_len

from lineage.formats import labels
from lineage.join.graph import DataNode, Graph
from lineage.tracking.producer import Status
from tests.lineage.formats.conftest import (
    ARCHIVE,
    CONVERT,
    DOWNLOAD,
    FIT,
    MODEL,
    RAW,
    TRAIN,
    VERSION,
    execution,
    run_facts,
)


@pytest.mark.parametrize(
    ("node", "title", "summary"),
    [
        (TRAIN, "data/train", ["dataset · bbbbbbbb", "4.2 MB · 83 files · made 3 times"]),
        (MODEL, "models/detector", ["model · cccccccc", "1.0 kB · 2 files"]),
        (DataNode("data/x", "", "dataset"), "data/x", ["dataset"]),
        (
            FIT,
            "train",
            ["run 00000000 · commit 00000000", "loss nan · map 0.3127 · recall 0.87"],
        ),
        (DOWNLOAD, "download", ["unrecorded"]),
        (
            execution("convert", [RAW], [], run=run_facts(1), status=Status.CHANGED),
            "convert",
            ["changed while running · run 00000000"],
        ),
        (
            execution(
                "x", [], [], run=dataclasses.replace(run_facts(1), status="FAILED"), status=None
            ),
            "x",
            ["failed · run 00000000 · commit 00000000"],
        ),
        (
            VERSION,
            "detector version 3",
            ["@candidate · @champion · accepted", "map 0.3127"],
        ),
        (ARCHIVE, "val.zip", ["http://images.example.org/zips/val.zip", "md5:01234567 · 5.0 kB"]),
    ],
)
def test_a_node_is_said_in_a_title_and_at_most_two_lines(node, title, summary) -> None:
    assert labels.title(node) == title
    assert labels.summary(node, 40) == summary


def test_words_that_do_not_fit_are_left_out_and_never_cut() -> None:
    assert labels.summary(FIT, 20) == ["run 00000000", "loss nan"]
    assert labels.summary(FIT, 22)[1] == "loss nan · map 0.3127"
    assert labels.summary(ARCHIVE, 20)[0] == "http:/…/zips/val.zip"


def test_a_stage_of_another_pipeline_is_named_with_it() -> None:
    node = execution("fit", [], [])
    stage = dataclasses.replace(node.execution.stage, pipeline="sub/dvc.yaml")
    moved = dataclasses.replace(node.execution, stage=stage)
    assert labels.title(dataclasses.replace(node, execution=moved)) == "sub/dvc.yaml:fit"


@pytest.mark.parametrize("text", ["short", "a" * 100, "数据集/" * 30, ""])
def test_an_elided_text_fits_and_keeps_its_end(text: str) -> None:
    shown = labels.elided(text, 24)
    assert cell_len(shown) <= 24
    assert shown == text or ("…" in shown and text.endswith(shown[-4:]))


def test_what_cannot_be_seen_is_written_out() -> None:
    assert labels.visible("a\x1b\u202e\n\udc80b ü数😀") == r"a\x1b\u202e\n\udc80b ü数😀"


@pytest.mark.parametrize("status", [*Status, None])
def test_only_an_execution_that_surely_has_its_run_is_beyond_doubt(status: Status | None) -> None:
    assert labels.is_doubtful(execution("a", [], [], status=status)) == (
        status in (Status.CHANGED, Status.ACCEPTED, Status.UNRECORDED)
    )
    assert not labels.is_doubtful(TRAIN)


def test_the_context_is_what_the_run_used_the_data_as(typical: Graph) -> None:
    assert labels.context(typical, TRAIN.id, FIT.id) == "training"
    assert labels.context(typical, RAW.id, CONVERT.id) == ""
    assert labels.context(typical, FIT.id, MODEL.id) == ""
    assert labels.context(typical, MODEL.id, VERSION.id) == ""


def test_facts_of_an_execution_are_whole() -> None:
    facts = labels.facts(FIT)
    assert facts[""]["Command"] == "bin/stage train && echo done"
    assert facts["Run"]["Run id"] == FIT.run.id
    assert facts["Run"]["Started"] == "2026-03-04 09:02:00 UTC"
    assert "Uncommitted changes" not in facts["Run"]
    assert facts["Params"] == {"train.epochs": "10", "train.weights": ""}
    assert facts["Metrics"] == {"loss": "nan", "map": "0.31274", "recall": "0.87", "steps": "10.0"}
    assert facts["Read"] == dict(FIT.execution.deps)
    assert facts["Wrote"] == dict(FIT.execution.outs)
    assert "Run" not in labels.facts(DOWNLOAD)


def test_facts_of_data_name_exact_bytes() -> None:
    assert labels.facts(TRAIN)[""] == {
        "Path": "data/train",
        "DVC hash": TRAIN.hash,
        "Kind": "dataset",
        "Bytes": "4,200,000 (4.2 MB)",
        "Files": "83",
        "Also made by": "2 other executions",
    }
