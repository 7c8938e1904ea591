"""The datasets that a run names, and what MLflow keeps of them."""

from typing import TYPE_CHECKING, Any

from lineage.tracking import outside
from lineage.tracking.outside import PassedOver

if TYPE_CHECKING:
    from mlflow.entities import Dataset, Run


DVC_SOURCE = "dvc"
"""MLflow's source type of the datasets that DVC has."""

HTTP_SOURCE = "http"
"""MLflow's source type of what is at a URL."""


def path_of(dataset: "Dataset", passed: PassedOver) -> str:
    """Where DVC has a dataset, whatever name its user gave it; else that name."""
    if dataset.source_type != DVC_SOURCE:
        return str(dataset.name)
    path = passed.checked(
        outside.path_in_source, dataset.source, _named(dataset), "its source", None
    )
    return path or str(dataset.name)


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


def fetched_by(run: "Run", passed: PassedOver) -> "list[tuple[Dataset, str]]":
    """Datasets that a run read from a URL, such as weights that others published, each with it."""
    named = [dataset for dataset, _ in datasets_of(run) if dataset.source_type == HTTP_SOURCE]
    found = [
        (each, passed.checked(outside.url_in_source, each.source, _named(each), "its source", ""))
        for each in named
    ]
    return [(dataset, url) for dataset, url in found if url]


def content_of(dataset: "Dataset", passed: PassedOver) -> dict[str, Any]:
    """The profile of a dataset without what DVC says of every data."""
    profile: dict[str, Any] = {}
    if dataset.profile:
        profile = passed.checked(
            outside.profile, dataset.profile, _named(dataset), "its profile", {}
        )
    return {key: value for key, value in profile.items() if key not in ("files", "bytes")}


def _named(dataset: "Dataset") -> str:
    """A dataset, as a warning names it; MLflow keeps one source and profile for all its runs."""
    return f"the dataset {dataset.name} ({dataset.digest})"
