"""Questions put from Python, as a user of MLflow does."""

from pathlib import Path

from tests.lineage.fuzz.judge import unlike
from tests.lineage.fuzz.playground import Playground


def load(playground: Playground, digest: str, path: str = "raw") -> str:
    from lineage.tracking.dataset import DVCDatasetSource

    source = DVCDatasetSource.from_dict({"path": path, "digest": digest, "repository": ""})
    return loaded(playground, source.load(playground.out / "DIR"), digest)


def load_source(playground: Playground, column: str, text: str) -> str:
    """As a user of MLflow does: from what the store says."""
    import mlflow

    uri = f"sqlite:///{playground.store}"
    run = mlflow.MlflowClient(uri).get_run(playground.stray)
    for each in run.inputs.dataset_inputs:
        if getattr(each.dataset, column.removeprefix("dataset_"), None) != text:
            continue
        source = mlflow.data.get_source(each.dataset)
        if type(source).__name__ == "DVCDatasetSource":
            return loaded(playground, source.load(playground.out / "DIR"), source.digest)
    return "not ours"


def loaded(playground: Playground, path: str, digest: str) -> str:

    wrong = unlike(playground, Path(path), digest)
    assert not wrong, wrong
    return "loaded"


def from_dvc(path: str, rev: str) -> str:
    import mlflow.data

    return str(mlflow.data.from_dvc(path, rev=rev).to_dict()["digest"])
