"""A stage that runs: its paths, and its MLflow run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lineage import plugins
from lineage.errors import LineageError
from lineage.project import Project
from lineage.repository.code import CodeState
from lineage.repository.items import Item, Observed
from lineage.repository.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lineage.recording.kept import Kept
    from lineage.spool.spool import Spool
    from lineage.tracking.dataset import DVCDataset


@dataclass(frozen=True)
class StageRun:
    """A stage that runs: its paths, its MLflow run.

    Names are the last part of a path, without suffix: ``data/train`` is ``train``.

    Attributes:
        project: Where it runs, and its tracking store.
        run_id: Its MLflow run, which is the active one of ``mlflow``'s own functions.
        code: Which code it runs.
        observed: The stage and its dependencies, hashed before the work.
        outs: Where it is to write.
        model_ids: DVC hash of a model it reads -> the logged model in MLflow.
        spool: What its records take their way over.
        folder: Of `kept`, where the stage goes on from it.
    """

    project: Project
    run_id: str
    code: CodeState
    observed: Observed
    outs: tuple[Path, ...]
    model_ids: Mapping[str, str]
    spool: "Spool"
    folder: "Kept | None" = None

    @property
    def kept(self) -> Path:
        """A folder that outlives the attempt: what an earlier one at the same work left is there.

        It is of this attempt alone, and gone when the stage succeeds. DVC sees nothing of it.

        Raises:
            ValueError: If the stage was not opened with ``goes_on``.
        """
        if self.folder is None:
            raise ValueError("only lineage.stage(goes_on=True) has a folder that is kept")
        return self.folder.path

    @property
    def workspace(self) -> Workspace:
        """Where it runs."""
        return self.project.workspace

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client of the tracking store."""
        return self.project.client

    def dep(self, name: str) -> Item:
        """The dependency of this name: of DVC's, or else of those that git keeps.

        Raises:
            LineageError: If ``dvc.yaml`` does not declare one, or several.
        """
        code = [item for item in self.observed.deps if item.kind == "code"]
        data = [item for item in self.observed.deps if item.kind != "code"]
        named = [item for item in data if item.name == name]
        named = named or [item for item in code if item.name == name]
        if len(named) != 1:
            paths = [item.path for item in named or [*data, *code]]
            raise LineageError(self._not_one("deps", name, paths, is_named=bool(named)))
        return named[0]

    def out(self, name: str) -> Path:
        """Where to write the output of this name.

        Raises:
            LineageError: If ``dvc.yaml`` does not declare one, or several.
        """
        named = [path for path in self.outs if path.stem == name]
        if len(named) != 1:
            paths = [self.workspace.name_of(path) for path in named or self.outs]
            raise LineageError(self._not_one("outs", name, paths, is_named=bool(named)))
        return named[0]

    def dataset(self, name: str) -> "DVCDataset":
        """The dataset version behind a dependency, to tie metrics to.

        Raises:
            LineageError: If ``dvc.yaml`` does not declare one, or git keeps it.
        """
        from lineage.tracking.dataset import DVCDataset

        item = self.dep(name)
        if item.kind == "code":
            raise LineageError(
                f"{item.path} is kept by git, which makes it code and no dataset version: give it"
                " to `dvc add`, or read it with run.dep."
            )
        return DVCDataset.of(item, plugins.facts(item.location), self.code.repository)

    def declares(self, path: Path) -> bool:
        """Whether a dependency of the stage covers this path."""
        return any(path.is_relative_to(item.location) for item in self.observed.deps)

    def _not_one(self, side: str, name: str, paths: Sequence[str], *, is_named: bool) -> str:
        """Why no one path has this name: several have it, or others are there."""
        stage = self.observed.execution.stage
        where = f"{stage.pipeline}: stage {stage.name}"
        if is_named:
            return (
                f"{where} declares {len(paths)} paths named {name!r} under {side},"
                f" {', '.join(paths)}: rename all but one of them."
            )
        there = ", ".join(f"{PurePosixPath(path).stem!r} ({path})" for path in paths)
        return (
            f"{where} declares no path named {name!r} under {side}: add it there, or say one of"
            f" {there or 'none'}; a name is the last part of a path, without its suffix."
        )
