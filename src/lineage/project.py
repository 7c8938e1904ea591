"""A repository and its tracking store, opened when a question first needs them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.repository.workspace import Workspace
from lineage.tracking.no_store import NoStore

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lineage.repository.history import History
    from lineage.repository.whose import Here
    from lineage.storage.parts import Parts
    from lineage.tracking.outside import PassedOver
    from lineage.tracking.registry import Registry
    from lineage.tracking.runs import Runs


@dataclass(frozen=True)
class Project:
    """What lineage questions are put to.

    Attributes:
        workspace: The working tree.
    """

    workspace: Workspace

    @classmethod
    def find(cls, start: Path | None = None) -> "Project":
        """The project around ``start`` (the current directory by default).

        Raises:
            LineageError: Where git or DVC does not manage it.
        """
        return cls(Workspace.find(start))

    @cached_property
    def history(self) -> "History":
        """Every git revision and what it records."""
        from lineage.repository.history import History

        return History(self.workspace)

    @cached_property
    def parts(self) -> "Parts":
        """Which versions of folders hold which files."""
        from lineage.storage.parts import Parts

        return Parts(self.history)

    @cached_property
    def repository_url(self) -> str:
        """Where ``origin`` is, without credentials; empty for local paths."""
        from lineage.repository.code import repository_url

        return repository_url(self.workspace)

    @cached_property
    def root_commit(self) -> str:
        """The first commit of the history; empty where it is not here, or there is none."""
        from lineage.repository.code import root_commit

        return root_commit(self.workspace)

    @cached_property
    def here(self) -> "Here":
        """The repository, as others in a shared store are told from it."""
        from lineage.repository.whose import Here

        return Here(self.repository_url, self.history)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's client of the tracking store.

        Raises:
            LineageError: If it does not answer.
        """
        from lineage.tracking import connection

        return connection.connect(self.workspace)

    def work_with(self, client: "MlflowClient") -> None:
        """Take a client whose store need not answer."""
        self.__dict__["client"] = client

    @property
    def reader(self) -> "MlflowClient | NoStore":
        """What to ask: `client`, but of a store that is not there yet, which asking never makes.

        Raises:
            LineageError: If the store does not answer.
        """
        from lineage.tracking import connection

        if "client" in self.__dict__ or connection.is_there(self.workspace):
            return self.client
        return NoStore(connection.store_uri(self.workspace))

    @cached_property
    def runs(self) -> "Runs":
        """The runs of the store."""
        from lineage.tracking.runs import Runs

        return Runs(self.reader, self.here, self.passed)

    @cached_property
    def registry(self) -> "Registry":
        """The model versions of the store."""
        from lineage.tracking.registry import Registry

        return Registry(self.reader, self.passed)

    @cached_property
    def passed(self) -> "PassedOver":
        """What is malformed in the store, as far as it was looked at."""
        from lineage.tracking.outside import PassedOver

        return PassedOver()

    @property
    def warnings(self) -> list[str]:
        """What answers cannot know, as far as anything was asked for yet."""
        return [*self.history.warnings, *self.skipped]

    @property
    def skipped(self) -> list[str]:
        """What of the tracking store answers are without."""
        missing = [self.reader.absence] if isinstance(self.reader, NoStore) else []
        return missing + self._waiting + self.passed.sentences

    @property
    def _waiting(self) -> list[str]:
        """What stages recorded that the store has not yet."""
        from lineage.spool.waiting import waiting
        from lineage.tracking import connection

        number = waiting(self.workspace, connection.store_uri(self.workspace))
        told = f"{number} records of stages wait for the tracking store: `lineage sync` sends them."
        return [told] if number else []

    def forget_store(self) -> None:
        """Forget what the store answered, after something was written to it; not the client."""
        for remembered in ("runs", "registry"):
            self.__dict__.pop(remembered, None)
