"""Divide the houses into those to train on and those to test with."""

from pathlib import Path

import yaml

import lineage

every = yaml.safe_load(Path("params.yaml").read_text())["prepare"]["test_every"]

with lineage.stage() as run:
    head, *rows = run.dep("houses").location.read_text().splitlines()
    test = rows[::every]
    train = [row for number, row in enumerate(rows) if number % every]
    for name, part in {"train": train, "test": test}.items():
        run.out(name).parent.mkdir(exist_ok=True)
        run.out(name).write_text("\n".join([head, *part]) + "\n")
