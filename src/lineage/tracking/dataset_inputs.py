"""The datasets that a run names, and what MLflow keeps of them."""

import json
from typing import TYPE_CHECKING, Any

from lineage.tracking.tag_values import json_object

if TYPE_CHECKING:
    from mlflow.entities import Dataset, Run


DVC_SOURCE = "dvc"
"""MLflow's source type of the datasets that DVC has."""


def path_of(dataset: "Dataset") -> str:
    """Where DVC has a dataset, whatever name its user gave it; else that name."""
    if dataset.source_type != DVC_SOURCE:
        return str(dataset.name)
    return str(json_object(dataset.source, "the source of a dataset").get("path") or dataset.name)


def datasets_of(run: "Run") -> "list[tuple[Dataset, str]]":
    """Datasets that a run names, each with its context."""
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    return [
        (
            each.dataset,
            next((tag.value for tag in each.tags if tag.key == MLFLOW_DATASET_CONTEXT), ""),
        )
        for each in (run.inputs.dataset_inputs if run.inputs else [])
    ]


def content_of(dataset: "Dataset") -> dict[str, Any]:
    """The profile of a dataset without what DVC says of every data."""
    profile = json.loads(dataset.profile) if dataset.profile else {}
    return {key: value for key, value in profile.items() if key not in ("files", "bytes")}
