"""A project whose one stage reads hundreds of files, each a dataset version of its own."""

import os
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent
FILES = 450

STAGE = """
stages:
  train:
    cmd: cat {files} > model.txt
    deps: [{listed}]
    outs: [model.txt: {{type: model}}]
"""


def generate(root: Path, store_uri: str, files: int = FILES) -> str:
    """Write the project to ``root``, and the run of its stage to a store that is there.

    Returns:
        What to ask about: its model, as a path.
    """
    root.mkdir(parents=True)
    names = [f"parts/{number:03}.txt" for number in range(files)]
    (root / "parts").mkdir()
    for name in names:
        (root / name).write_text(f"the part {name}\n", encoding="utf-8")
    text = STAGE.format(files="parts/*.txt", listed=", ".join(names))
    (root / "dvc.yaml").write_text(text, encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": store_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
    }

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command[:3])} failed: {done.stdout}{done.stderr}"[-2000:])

    run("git", "init", "--quiet")
    run("git", "config", "user.email", "bench@example.org")
    run("git", "config", "user.name", "Bench")
    run("dvc", "init", "--quiet")
    run("dvc", "add", "--quiet", *names)
    run("dvc", "repro", "--quiet")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "many inputs")
    run("lineage", "sync")
    return "model.txt"
