"""What changed between two REFs, against what git, YAML and the MLflow client say."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lineage.errors import LineageError
from lineage.identity import Execution, StageId
from lineage.join.graph import DataNode, ExecutionNode, Graph
from lineage.join.reference import RevisionRef
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.tracking.facts import RunFacts
from lineage.tracking.producer import Status
from lineage.verbs.diff import compare, diff
from lineage.verbs.diff_answer import Difference, Side
from lineage.verbs.diff_sides import Traced
from tests.lineage.conftest import hashes
from tests.lineage.verbs.branches import NOTE, Story, outs, raw, repeated


@pytest.fixture
def project(story: Story) -> Project:
    """The history, as who asks about it finds it."""
    return Project.find(story.project.root)


def changes(found: Any) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {(each.stage, each.name): (each.before, each.after) for each in found}


def test_two_revisions(story: Story, project: Project) -> None:
    told, git = story.project, story.project.run
    found = diff(project, "v2", "more")
    assert (found.a.commit, found.b.commit) == tuple(
        git("git", "rev-parse", f"{rev}^{{commit}}").stdout.strip() for rev in ("v2", "more")
    )
    before, after = ({**outs(told, rev), "data/raw.csv": raw(told, rev)} for rev in ("v2", "more"))
    expected = {path: (before[path], after[path]) for path in before if before[path] != after[path]}
    assert set(expected) == {"data/raw.csv", "data/train", "models/m"}
    assert {
        each.path: (each.before and each.before.hash, each.after and each.after.hash)
        for each in found.data
    } == expected
    assert {each.path: each.kind for each in found.data} == {
        "data/raw.csv": "dataset",
        "data/train": "dataset",
        "models/m": "model",
    }
    raw_csv = next(each for each in found.data if each.path == "data/raw.csv")
    assert raw_csv.before and raw_csv.after
    assert (raw_csv.before.size_bytes, raw_csv.after.size_bytes) == (11, 13)
    assert (raw_csv.before.files, raw_csv.after.files) == (1, 1)
    assert changes(found.params) == {("fit", "fit.note"): ("plain", NOTE)}
    deps = [hashes(told.lock(rev=rev)["fit"]["deps"]) for rev in ("v2", "more")]
    assert changes(found.code) == {("fit", "fit.py"): (deps[0]["fit.py"], deps[1]["fit.py"])}
    names = git("git", "diff", "--name-only", "v2", "more").stdout.splitlines()
    assert found.files == tuple(sorted(names))
    assert [each.stage for each in found.stages] == ["split", "fit"]
    assert not found.commands
    assert not found.is_equal


def test_metrics_are_those_of_the_runs_and_nan_equals_nan(story: Story, project: Project) -> None:
    found = diff(project, "v1", "v2")
    first, second = (run.data.metrics for run in story.project.runs("fit")[:2])
    assert first["noise"] != first["noise"]
    assert changes(found.metrics) == {("fit", "AP"): (first["AP"], second["AP"])}
    assert found.warnings == ()


def test_a_thing_is_equal_to_itself(project: Project) -> None:
    for ref in ("main", "models:/detector/1", "models/m@main"):
        assert diff(project, ref, ref).is_equal


def test_names_of_one_commit_are_equal(project: Project) -> None:
    assert diff(project, "v2", "main").is_equal


def test_what_went_there_and_back_is_equal_but_in_its_files(project: Project) -> None:
    found = diff(project, "v1", "back")
    assert found.is_equal
    assert found.files == ()


def test_json_knows_no_nan() -> None:
    run = RunFacts("1", "FINISHED", datetime.now(UTC), metrics={"loss": 0.5})
    lost = replace(run, metrics={"loss": float("nan")})
    found = compared(fit(run=run), fit(run=lost, outs={"m": "2" * 32}))
    document = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert document["metrics"] == [{"stage": "fit", "name": "loss", "before": 0.5, "after": "nan"}]
    assert document["equal"] is False


def test_a_model_version_and_a_revision_are_compared_as_models(
    story: Story, project: Project
) -> None:
    found = diff(project, "models:/detector@champion", "more")
    assert found.a.meaning == "the model version models:/detector/1"
    commit = story.project.client.get_run(story.champion).data.tags["git.commit"]
    assert found.a.commit == commit
    assert found.a.dirty  # the rate was not committed yet
    # look has no part in a model, and other.csv neither
    assert {each.stage for each in found.stages} == {"split", "fit"}
    assert {each.path for each in found.data} == {"data/raw.csv", "data/train", "models/m"}
    assert ("fit", "AP") in changes(found.metrics)


def test_a_model_version_equals_the_revision_that_holds_it(project: Project) -> None:
    assert diff(project, "v2", "models:/detector/1").is_equal
    assert diff(project, "models:/detector/1", "v2").is_equal


def test_model_versions_are_compared_by_their_evaluation(story: Story, tmp_path: Path) -> None:
    told = story.copy(tmp_path)
    client, model = told.client, outs(told, "more")["models/m"]
    tags = {"dvc.hash": model, "dvc.evaluation": "e" * 32}
    tags[f"evaluation.{'e' * 32}"] = json.dumps({"AP": 1.25, "AR": 0.25})
    client.create_model_version("detector", str(told.root / "models/m"), tags=tags)
    for a, b in (("models:/detector/1", "models:/detector/2"), ("models/m@v2", "models/m@more")):
        found = diff(Project.find(told.root), a, b)
        assert changes(found.metrics)["", "AP"] == (1.0, 1.25)
        assert ("", "AR") not in changes(found.metrics)
        assert any("do not compare the models alone" in each for each in found.warnings)


def test_two_runs(story: Story, project: Project) -> None:
    first, second, _ = story.project.runs("fit")
    found = diff(project, first.info.run_id, second.info.run_id)
    assert changes(found.params) == {("fit", "fit.rate"): ("0.125", "0.25")}
    assert [each.path for each in found.data] == ["models/m"]
    assert found.a.commit == first.data.tags.get("git.commit", "")


def test_of_two_runs_with_the_same_bytes_each_has_its_own_metrics(
    story: Story, tmp_path: Path
) -> None:
    told = story.copy(tmp_path)
    run = told.runs("fit")[1]
    again = repeated(told, run.info.run_id, {"AP": 0.5})
    found = diff(Project.find(told.root), run.info.run_id, again)
    assert changes(found.metrics)["fit", "AP"] == (run.data.metrics["AP"], 0.5)
    assert not found.stages
    assert not found.data


def test_dataset_versions_by_path_and_revision(story: Story, project: Project) -> None:
    found = diff(project, f"{story.project.root}/data/train@v1", "data/train@more")
    assert [each.path for each in found.data] == ["data/train", "data/raw.csv"]
    assert [each.stage for each in found.stages] == ["split"]
    assert not found.params


def test_the_working_tree_is_one_of_the_two(story: Story, tmp_path: Path) -> None:
    told = story.copy(tmp_path)
    assert diff(Project.find(told.root), "HEAD", "workspace").is_equal
    for path in ("dvc.lock", "params.yaml", "data/raw.csv.dvc", "fit.py"):
        told.write(path, told.run("git", "show", f"more:{path}").stdout)
    told.write("new.py", "")
    found = diff(Project.find(told.root), "HEAD", "workspace")
    committed = diff(Project.find(told.root), "HEAD", "more")
    assert found.b.as_dict() == {
        "ref": "workspace",
        "meaning": "the working tree",
        "commit": "workspace",
        "dirty": False,
    }
    assert set(found.files or ()) == {*(committed.files or ()), "new.py"}
    same = replace(found, b=committed.b, files=committed.files)
    assert same.as_dict() == committed.as_dict()


def test_a_stage_without_a_run_has_unknown_metrics(story: Story, tmp_path: Path) -> None:
    told = story.copy(tmp_path)
    told.client.delete_run(told.runs("fit")[0].info.run_id)
    found = diff(Project.find(told.root), "v1", "v2")
    assert changes(found.params) == {("fit", "fit.rate"): ("0.125", "0.25")}
    assert not found.metrics
    assert any(
        "no run that measured the stage fit of the revision v1" in each for each in found.warnings
    )


def test_a_commit_that_is_not_here_leaves_files_unknown(story: Story, tmp_path: Path) -> None:
    told = story.copy(tmp_path)
    told.client.set_tag(story.champion, "git.commit", "ab" * 20)
    found = diff(Project.find(told.root), "models:/detector/1", "models/m@more")
    assert found.files is None
    assert any("ab" * 20 in each and "git fetch" in each for each in found.warnings)


def test_things_without_anything_in_common_are_refused(project: Project) -> None:
    with pytest.raises(LineageError, match="no stage and no path of data in common"):
        diff(project, "data/other.csv@main", "data/val.csv@main")
    with pytest.raises(LineageError, match="nothing that git, DVC"):
        diff(project, "main", "nowhere")


# What no small history shows.


def fit(
    signature: str = "1" * 32,
    *,
    pipeline: str = "dvc.yaml",
    deps: dict[str, str] | None = None,
    outs: dict[str, str] | None = None,
    **more: Any,
) -> ExecutionNode:
    execution = Execution(StageId(pipeline, "fit"), signature, deps or {}, outs or {})
    return ExecutionNode(execution, Status.RECORDED, **more)


def compared(before: ExecutionNode, after: ExecutionNode, *others: ExecutionNode) -> Difference:
    """Of graphs that hold these executions and nothing upstream; the others on both sides."""
    sides = []
    for name, node in (("a", before), ("b", after)):
        nodes = {each.id: each for each in (node, *others)}
        revision = RevisionRef(name, Commit(name, datetime.now(UTC), (), "", ()))
        sides.append(Traced(Side(name, name), revision, Graph(tuple(nodes), nodes, ())))
    return compare(Project(None), *sides)  # type: ignore[arg-type]


def test_stages_of_one_name_in_two_pipelines_are_told_apart() -> None:
    here, there = fit(params={"rate": "1"}), fit("2" * 32, params={"rate": "2"})
    other = fit("3" * 32, pipeline="sub/dvc.yaml", params={"rate": "3"})
    found = compared(here, there, other)
    assert changes(found.params) == {("fit", "rate"): ("1", "2")}
    below = replace(there, execution=replace(there.execution, stage=StageId("sub/dvc.yaml", "fit")))
    found = compared(here, below)
    assert [(each.stage, each.before, each.after) for each in found.stages] == [
        ("fit", here, None),
        ("sub/dvc.yaml:fit", None, below),
    ]
    assert not found.params


def test_a_command_is_compared_where_both_are_known() -> None:
    one = fit(command=["a", "b"])
    other = fit("2" * 32, command="a")
    assert changes(compared(one, other).commands) == {("fit", "cmd"): ("a\nb", "a")}
    unknown = replace(other, command="")
    found = compared(one, unknown)
    assert not found.commands
    assert not found.is_equal
    assert any("something that is not shown" in each for each in found.warnings)


def test_floats_compare_exactly() -> None:
    run = RunFacts("1", "FINISHED", datetime.now(UTC), metrics={"a": 0.1 + 0.2, "b": 1.0})
    other = replace(run, metrics={"a": 0.3, "b": 1.0})
    assert changes(compared(fit(run=run), fit(run=other)).metrics) == {
        ("fit", "a"): (0.1 + 0.2, 0.3)
    }


def test_a_metric_that_only_one_side_has_is_a_change() -> None:
    run = RunFacts("1", "FINISHED", datetime.now(UTC), metrics={"a": 1.0, "old": 2.0})
    other = replace(run, metrics={"a": 1.0, "new": 3.0})
    assert changes(compared(fit(run=run), fit(run=other)).metrics) == {
        ("fit", "old"): (2.0, None),
        ("fit", "new"): (None, 3.0),
    }


def test_code_is_what_has_no_data_upstream() -> None:
    deps = {"data": "d" * 32, "fit.py": "1" * 32}
    one, other = fit(deps=deps), fit("2" * 32, deps={**deps, "data": "e" * 32, "fit.py": "2" * 32})
    sides = []
    for name, node in (("a", one), ("b", other)):
        data = DataNode("data", node.execution.deps["data"], "dataset")
        graph = Graph((node.id,), {node.id: node, data.id: data}, ((data.id, node.id),))
        revision = RevisionRef(name, Commit(name, datetime.now(UTC), (), "", ()))
        sides.append(Traced(Side(name, name), revision, graph))
    found = compare(Project(None), *sides)  # type: ignore[arg-type]
    assert changes(found.code) == {("fit", "fit.py"): ("1" * 32, "2" * 32)}
    assert [each.path for each in found.data] == ["data"]
