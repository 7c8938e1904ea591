"""Graphs made by hand, as small as a graph can be that has everything in it."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from lineage.identity import Execution, StageId
from lineage.join.graph import DataNode, ExecutionNode, Graph, GraphBuilder, OriginNode
from lineage.tracking.facts import RunFacts, VersionNode
from lineage.tracking.producer import Status
from tests.lineage.nasty import NASTY

REPOSITORY = "https://github.com/acme/shapes"

NAMES = [
    *NASTY,
    "<script>alert(1)</script>",
    "</title></style></script><script>alert(2)</script>",
    '<img src="x" onerror="alert(3)">',
    "\"double\" 'single' `back`",
    "[square](javascript:alert(4)) {curly} (round) |bar|",
    "#quot; #35; &lt;b&gt; &amp;",
    "1. list",
    "- item",
    "**bold** _it_ `code`",
    "end",
    "%%{init: {}}%%",
    "n0 --> n1; click n0 href",
    "style n0 fill:#f00",
    "fa:fa-car",
    "$$x^2$$",
    "back\\slash\\N\\n\\",
    "naïve/数据集/данные/😀",
    "\u202eright to left",
    "tab\tline\nnul\x00escape\x1b[31m",
    "no text \udc80",
    "long/" * 60 + "name.json",
]
"""Paths that mean something to some reader of some format."""


def run_facts(number: int, **more) -> RunFacts:
    started = datetime(2026, 3, 4, 9, number, tzinfo=UTC)
    return RunFacts(f"{number:032x}", "FINISHED", started, commit=f"{number:040x}", **more)


def execution(
    stage: str, deps: list[DataNode], outs: list[DataNode], *code: str, **more
) -> ExecutionNode:
    read = {dep.path: dep.hash for dep in deps} | {path: f"{path}.md5" for path in code}
    identity = Execution(
        StageId("dvc.yaml", stage), f"{stage:x<32}", read, {out.path: out.hash for out in outs}
    )
    return ExecutionNode(identity, **{"status": Status.RECORDED, **more})


ARCHIVE = OriginNode("val.zip", "http://images.example.org/zips/val.zip", "md5:0123456789", 5000)
RAW = DataNode("data/raw", "a" * 32 + ".dir", "dataset", 5000, 1, ("main", "v1"))
TRAIN = DataNode("data/train", "b" * 32 + ".dir", "dataset", 4_200_000, 83, others=2)
MODEL = DataNode("models/detector", "c" * 32 + ".dir", "model", 1024, 2)
CONVERT = execution(
    "convert",
    [RAW],
    [TRAIN],
    "src/convert.py",
    run=run_facts(1, repository=REPOSITORY, contexts={"data/raw": "input"}),
    command="bin/stage convert",
)
DOWNLOAD = execution("download", [], [RAW], status=Status.UNRECORDED)
FIT = execution(
    "train",
    [TRAIN],
    [MODEL],
    "src/train.py",
    run=run_facts(
        2,
        repository=REPOSITORY,
        branch="main",
        metrics={"map": 0.31274, "loss": float("nan"), "recall": 0.87, "steps": 10.0},
        contexts={"data/train": "training"},
    ),
    confirmations=(run_facts(3),),
    revisions=("main",),
    command=["bin/stage train", "echo done"],
    params={"train.epochs": "10", "train.weights": ""},
)
VERSION = VersionNode(
    "detector",
    "3",
    MODEL.hash,
    ("candidate", "champion"),
    "accepted",
    {"map": 0.31274},
    run_id=FIT.run.id,
)


@pytest.fixture
def typical() -> Graph:
    """A model version traced back to an archive; the download was never recorded."""
    builder = GraphBuilder()
    line = [VERSION, MODEL, FIT, TRAIN, CONVERT, RAW, DOWNLOAD, ARCHIVE]
    for node in line:
        builder.add(node)
    for target, source in pairwise(line):
        builder.link(source.id, target.id)
    builder.warn("history before v1 is missing: run `git fetch --unshallow`.")
    return builder.graph([VERSION.id])


@pytest.fixture
def empty() -> Graph:
    return GraphBuilder().graph([])


@pytest.fixture
def hostile() -> Graph:
    """A node of each type for each of the `NAMES`, with that name wherever one is possible."""
    builder = GraphBuilder()
    for number, name in enumerate(NAMES):
        data = DataNode(name, name, name, 1, 1, (name,))
        run = run_facts(
            number,
            branch=name,
            repository=name,
            experiment=name,
            metrics={name: float("inf")},
            contexts={name: name},
        )
        made = ExecutionNode(
            Execution(StageId("dvc.yaml", name), name, {name: name}, {}),
            run=run,
            command=[name, name],
            params={name: name},
        )
        version = VersionNode(
            name, str(number), name, (name,), name, {name: 1.0}, data={name: name}
        )
        origin = OriginNode(name, name, name)
        for node in (data, made, version, origin):
            builder.add(node)
        builder.link(data.id, made.id)
        builder.link(data.id, version.id)
        builder.link(origin.id, made.id)
        builder.warn(f"{name} is not what it seems.")
    return builder.graph(list(builder.nodes)[:2])
