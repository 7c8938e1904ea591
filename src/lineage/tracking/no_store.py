"""A tracking store that is not there yet: asking it makes none, and finds nothing."""

from typing import Any


class NoStore:
    """Answers as MLflow's client does of a store without anything in it.

    Attributes:
        tracking_uri: Where the store would be.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    @property
    def absence(self) -> str:
        """A sentence about it."""
        return (
            f"there is no tracking store at {self.tracking_uri} yet, so that git alone answers: a"
            " stage that runs makes it, or `lineage sync`."
        )

    def search_experiments(self, **_query: Any) -> "_Nothing":
        """None."""
        return _Nothing()

    def search_runs(self, *_experiments: Any, **_query: Any) -> "_Nothing":
        """None."""
        return _Nothing()

    def search_logged_models(self, **_query: Any) -> "_Nothing":
        """None."""
        return _Nothing()

    def search_registered_models(self, **_query: Any) -> "_Nothing":
        """None."""
        return _Nothing()

    def search_model_versions(self, **_query: Any) -> "_Nothing":
        """None."""
        return _Nothing()

    def get_run(self, run_id: str) -> Any:
        """Refuse, as for a run that is not there."""
        raise _missing(run_id)

    def get_logged_model(self, model_id: str) -> Any:
        """Refuse, as for a model that is not there."""
        raise _missing(model_id)

    def get_experiment(self, experiment_id: str) -> Any:
        """Refuse, as for an experiment that is not there."""
        raise _missing(experiment_id)

    def get_model_version(self, name: str, version: str) -> Any:
        """Refuse, as for a version that is not there."""
        raise _missing(f"{name}/{version}")

    def get_registered_model(self, name: str) -> Any:
        """Refuse, as for a model that is not there."""
        raise _missing(name)

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        """Refuse, as for an alias that is not there."""
        raise _missing(f"{name}@{alias}")


class _Nothing(list[Any]):
    """The only page of an answer."""

    token = None


def _missing(what: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    return MlflowException(f"{what} is not there", RESOURCE_DOES_NOT_EXIST)
