"""Evaluations of model versions: those that there are, and one more where it is missing."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cocopipe.params import Params
from cocopipe.scores import PREDICTIONS_FILE, SUBJECT_FILE, all_scores, named_scores, read_json
from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.join.knowledge import Knowledge, Known
from lineage.join.reference import data
from lineage.project import Project
from lineage.recording.registration import add_evaluation
from lineage.recording.work import data_at, work
from lineage.storage.borrow import exact
from lineage.tracking.artifacts import UnreadableError, text_of
from lineage.tracking.tags import MODEL_HASH

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from lineage.repository.items import Item

THRESHOLD = "evaluate.score_threshold"
"""The param of an evaluation that its figures go by."""

_VERSION = "model"
"""The tag of a run with the version that it is about; those of the stage register have it, too."""

Predictions = list[dict[str, Any]]


@dataclass(frozen=True)
class Evaluations:
    """What models were evaluated on one dataset version, and how.

    Attributes:
        project: The repository, and its store.
        params: The present ones.
        digest: The DVC hash of the dataset.
    """

    project: Project
    params: Params
    digest: str

    @cached_property
    def dataset(self) -> DataId:
        """Its bytes, at the path where they were first."""
        return _named(self.project, self.digest)

    @contextmanager
    def ground_truth(self) -> Iterator[dict[str, Any]]:
        """Yield what there is to find, as a COCO document."""
        from cocopipe.split.objects import ground_truth

        with self.split() as (location, _):
            yield ground_truth(location)

    @contextmanager
    def split(self) -> "Iterator[tuple[Path, Item]]":
        """Yield where the dataset can be read, and what it is."""
        workspace = self.project.workspace
        with exact(workspace, self.dataset) as location:
            yield location, replace(data_at(workspace, location), path=self.dataset.path)

    def predictions_of(self, version: "ModelVersion") -> Iterator[Predictions]:
        """Yield what a version's evaluations found: of its stage, by DVC; of runs, by MLflow."""
        known = self._known(version)
        for each in known:
            for path, digest in each.execution.outs.items():
                found = self._from_dvc(DataId(path, digest), version)
                if found is not None:
                    yield found
        for each in known:
            for run in each.runs:
                found = self._from_mlflow(run.info.run_id, version)
                if found is not None:
                    yield found

    def evaluate(
        self, version: "ModelVersion", *, like: "ModelVersion"
    ) -> tuple[dict[str, float | None], Predictions]:
        """Evaluate a version as the stage does, as a run and a tag of the version.

        Args:
            version: Whose files are brought by their hash.
            like: That whose evaluation it is to be compared with.

        Returns:
            Its figures, those of categories too, and what it found.

        Raises:
            LineageError: Its bytes, or the dataset's, are nowhere to be had.
        """
        from cocopipe.detect.evaluation.score import score
        from cocopipe.split.objects import ground_truth

        project, threshold = self.project, self._threshold(like)
        files = _named(project, version.tags[MODEL_HASH])
        workspace = project.workspace
        with exact(workspace, files) as weights, self.split() as (split, dataset):
            model = replace(data_at(workspace, weights, kind="model"), path=files.path)
            with work(
                project,
                "evaluate",
                [model, dataset],
                params={THRESHOLD: threshold},
                tags={_VERSION: f"models:/{version.name}/{version.version}"},
                contexts={dataset.name: "evaluation"},
            ) as recorded:
                found = self._predict(weights, split, threshold)
                scores = score(ground_truth(split), found)
                known = {name: each for name, each in scores.metrics.items() if each is not None}
                recorded.measured(known, model, dataset)
                documents = {PREDICTIONS_FILE: found, SUBJECT_FILE: _subject(model, dataset)}
                for name, value in documents.items():
                    recorded.client.log_text(recorded.run_id, json.dumps(value), name)
        figures = all_scores(scores.metrics, [(row.name, row.ap) for row in scores.per_category])
        chosen = named_scores(figures, scores.metrics, [self.params.register.promote_metric])
        add_evaluation(project, version, self.digest, chosen)
        return figures, found

    def _predict(self, weights: Path, split: Path, threshold: float | None) -> Predictions:
        from cocopipe.detect.network.detector import load
        from cocopipe.detect.network.device import choose
        from cocopipe.detect.prediction.predict import BATCH_SIZE, predict

        device = choose(self.params.machine.device)
        return predict(
            load(weights, device),
            split,
            batch_size=BATCH_SIZE,
            score_threshold=threshold,
            device=device,
            workers=self.params.machine.workers,
        )

    def _known(self, version: "ModelVersion") -> list[Known]:
        """What read both the version's files and the dataset, the newest first."""
        reading = Knowledge(self.project).reading(version.tags.get(MODEL_HASH, ""))
        return [each for each in reversed(reading) if self.digest in each.execution.deps.values()]

    def _threshold(self, version: "ModelVersion") -> float | None:
        """What a version's evaluation left out; the present threshold where nothing tells.

        None: what the model leaves out by itself.
        """
        for each in self._known(version):
            if each.observed is not None:
                section = each.observed.params.get("params.yaml", {}).get("evaluate")
                if isinstance(section, Mapping) and "score_threshold" in section:
                    own = section["score_threshold"]
                    return None if own is None else float(own)
            for run in each.runs:
                if THRESHOLD in run.data.params:
                    said = run.data.params[THRESHOLD]
                    return None if said == str(None) else float(said)
        return self.params.evaluate.score_threshold

    def _from_dvc(self, report: DataId, version: "ModelVersion") -> Predictions | None:
        try:
            with exact(self.project.workspace, report) as folder:
                if not (folder / SUBJECT_FILE).is_file():
                    return None
                if not self._is_of(read_json(folder / SUBJECT_FILE), version):
                    return None
                return list(read_json(folder / PREDICTIONS_FILE))
        except LineageError:
            return None  # its bytes are nowhere to be had, but MLflow may have it

    def _from_mlflow(self, run_id: str, version: "ModelVersion") -> Predictions | None:
        try:
            subject, found = (
                text_of(self.project.reader, run_id, name)
                for name in (SUBJECT_FILE, PREDICTIONS_FILE)
            )
        except UnreadableError:
            return None
        if subject is None or found is None or not self._is_of(json.loads(subject), version):
            return None
        return list(json.loads(found))

    def _is_of(self, subject: Any, version: "ModelVersion") -> bool:
        digests = tuple(subject[what]["digest"] for what in ("model", "dataset"))
        return digests == (version.tags[MODEL_HASH], self.digest)


def _subject(model: "Item", dataset: "Item") -> dict[str, dict[str, str]]:
    """What an evaluation is of."""
    return {
        "dataset": {"path": dataset.path, "digest": dataset.hash},
        "model": {"path": model.path, "digest": model.hash},
    }


def _named(project: Project, digest: str) -> DataId:
    """Bytes, at the first path under which they are known."""
    paths = data(project, digest).paths
    return DataId(paths[0] if paths else digest, digest)
