"""REF: whatever a user has in hand, and what it means.

A run id, ``models:/name/3``, ``models:/name@alias``, a git revision or the name of a DVC
experiment, ``path@rev``, a path of the working tree, a DVC hash or a prefix of one.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.tracking.facts import VersionNode
from lineage.tracking.tags import MODEL_HASH
from lineage.words import some

if TYPE_CHECKING:
    from mlflow.entities import Run

HASH = re.compile(r"[0-9a-f]{4,32}(\.dir)?")
RUN_ID = re.compile(r"[0-9a-f]{32}")
EXPERIMENT_NAME = re.compile(r"[\w.-]+")
"""What a DVC experiment can be called."""

MODEL = "models:/"
SHOWN = 8
"""How many candidates a message lists."""


@dataclass(frozen=True)
class DataRef:
    """Bytes by their hash, and the paths under which they are known.

    Attributes:
        hash: The DVC hash.
        paths: Relative to the git root; empty where only a model's hash is known.
        commit: The revision that was named with it, or None.
    """

    hash: str
    paths: tuple[str, ...]
    commit: Commit | None = None

    def __str__(self) -> str:
        where = f" ({', '.join(self.paths[:3])})" if self.paths else ""
        return f"the data {self.hash}{where}"


@dataclass(frozen=True)
class RunRef:
    """What one MLflow run did."""

    run: "Run"

    def __str__(self) -> str:
        return f"the run {self.run.info.run_id} ({self.run.info.run_name})"


@dataclass(frozen=True)
class ModelRef:
    """A version of a registered model."""

    version: VersionNode

    def __str__(self) -> str:
        return f"the model version {self.version.id}"


@dataclass(frozen=True)
class RevisionRef:
    """A git revision, or the working tree."""

    name: str
    commit: Commit

    def __str__(self) -> str:
        return f"the revision {self.name} (commit {self.commit.short})"


Subject = DataRef | RunRef | ModelRef | RevisionRef


def resolve_ref(project: Project, ref: str) -> Subject:
    """What a REF means.

    Raises:
        LineageError: If it means nothing here, or more than one thing.
    """
    if ref.startswith(MODEL):
        return _model(project, ref)
    meanings = list(_meanings(project, ref))
    if len(meanings) == 1:
        return meanings[0]
    if not meanings:
        raise LineageError(_unknown(project, ref))
    listed = some([str(meaning) for meaning in meanings], SHOWN)
    raise LineageError(
        f"{ref} may mean {len(meanings)} things: {listed}; write more of it, or refs/heads/…"
        " for a branch, refs/tags/… for a tag, path@revision for data."
    )


def _meanings(project: Project, ref: str) -> Iterator[Subject]:
    history = project.history
    commit = history.commits.find(ref)
    if commit is not None:
        yield RevisionRef(ref, commit)
    path, separator, rev = ref.rpartition("@")
    if commit is None and separator and path:
        at = (
            history.commits.present
            if rev == history.commits.present.names[0]
            else history.commits.find(rev)
        )
        if at is not None:
            yield _tracked(project, path, rev, at)
            return
    here = history.snapshot(history.commits.present)
    item = here.item(_name(project, ref)) or here.dependency(_name(project, ref))
    if item is not None:
        yield DataRef(item.hash, (item.path,), history.commits.present)
    if RUN_ID.fullmatch(ref):
        run = project.runs.find(ref)
        if run is not None:
            _refuse_deleted(run)
            yield RunRef(run)
    if HASH.fullmatch(ref):
        for digest in _hashes(project, ref):
            yield data(project, digest)


def data(project: Project, digest: str) -> DataRef:
    """Data by its whole hash, with every path under which git or MLflow know it."""
    paths = [item.path for item in project.history.items(digest)]
    if not paths:
        paths = [
            path
            for locked in project.history.reading(digest)
            for path, found in locked.observed.execution.deps.items()
            if found == digest
        ]
    if not paths:
        for run in project.runs.writing(digest) or project.runs.reading(digest):
            execution = project.runs.execution(run)
            if execution is not None:
                both = [*execution.outs.items(), *execution.deps.items()]
                paths += [path for path, found in both if found == digest]
    return DataRef(digest, tuple(dict.fromkeys(paths)))


def _hashes(project: Project, prefix: str) -> list[str]:
    known = set(project.history.hashes(prefix))
    if prefix in known:
        return [prefix]
    return sorted(known | set(project.runs.hashes(prefix)))


def _tracked(project: Project, path: str, rev: str, commit: Commit) -> DataRef:
    snapshot = project.history.snapshot(commit)
    name = _name(project, path)
    item = snapshot.item(name) or snapshot.item(path) or snapshot.dependency(name)
    if item is not None:
        return DataRef(item.hash, (item.path,), commit)
    whole = snapshot.overlapping(name)
    if whole:
        listed = ", ".join(each.path for each in whole[:SHOWN])
        raise LineageError(
            f"{path} is not tracked by itself at {rev}: a dataset version is {listed}, as a whole."
        )
    tracked = [each.path for each in snapshot.data]
    likely = get_close_matches(name, tracked, SHOWN) or tracked[:SHOWN]
    there = f"tracked there: {', '.join(likely)}" if likely else "DVC tracks nothing there"
    raise LineageError(f"no data is tracked as {path} at {rev}; {there}.")


def _name(project: Project, path: str) -> str:
    return project.workspace.name_of(Path(os.path.normpath(Path(path).absolute())))


def _model(project: Project, ref: str) -> Subject:
    address = ref.removeprefix(MODEL)
    if re.fullmatch(r"m-[0-9a-f]{32}", address):
        return _logged_model(project, ref, address)
    name, at, alias = address.partition("@")
    version = f"@{alias}"
    if not at:
        name, _, version = address.rpartition("/")
    if not name or version in ("", "@"):
        raise LineageError(
            f"{ref} names no model version: write models:/name/3 or models:/name@alias."
        )
    found = project.registry.find(name, version)
    if found is not None:
        return ModelRef(found)
    names = project.registry.names()
    if name not in names:
        known = f"registered are {', '.join(names[:SHOWN])}" if names else "none is registered"
        raise LineageError(
            f"{ref}: no model {name!r} is registered in this tracking store; {known}; `lineage"
            " sync` registers what dvc.lock has."
        )
    versions = [each for each in project.registry.versions if each.name == name]
    listed = ", ".join(
        f"{each.version}{''.join(f' @{alias}' for alias in each.aliases)}" for each in versions
    )
    raise LineageError(f"{ref}: {name} has no such version or alias; it has {listed or 'none'}.")


def _logged_model(project: Project, ref: str, model_id: str) -> Subject:
    from mlflow.exceptions import MlflowException

    try:
        tags: dict[str, Any] = project.reader.get_logged_model(model_id).tags
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise LineageError(f"{ref}: this tracking store has no such model.") from error
        raise
    if MODEL_HASH not in tags:
        raise LineageError(f"{ref} was not logged by a stage: it has no tag {MODEL_HASH}.")
    return data(project, str(tags[MODEL_HASH]))


def _refuse_deleted(run: "Run") -> None:
    if run.info.lifecycle_stage == "deleted":
        raise LineageError(
            f"the run {run.info.run_id} was deleted in MLflow: bring it back with `mlflow runs"
            f" restore --run-id {run.info.run_id}`, or ask for the data that it wrote."
        )


def _unknown(project: Project, ref: str) -> str:
    history = project.history
    names = [
        *history.commits.tips,
        *(item.path for item in history.snapshot(history.commits.present).data),
    ]
    path, separator, rev = ref.rpartition("@")
    if separator and path:
        likely = (
            get_close_matches(rev, list(history.commits.tips), SHOWN)
            or list(history.commits.tips)[:SHOWN]
        )
        known = f"; known are {', '.join(likely)}" if likely else ", since nothing is committed yet"
        missing = " in this shallow clone" if history.commits.is_shallow else ""
        return f"{ref}: {rev!r} is no git revision{missing}{known}."
    if EXPERIMENT_NAME.fullmatch(ref) and project.runs.of_experiment(ref):
        return (
            f"{ref} is a DVC experiment that this tracking store has runs of, but not this clone:"
            f" bring it with `dvc exp pull REMOTE {ref}`, or ask for one of its runs."
        )
    likely = get_close_matches(ref, names, SHOWN)
    hint = f"; near it are {', '.join(likely)}" if likely else ""
    shallow = (
        " This clone is shallow: `git fetch --unshallow` may bring it."
        if history.commits.is_shallow
        else ""
    )
    return (
        f"{ref} is nothing that git, DVC or this tracking store knows{hint}: give a run id,"
        f" models:/name/version, a git revision, path@revision or a DVC hash.{shallow}"
    )
