"""A pipeline that prepares a folder and trains on it, to be made into histories.

No stage needs Python, which would take most of the time: `recorded` writes the runs.
"""

from dataclasses import replace

from mlflow.entities import Run

from tests.lineage.conftest import Project, hashes, tag

PREPARE = """
stages:
  prepare:
    cmd: mkdir -p {out} && cp raw.txt {out}/rows.txt && cp labels.txt {out}/labels.txt
    deps: [raw.txt, labels.txt]
    outs: [{out}: {{type: dataset}}]
"""
TRAIN = """
  train:
    cmd: {train}
    deps: [{dep}]
    outs: [models/m: {{type: model}}]
"""


def pipeline(
    out: str = "data/train",
    dep: str = "data/train",
    train: str = "mkdir -p models && printf model > models/m",
) -> str:
    """A ``dvc.yaml`` whose stage prepare writes ``out``, and whose stage train reads ``dep``."""
    return PREPARE.format(out=out) + TRAIN.format(dep=dep, train=train)


def begin(project: Project, pipeline: str) -> Project:
    """The code and what it reads, committed."""
    project.write("dvc.yaml", pipeline)
    project.write("raw.txt", "raw")
    project.write("labels.txt", "cat")
    project.commit("code")
    return project


def register(project: Project, run: Run) -> None:
    """Register a run's model as ``models:/toy/1``, by MLflow's client alone."""
    client = project.client
    client.create_registered_model("toy")
    tags = {
        "dvc.hash": tag(run, "dvc.outs")["models/m"],
        "dvc.data": run.data.tags["dvc.deps"],
        "dvc.run": run.info.run_id,
    }
    client.create_model_version("toy", run.info.artifact_uri, run.info.run_id, tags=tags)


def worktree(project: Project) -> Project:
    """A git worktree of its v1, beside it."""
    name = f"{project.root.name}-wt"
    project.run("git", "worktree", "add", "--quiet", f"../{name}", "v1")
    return replace(project, root=project.root.parent / name)


def folder_of(project: Project, rev: str) -> str:
    """The hash of prepare's folder at a revision."""
    return hashes(project.lock(rev=rev)["prepare"]["outs"])["data/train"]
