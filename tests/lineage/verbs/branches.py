"""A history of four commits on three branches, with runs of each and one model version."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow.entities import Metric

from tests.lineage.conftest import SHORT_LIVED, Project, hashes

PIPELINE = """
stages:
  split:
    cmd: python split.py
    deps: [data/raw.csv, split.py]
    params: [split]
    outs:
      - data/train: {type: dataset}
      - data/val.csv: {type: dataset}
  look:
    cmd: python look.py
    deps: [data/val.csv, look.py]
    outs:
      - reports/look.txt: {type: report}
  fit:
    cmd: python fit.py
    deps: [data/train, fit.py]
    params: [fit]
    outs:
      - models/m: {type: model}
"""
PARAMS = """
tracking: {{experiment: story}}
split: {{validation: 2}}
fit:
  rate: {rate}
  note: {note}
"""
SPLIT = """
import lineage
with lineage.stage() as run:
    rows = run.dep("raw").location.read_text().splitlines()
    n = run.observed.params["params.yaml"]["split"]["validation"]
    run.out("val").write_text("\\n".join(rows[:n]))
    run.out("train").mkdir(parents=True)
    (run.out("train") / "rows.csv").write_text("\\n".join(rows[n:]))
"""
LOOK = """
import lineage, mlflow
with lineage.stage() as run:
    mlflow.log_metric("rows", len(run.dep("val").location.read_text().splitlines()))
    run.out("look").parent.mkdir(exist_ok=True)
    run.out("look").write_text("looks good")
"""
FIT = """
import lineage, mlflow
with lineage.stage({"train": "training"}) as run:
    rate = run.observed.params["params.yaml"]["fit"]["rate"]
    rows = len((run.dep("train").location / "rows.csv").read_text().splitlines())
    mlflow.log_metrics({"AP": rate * rows, "AR": 0.25, "noise": float("nan")})
    run.out("m").mkdir(parents=True)
    (run.out("m") / "weights").write_text(f"{rate} {rows}")
"""


FACTS = """
def facts(path):
    if path.suffix == ".csv":
        return {"profile": {"rows": len(path.read_text().splitlines())}}
    rows = path / "rows.csv"
    return {"profile": {"rows": len(rows.read_text().splitlines())}} if rows.is_file() else None
"""


NOTE = "a|b `c` <script>\nd"
"""A param in which much means something to Markdown and HTML."""


@dataclass(frozen=True)
class Story:
    """Two commits on main, a branch back to an older param, and one with other data.

    Attributes:
        project: Its repository; tests that change something work in a `copy`.
        champion: Id of the run that trained version 1 of the model ``detector``.
    """

    project: Project
    champion: str

    def copy(self, folder: Path) -> Project:
        return self.project.copy(folder / "copy")


def tell(project: Project) -> Story:
    """Make it of a blank project."""
    project.environment["PYTHONPATH"] += f":{project.root / 'plugins'}"
    for path, text in {
        "plugins/story_facts.py": FACTS,
        "plugins/story-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: story\nVersion: 1\n",
        "plugins/story-1.dist-info/entry_points.txt": "[lineage.facts]\nrows = story_facts:facts\n",
        "dvc.yaml": PIPELINE,
        "split.py": SHORT_LIVED + SPLIT,
        "look.py": SHORT_LIVED + LOOK,
        "fit.py": SHORT_LIVED + FIT,
        "params.yaml": PARAMS.format(rate=0.125, note="plain"),
        "data/raw.csv": "1\n2\n3\n4\n5\n6",
        "data/other.csv": "of no use",
    }.items():
        project.write(path, text)
    project.run("dvc", "add", "--quiet", "data/raw.csv", "data/other.csv")
    project.run("dvc", "repro", "--quiet")
    project.commit("first")
    project.run("git", "tag", "v1")
    project.write("params.yaml", PARAMS.format(rate=0.25, note="plain"))
    project.run("dvc", "repro", "--quiet")
    project.commit("faster")
    project.run("git", "tag", "v2")
    champion = register(project)

    project.run("git", "switch", "--quiet", "--create", "back")
    project.run("git", "checkout", "--quiet", "v1", "--", "params.yaml")
    project.run("dvc", "repro", "--quiet")  # from the run-cache
    project.commit("slower again")

    project.run("git", "switch", "--quiet", "--create", "more", "main")
    project.write("data/raw.csv", "1\n2\n3\n4\n5\n6\n7")
    project.write("params.yaml", PARAMS.format(rate=0.25, note=json.dumps(NOTE)))
    project.write("fit.py", SHORT_LIVED + FIT + "# all the same\n")
    project.run("dvc", "add", "--quiet", "data/raw.csv")
    project.run("dvc", "repro", "--quiet")
    project.commit("more data")

    project.run("git", "switch", "--quiet", "main")
    project.run("dvc", "checkout", "--quiet")
    return Story(project, champion)


def register(project: Project) -> str:
    """Register what fit made last as version 1; returns the run that trained it."""
    client = project.client
    run = project.runs("fit")[-1].info.run_id
    stages = project.lock()
    model, val = stages["fit"]["outs"][0]["md5"], hashes(stages["split"]["outs"])["data/val.csv"]
    tags = {
        "dvc.hash": model,
        "dvc.run": run,
        "dvc.evaluation": val,
        f"evaluation.{val}": json.dumps({"AP": 1.0, "AR": 0.25}),
        "verdict": "accepted",
    }
    client.create_registered_model("detector")
    source = str(project.root / "models/m")
    client.create_model_version("detector", source, run_id=run, tags=tags)
    client.set_registered_model_alias("detector", "champion", "1")
    return run


def outs(project: Project, rev: str) -> dict[str, str]:
    """Path -> hash of all that a revision's lock says was written."""
    entries = project.lock(rev=rev).values()
    return {path: digest for entry in entries for path, digest in hashes(entry["outs"]).items()}


def raw(project: Project, rev: str) -> str:
    text = project.run("git", "show", f"{rev}:data/raw.csv.dvc").stdout
    return text.split("md5: ")[1].split()[0]


def repeated(project: Project, run_id: str, metrics: dict[str, float]) -> str:
    """A run that came to the same bytes as another one."""
    client = project.client
    run = client.get_run(run_id)
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    again = client.create_run(run.info.experiment_id, tags=tags).info.run_id
    now = int(datetime.now(UTC).timestamp() * 1000)
    client.log_batch(again, [Metric(key, value, now, 0) for key, value in metrics.items()])
    client.set_terminated(again, "FINISHED")
    return str(again)
