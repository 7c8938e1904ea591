"""The artifacts of runs from which lineage is read."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.tracked_project.outcome import Outcome
from benchmarks.tracked_project.pipeline import RAW
from lineage import environment
from lineage.repository.code import CodeState
from lineage.repository.items import Item
from lineage.tracking.tags import ORIGINS, RECORD

BYTE_WRITERS = ("numpy", "pillow", "pyarrow", "torch")
"""The packages that a made-up record names; a genuine one names all that are installed."""


@dataclass(frozen=True)
class Artifacts:
    """Where they are.

    Attributes:
        folder: Of all runs and models of the experiment.
    """

    folder: Path

    @property
    def uri(self) -> str:
        """The same, for MLflow."""
        return self.folder.as_uri()

    def write(self, run_id: str, outcome: Outcome, revision: CodeState) -> None:
        """Write those of one run."""
        documents = {RECORD: self._document(outcome, revision)}
        if outcome.stage.name == "download":
            documents[ORIGINS] = {"origins": [_origin(outcome)]}
        folder = self.folder / run_id / "artifacts"
        folder.mkdir(parents=True)
        for name, values in documents.items():
            (folder / name).write_text(json.dumps(values), encoding="utf-8")

    def _document(self, outcome: Outcome, revision: CodeState) -> dict[str, Any]:
        """As `run_record.document`, which looks at every installed package each time."""
        observed = outcome.observed
        return {
            "pipeline": observed.execution.stage.pipeline,
            "stage": observed.execution.stage.name,
            "signature": observed.execution.signature,
            "command": observed.command,
            "params": observed.params,
            "deps": _items(observed.deps),
            "outs": _items(observed.outs),
            "git": asdict(revision),
            "environment": self._environment,
        }

    @cached_property
    def _environment(self) -> dict[str, Any]:
        described = environment.describe(self.folder.parent)
        return {
            **described,
            "packages": {name: described["packages"][name] for name in BYTE_WRITERS},
        }


def _items(items: Iterable[Item]) -> list[dict[str, Any]]:
    return [
        {
            "path": item.path,
            "hash": item.hash,
            "kind": item.kind,
            "bytes": item.size_bytes,
            "files": item.files,
        }
        for item in items
    ]


def _origin(download: Outcome) -> dict[str, Any]:
    sample = download.observed.params["params.yaml"]["download"]["sample"]
    return {
        "name": "sample",
        "url": "sample:",
        "size_bytes": download.outs[RAW].size_bytes,
        "checksum": f"seed:{sample['seed']},images:{sample['images']},size:{sample['image_size']}",
    }
