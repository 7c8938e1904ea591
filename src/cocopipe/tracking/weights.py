"""Which published weights a training began with, in its run."""

import hashlib

import mlflow
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from cocopipe.detect.network.architectures import published_weights
from cocopipe.detect.network.weights import cached_file
from cocopipe.tracking.tags import WEIGHTS
from lineage.tracking.tags import DIGEST_LIMIT

CONTEXT = "weights"
"""MLflow's context of the dataset."""


def log_published_weights(architecture: str, weights: str) -> None:
    """Log the file that a network was made of as a dataset of the active run, by its SHA-256.

    Nothing where the weights are none, or a path: that is a dependency of the stage.

    Args:
        architecture: A name of `architectures`.
        weights: As `build` was given it, which brought the file.
    """
    published = published_weights(architecture)
    if weights not in published:
        return
    found = published[weights]
    with cached_file(found).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    source = HTTPDatasetSource(found.url)  # type: ignore[no-untyped-call]
    dataset = MetaDataset(source, str(found), sha256[:DIGEST_LIMIT])  # type: ignore[abstract]
    mlflow.log_input(dataset, CONTEXT)
    mlflow.set_tag(WEIGHTS, f"{found} sha256:{sha256}")
