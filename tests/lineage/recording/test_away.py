"""Stages whose tracking server is away: in the midst of them, and from the beginning."""

import json
import time
from pathlib import Path

import mlflow
import pytest

from tests.faults.servers import Server
from tests.lineage.conftest import Project, until, with_stage

LOGS = """
import time
from pathlib import Path
import lineage, mlflow

with lineage.stage() as run:
    Path("begun").touch()
    step = 0
    while not Path("enough").exists():
        step += 1
        mlflow.log_metric("step", step, step=step, timestamp=1000 * step)
        if step % 10 == 0:
            mlflow.log_text(str(step), f"steps/{step}.txt")
        time.sleep(0.05)
    run.out("out").write_text(str(step))
"""

MAKES = """
from pathlib import Path
import lineage, torch
from safetensors.torch import save_file

with lineage.stage() as run:
    save_file({"weight": torch.ones(3)}, run.out("model"))
"""

JUDGES = """
import lineage, mlflow

with lineage.stage() as run:
    model = run.dep("model")
    mlflow.log_metrics({"AP": 0.5}, model_id=run.model_ids[model.hash])
    run.out("score").write_text("0.5")
"""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    (tmp_path / "server").mkdir()
    return Server(tmp_path / "server")


def steps(client: mlflow.MlflowClient, run_id: str) -> list[tuple[int, int]]:
    return [(each.step, each.timestamp) for each in client.get_metric_history(run_id, "step")]


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_has_all_once(
    project: Project, server: Server
) -> None:
    project.write("stage.py", LOGS)
    with_stage(project)
    server.start()
    try:
        stage = project.start("dvc", "repro", MLFLOW_TRACKING_URI=server.uri)
        until((project.root / "begun").exists)
        time.sleep(1)
        server.kill()
        time.sleep(2)
        server.start()
        (project.root / "enough").touch()
        assert stage.wait(timeout=120) == 0
        client = mlflow.MlflowClient(server.uri)
        (run,) = client.search_runs([client.get_experiment_by_name("bridge").experiment_id])
        number = int((project.root / "out.txt").read_text())
        assert run.info.status == "FINISHED"
        assert steps(client, run.info.run_id) == [(n, 1000 * n) for n in range(1, number + 1)]
        texts = [each.path for each in client.list_artifacts(run.info.run_id, "steps")]
        assert sorted(texts) == sorted(f"steps/{n}.txt" for n in range(10, number + 1, 10))
        assert not list(project.root.glob(".dvc/tmp/lineage/spool/*/*"))
    finally:
        server.kill()


@pytest.mark.slow
def test_stages_that_began_without_a_server_are_told_to_it_later(
    project: Project, server: Server
) -> None:
    project.write("make.py", MAKES)
    project.write("judge.py", JUDGES)
    project.write("params.yaml", "tracking: {offline: allow}\n")
    project.write(
        "dvc.yaml",
        json.dumps(
            {
                "stages": {
                    "make": {
                        "cmd": "python make.py",
                        "deps": ["make.py"],
                        "outs": [{"model.safetensors": {"type": "model"}}],
                    },
                    "judge": {
                        "cmd": "python judge.py",
                        "deps": ["judge.py", "model.safetensors"],
                        "outs": ["score.txt"],
                    },
                }
            }
        ),
    )
    uri = {"MLFLOW_TRACKING_URI": server.uri}
    done = project.run("dvc", "repro", **uri)
    assert "The stage goes on, and what it records waits (tracking.offline)." in done.stderr
    project.commit("made without a server")
    server.start()
    try:
        said = project.run("lineage", "verify", ok=False, **uri)
        assert "records of stages wait for the tracking store" in said.stdout + said.stderr
        assert "records that had waited were sent" in project.run("lineage", "sync", **uri).stdout
        project.run("lineage", "verify", **uri)
        client = mlflow.MlflowClient(server.uri)
        found = client.search_runs([client.get_experiment_by_name("lineage").experiment_id])
        # A search leaves out what models they read.
        runs = {run.data.tags["dvc.stage"]: client.get_run(run.info.run_id) for run in found}
        assert {name: run.info.status for name, run in runs.items()} == {
            "make": "FINISHED",
            "judge": "FINISHED",
        }
        assert "lineage.backfilled" not in runs["make"].data.tags
        (model,) = runs["make"].outputs.model_outputs
        assert [each.model_id for each in runs["judge"].inputs.model_inputs] == [model.model_id]
        (metric,) = client.get_logged_model(model.model_id).metrics
        assert (metric.key, metric.value) == ("AP", 0.5)
        assert client.download_artifacts(runs["make"].info.run_id, "lineage.json")
        assert "nothing" not in project.run("lineage", "sync", **uri).stdout
    finally:
        server.kill()


def test_offline_says_what_it_takes(project: Project) -> None:
    with_stage(project)
    project.write("params.yaml", "tracking: {offline: maybe}\n")
    done = project.run("dvc", "repro", ok=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert "tracking.offline is 'maybe'; it must be allow or refuse" in done.stderr
    assert "Traceback" not in done.stderr
