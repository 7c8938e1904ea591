"""Runs and model versions as stages would leave them, written by MLflow's client alone."""

import json

from lineage.identity import signature
from lineage.join.graph import ExecutionNode, Graph
from lineage.project import Project as Asked
from tests.lineage.conftest import Project, hashes

OTHER_RUN = "0" * 31 + "f"
"""An id that no run has."""


def entry(project: Project, stage: str, rev: str | None) -> dict:
    """What a revision's lock, or that of the working tree, says of a stage."""
    return project.lock(rev=rev)[stage]


def recorded(project: Project, stage: str, rev: str | None = None, **more: str) -> str:
    """Write the run of a lock entry as a stage would; returns its id."""
    lock = entry(project, stage, rev)
    tags = {
        "dvc.stage": stage,
        "dvc.pipeline": "dvc.yaml",
        "dvc.signature": signature(lock),
        "dvc.deps": json.dumps(hashes(lock["deps"]), sort_keys=True, separators=(",", ":")),
        "dvc.outs": json.dumps(hashes(lock["outs"]), sort_keys=True, separators=(",", ":")),
    }
    client = project.client
    run_id = str(client.create_run("0", tags={**tags, **more}).info.run_id)
    client.set_terminated(run_id)
    return run_id


def registered(project: Project, name: str, rev: str, run_id: str, **tags: str) -> str:
    """Register the model of a revision; returns its REF."""
    client = project.client
    client.create_registered_model(name)
    tags = {"dvc.hash": digest(project, "train", rev), "dvc.run": run_id, **tags}
    version = client.create_model_version(name, "/nowhere", tags=tags)
    client.set_registered_model_alias(name, "best", version.version)
    return f"models:/{name}/{version.version}"


def digest(project: Project, stage: str, rev: str) -> str:
    """The hash of a stage's first output."""
    return str(entry(project, stage, rev)["outs"][0]["md5"])


def asked(project: Project) -> Asked:
    return Asked.find(project.root)


def runs_in(graph: Graph) -> dict[str, str | None]:
    """Stage -> id of its run."""
    return {
        node.execution.stage.name: node.run.id if node.run else None
        for node in graph.nodes.values()
        if isinstance(node, ExecutionNode)
    }
