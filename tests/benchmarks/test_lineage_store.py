"""The project that lineage is measured on is what recording would have left."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from benchmarks.lineage_store import Generated, generate
from benchmarks.tracked_project.history import Size, play
from benchmarks.tracked_project.pipeline import CODE, ROOT, STAGES, TRAINING_CODE
from benchmarks.tracked_project.repository import write_repository
from dvc.repo import Repo
from mlflow import MlflowClient

from lineage.recording import run_record
from lineage.repository.code import CodeState
from lineage.repository.workspace import Workspace
from lineage.tracking.connection import pages
from lineage.tracking.producer import Status
from lineage.tracking.runs import Runs
from lineage.tracking.tags import RECORD
from tests.lineage.by_dvc import locked_stages

SIZE = Size(runs=60, dataset_versions=5, model_versions=6, commits=12)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("bench") / "project", **vars(SIZE), seed=7)


@pytest.fixture(scope="module")
def client(project: Generated) -> MlflowClient:
    return MlflowClient(project.store_uri, project.store_uri)


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def runs(client: MlflowClient, query: str = "") -> list[mlflow.entities.Run]:
    experiments = [each.experiment_id for each in client.search_experiments()]
    return list(pages(client.search_runs, experiment_ids=experiments, filter_string=query))


def test_its_code_is_this_repositorys_and_an_edit_of_training_code_reruns_training() -> None:
    def covers(dep: str, file: str) -> bool:
        return file == dep or file.startswith(f"{dep}/")

    deps = {dep for stage in STAGES for dep in stage.deps if dep.startswith("src/")}
    assert len(deps) > 10
    for file in CODE:
        assert (ROOT / file).is_file(), file
        assert any(covers(dep, file) for dep in deps), file
    for dep in deps:
        assert any(covers(dep, file) for file in CODE), dep
    for file in TRAINING_CODE:
        rerun = [each.name for each in STAGES if any(covers(dep, file) for dep in each.deps)]
        assert rerun == ["train"], file


def test_the_counts_are_those_asked_for(project: Generated, client: MlflowClient) -> None:
    digests = {
        source.dataset.digest
        for run in runs(client)
        for source in run.inputs.dataset_inputs
        if source.dataset.name == "data/train"
    }
    versions = list(pages(client.search_model_versions, filter_string="name = 'coco-detector'"))
    assert git(project.root, "rev-list", "--count", "--branches") == "12"
    assert git(project.root, "for-each-ref", "--format=%(refname)", "refs/exps").count("\n") == 1
    assert len(runs(client)) == 60
    assert len(digests) == 5
    assert {int(version.version) for version in versions} == set(range(1, 7))


def test_git_and_dvc_find_nothing_amiss(project: Generated) -> None:
    git(project.root, "fsck", "--strict")
    assert git(project.root, "status", "--porcelain") == ""
    with Repo(str(project.root)) as repo:
        assert repo.status() == {}


@pytest.mark.parametrize("rev", [None, "relabel", "v1.0", "adopted-lynx"])
def test_every_locked_stage_has_the_run_that_made_it(
    rev: str | None, project: Generated, client: MlflowClient
) -> None:
    refs = git(project.root, "for-each-ref", "--format=%(refname)").splitlines()
    rev = next((ref for ref in refs if rev and ref.endswith(f"/{rev}")), None)
    stages = locked_stages(Workspace.find(project.root), rev)
    assert len(stages) == 6
    for stage in stages:
        found = Runs(client).resolve(stage.execution)
        assert found.status is Status.RECORDED
        assert found.producer is not None
        assert json.loads(found.producer.data.tags["dvc.deps"]) == stage.execution.deps


def test_every_run_belongs_to_a_commit_that_git_has(
    project: Generated, client: MlflowClient
) -> None:
    commits = set(git(project.root, "rev-list", "--branches").splitlines())
    assert {run.data.tags["git.commit"] for run in runs(client)} <= commits


def test_what_is_worth_asking_about_belongs_together(
    project: Generated, client: MlflowClient
) -> None:
    champion = client.get_model_version_by_alias("coco-detector", "champion")
    training = client.get_run(project.run)
    (output,) = training.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    tested = {metric.dataset_digest for metric in logged.metrics if metric.key == "AP"}
    contexts = {
        source.dataset.name: tag.value
        for source in training.inputs.dataset_inputs
        for tag in source.tags
        if tag.key == "mlflow.data.context"
    }
    assert project.version == f"models:/coco-detector/{champion.version}"
    assert champion.run_id == project.run
    assert champion.source == f"models:/{output.model_id}"
    assert logged.tags["dvc.hash"] == champion.tags["dvc.hash"]
    assert tested == {champion.tags["dvc.evaluation"]}
    assert contexts == {"data/train": "training", "data/val": "validation"}
    assert project.dataset in git(project.root, "show", f"{project.commit}:dvc.lock")
    assert project.dataset not in git(project.root, "show", f"{project.commit}^:dvc.lock")


def test_the_whole_record_has_the_fields_of_a_genuine_one(
    project: Generated, client: MlflowClient
) -> None:
    workspace = Workspace.find(project.root)
    (train,) = [
        stage for stage in locked_stages(workspace) if stage.execution.stage.name == "train"
    ]
    producer = Runs(client).resolve(train.execution).producer
    path = project.root / "mlartifacts" / producer.info.run_id / "artifacts" / RECORD
    genuine = run_record.document(workspace, train, CodeState("", "", False, "", ""))
    made = json.loads(path.read_text())
    assert made.keys() == genuine.keys()
    assert made["environment"].keys() == genuine["environment"].keys()
    assert made["deps"] == genuine["deps"]


def test_the_same_arguments_give_the_same_commits(project: Generated, tmp_path: Path) -> None:
    again = write_repository(tmp_path, play(SIZE, seed=7))
    assert set(again) == set(git(project.root, "rev-list", "--branches").splitlines())


@pytest.mark.parametrize("unfit", [{"runs": 30}, {"commits": 5}, {"dataset_versions": 0}])
def test_numbers_that_do_not_go_together_are_refused(unfit: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"too few|dataset versions"):
        replace(SIZE, **unfit)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(ValueError, match="not empty"):
        generate(tmp_path)
