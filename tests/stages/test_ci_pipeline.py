"""`bin/ci-pipeline` in fresh clones of a real git origin, with S3 and an MLflow server."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run

from lineage.identity import signature
from tests.conftest import S3Remote
from tests.stages.conftest import Clone, tag

pytestmark = pytest.mark.slow
STAGES = ["download", "convert", "inspect", "train", "evaluate", "register"]
MODEL = "ci-detector"


@dataclass(frozen=True)
class Shared:
    """What outlives a clone: git's origin, the DVC remote and the MLflow server."""

    origin: Path
    uri: str
    environment: Mapping[str, str]

    def git(self, *arguments: str) -> str:
        """What git says in the origin."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.origin, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def clone(self, folder: Path, branch: str = "main", **environment: str) -> Clone:
        """A fresh clone, as a CI system makes one."""
        whole = {**self.environment, "GITHUB_STEP_SUMMARY": f"{folder}.md", **environment}
        clone = Clone(folder, whole)
        subprocess.run(
            ["git", "clone", "--quiet", "--branch", branch, self.origin, folder], check=True
        )
        clone.run("git", "config", "user.email", "ci@example.org")
        clone.run("git", "config", "user.name", "CI")
        return clone

    def runs(self) -> list[Run]:
        """This project's runs on the server."""
        client = Clone(self.origin).client(self.uri)
        experiment = client.get_experiment_by_name("ci")
        return list(client.search_runs([experiment.experiment_id]))

    def ids(self) -> set[str]:
        """Those of its runs."""
        return {run.info.run_id for run in self.runs()}


@pytest.fixture(scope="module")
def shared(
    new_clone: Callable[[], Clone],
    s3_remote: S3Remote,
    mlflow_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shared:
    """A project that was pushed and never run."""
    origin = tmp_path_factory.mktemp("origin") / "project.git"
    seed = new_clone()
    seed.set_params({"download.sample.images": 12, "inspect.pictures": 2, "evaluate.pictures": 1})
    # The server may be that of other tests too.
    seed.set_params({"tracking.experiment": "ci", "register.model_name": MODEL})
    seed.run("dvc", "remote", "add", "--default", "storage", s3_remote.new().url)
    seed.commit("share data")
    seed.run("git", "clone", "--quiet", "--bare", str(seed.root), str(origin))
    unlike_github = {"CI": "", "GITHUB_BASE_REF": "", "CI_PIPELINE_COMMIT": ""}
    environment = {**seed.environment, **s3_remote.environment, **unlike_github}
    return Shared(origin, mlflow_server, {**environment, "MLFLOW_TRACKING_URI": mlflow_server})


@pytest.fixture(scope="module")
def first(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, str]:
    """The first rerun ever: its clone, and what it said."""
    clone = shared.clone(tmp_path_factory.mktemp("ci") / "first")
    return clone, rerun(clone)


def rerun(clone: Clone, ok: bool = True) -> str:
    done = clone.run("bin/ci-pipeline", ok=ok)
    assert done.returncode == (0 if ok else 1), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.stdout + done.stderr


def ran(said: str) -> list[str]:
    return re.findall(r"^Running stage '(\w+)'", said, re.MULTILINE)


def restored(said: str) -> list[str]:
    return re.findall(r"^Stage '(\w+)' is cached", said, re.MULTILINE)


def report(clone: Clone) -> str:
    return Path(clone.environment["GITHUB_STEP_SUMMARY"]).read_text()


def test_the_first_rerun_leaves_data_runs_and_lock_where_others_find_them(
    shared: Shared, first: tuple[Clone, str]
) -> None:
    clone, said = first
    assert ran(said) == STAGES
    assert len(shared.runs()) == len(STAGES)
    for run in shared.runs():
        entry = clone.lock()[run.data.tags["dvc.stage"]]
        assert run.data.tags["dvc.signature"] == signature(entry)
        assert tag(run, "dvc.deps") == {each["path"]: each["md5"] for each in entry["deps"]}
        assert tag(run, "dvc.outs") == {each["path"]: each["md5"] for each in entry["outs"]}
        for each in run.inputs.dataset_inputs:
            if each.dataset.name != "sample":  # which is made, not read
                assert each.dataset.digest == clone.outs()[each.dataset.name]
    assert not (clone.root / "mlflow.db").exists()
    assert shared.git("show", "main:dvc.lock") == (clone.root / "dvc.lock").read_text().strip()
    files = set(shared.git("show", "--name-only", "--format=", "main").splitlines())
    assert {"dvc.lock", "data/.gitignore"} <= files
    assert {Path(file).name for file in files} == {"dvc.lock", ".gitignore"}
    assert clone.run("git", "status", "--porcelain").stdout == ""
    status = json.loads(clone.run("dvc", "data", "status", "--not-in-remote", "--json").stdout)
    assert "not_in_remote" not in status

    client = clone.client(shared.uri)
    champion = client.get_model_version_by_alias(MODEL, "champion")
    assert champion.tags["dvc.hash"] == clone.outs()["models/detector"]
    assert "6 stages ran, 0 reused" in report(clone)


def test_with_nothing_changed_no_stage_runs_and_nothing_is_committed(
    shared: Shared, first: tuple[Clone, str], tmp_path: Path
) -> None:
    before = shared.ids(), shared.git("rev-parse", "main")
    clone = shared.clone(tmp_path / "ci")
    said = rerun(clone)
    assert ran(said) == restored(said) == []
    assert (shared.ids(), shared.git("rev-parse", "main")) == before
    assert clone.run("git", "rev-parse", "HEAD").stdout.strip() == before[1]
    assert not (clone.root / "data/raw").exists()  # in no remote, and nobody needed it
    assert (clone.root / "models/detector/model.safetensors").is_file()
    assert "No stage ran, 6 reused" in report(clone)
    assert all(run in report(clone) for run in before[0])


def test_a_failed_stage_a_moved_branch_and_an_experiment_cost_no_stage_twice(
    shared: Shared, first: tuple[Clone, str], tmp_path: Path
) -> None:
    person = shared.clone(tmp_path / "person")
    person.run("git", "switch", "--quiet", "--create", "idea")
    person.set(inspect__pictures=1)
    with (person.root / "src/cocopipe/stages/convert.py").open("a") as file:
        file.write("# a remark that changes no byte of the data\n")
    with (person.root / "src/cocopipe/stages/register.py").open("a") as file:
        file.write("raise SystemExit('register: out of order')\n")
    person.commit("an idea")
    person.run("git", "push", "--quiet", "--set-upstream", "origin", "idea")
    tip = shared.git("rev-parse", "idea")

    said = rerun(shared.clone(tmp_path / "failing", "idea"), ok=False)
    # What convert reads is in no remote, so download has to run for it.
    assert ran(said) == ["download", "convert", "inspect", "register"]
    assert "register: out of order" in said
    assert said.splitlines()[-1].startswith("ci-pipeline: a stage failed, see above")
    assert shared.git("rev-parse", "idea") == tip

    person.run("git", "checkout", "--quiet", "main", "--", "src")
    person.set(register__thresholds={"AP50": 0.9})
    person.commit("a better idea")
    person.run("git", "push", "--quiet")
    late = shared.clone(tmp_path / "late", "idea")
    person.run("git", "commit", "--quiet", "--allow-empty", "--message", "meanwhile")
    person.run("git", "push", "--quiet")
    tip = shared.git("rev-parse", "idea")
    said = rerun(late, ok=False)
    assert (ran(said), restored(said)) == (["register"], ["inspect"])
    assert "ci-pipeline: idea has moved on meanwhile" in said
    assert shared.git("rev-parse", "idea") == tip

    before = shared.ids()
    clone = shared.clone(tmp_path / "ci", "idea", CI_PIPELINE_COMMIT="experiment")
    said = rerun(clone)
    assert (ran(said), restored(said)) == ([], ["inspect", "register"])
    assert shared.ids() == before
    assert shared.git("rev-parse", "idea") == tip
    (experiment,) = shared.git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    assert shared.git("rev-parse", f"{experiment}^") == tip
    assert shared.git("show", "--name-only", "--format=", experiment) == "dvc.lock"
    lock = (clone.root / "dvc.lock").read_text()
    assert shared.git("show", f"{experiment}:dvc.lock") == lock.strip()
    listed = person.run("dvc", "exp", "list", "origin", "--all-commits").stdout
    assert experiment.rpartition("/")[2] in listed


@pytest.mark.parametrize(
    ("command", "environment", "words"),
    [
        ("git checkout --quiet --detach", {}, "HEAD is detached"),
        ("touch code.py", {}, "what is not in git yet"),
        ("dvc remote remove storage", {}, "no default DVC remote"),
        ("git remote remove origin", {}, "no git remote origin"),
        ("true", {"CI_PIPELINE_COMMIT": "brunch"}, "CI_PIPELINE_COMMIT is 'brunch'"),
        ("true", {"CI": "true", "MLFLOW_TRACKING_URI": ""}, "MLFLOW_TRACKING_URI is not set"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_would_fail_at_the_end_fails_at_the_start(
    shared: Shared, tmp_path: Path, command: str, environment: dict[str, str], words: str
) -> None:
    clone = shared.clone(tmp_path / "ci", **environment)
    clone.run(*command.split())
    said = rerun(clone, ok=False)
    assert said.startswith("ci-pipeline: ")
    assert words in said
    assert len(said.splitlines()) == 1
