"""Bring data or a model back, exactly, into a folder of its own."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lineage.answer import Answer
from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.join.knowledge import Knowledge, Known
from lineage.join.reference import DataRef, ModelRef, RevisionRef, RunRef, Subject, resolve_ref
from lineage.project import Project
from lineage.repository.commits import SHORT, Commit
from lineage.repository.items import Item
from lineage.storage.worktree import write_out
from lineage.tracking.facts import VersionNode
from lineage.tracking.tags import COMMIT, DIRTY
from lineage.words import some


@dataclass(frozen=True)
class Placed(Answer):
    """Some bytes with this DVC hash, checked, and where they are now."""

    path: Path
    hash: str


@dataclass(frozen=True)
class Brought(Answer):
    """What `checkout` wrote.

    Attributes:
        places: Each thing that is there now.
        commit: The commit whose code is there too; empty without ``code``.
        warnings: Sentences about what is not there.
    """

    places: tuple[Placed, ...]
    commit: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Wanted:
    """Data, with what is known of the code that made them.

    Attributes:
        data: What to bring.
        commits: The revisions that record it, oldest first.
        code: What of git's the stage read that made it, by hash.
        ran_on: The commit that its run names, or empty.
        was_clean: Whether nothing of that commit's code was edited then.
        warnings: A sentence for each thing that is left.
        is_many: Whether what was asked for is several things, however few of them are brought.
    """

    data: tuple[DataId, ...]
    commits: tuple[Commit, ...]
    code: tuple[DataId, ...] = ()
    ran_on: str = ""
    was_clean: bool = False
    warnings: tuple[str, ...] = ()
    is_many: bool = False


def checkout(
    project: Project, ref: str, destination: Path, *, inputs: bool = False, code: bool = False
) -> Brought:
    """Write what a REF means to ``destination``, from DVC's cache or remote, hashes checked.

    One thing becomes the destination itself; of several, or of a revision or with ``code``
    however many there are, each lies at its path in it. The user's workspace stays as it is.

    Args:
        project: The repository and its tracking store.
        ref: Data or a model; a run stands for what it wrote, a revision for all that it
            records but what is never pushed.
        destination: Must not exist yet.
        inputs: Of a model version or run: the data that it was made of, instead.
        code: Make the destination a git worktree of the commit that has the code which made it;
            of a revision, of that.

    Raises:
        LineageError: If the REF means nothing or more than one thing, something is in
            neither cache nor remote, the destination exists, or no commit has the code.
    """
    wanted = _wanted(project, resolve_ref(project, ref), inputs=inputs)
    if not wanted.data:
        raise LineageError(" ".join((f"{ref} names no data to check out.", *wanted.warnings)))
    commit, told = _commit(project, ref, wanted) if code else (None, ())
    written = write_out(
        project.workspace, wanted.data, destination, commit=commit, as_folder=wanted.is_many
    )
    hashes = [data.hash for data in wanted.data]
    places = tuple(Placed(path, digest) for path, digest in zip(written, hashes, strict=True))
    return Brought(places, commit or "", (*wanted.warnings, *told, *project.warnings))


def _wanted(project: Project, subject: Subject, *, inputs: bool) -> _Wanted:
    knowledge = Knowledge(project)
    match subject:
        case ModelRef(version) if not inputs:
            made = _makers(knowledge, version)
            outs = [data for known in made for data in known.execution.written]
            path = next((data.path for data in outs if data.hash == version.hash), version.name)
            if not version.hash:
                raise LineageError(
                    f"{version.id} was registered without the DVC hash of its files:"
                    " `mlflow artifacts download` has what MLflow keeps of it."
                )
            return _of(knowledge, [DataId(path, version.hash)], made)
        case ModelRef(version):
            made = _makers(knowledge, version)
            if made:
                return _inputs(project, knowledge, made)
            return _Wanted(tuple(itertools.starmap(DataId, version.data.items())), ())
        case RunRef(run) if inputs:
            return _inputs(project, knowledge, [knowledge.of_run(run)])
        case RunRef(run):
            known = knowledge.of_run(run)
            return _parted(project, knowledge, known.execution.written, [known])
        case DataRef(digest, paths, commit):
            data = DataId(paths[0] if paths else digest, digest)
            writer = project.history.snapshot(commit).writer(data) if commit else None
            if commit and writer:
                made = [Known(writer.execution, writer, (commit,), ())]
            else:
                writing = knowledge.writing(digest)
                made = [known for known in writing if known.execution.wrote(data)]
            found = _of(knowledge, [data], made)
            commits = (commit,) if commit else tuple(project.history.containing(digest))
            return replace(found, commits=(*commits, *found.commits))
        case RevisionRef(_, commit):
            items = [item for item in project.history.snapshot(commit).data if item.hash]
            kept = tuple(item.id for item in items if not item.unpushed)
            left = tuple(_left(item, commit) for item in items if item.unpushed)
            return _Wanted(kept, (commit,), warnings=left, is_many=True)


def _left(item: Item, commit: Commit) -> str:
    """Why something that a revision records is not brought, and where it is."""
    match item.unpushed:
        case "cache: false" if not commit.id:
            return f"{item.path} is kept by git and not by DVC: the working tree has it as it is."
        case "cache: false":
            return f"{item.path} is kept by git: `git show {commit.short}:{item.path}` has it."
        case "imported":
            return (
                f"{item.path} is imported from another repository and not brought; `dvc pull`"
                f" at {commit.short} fetches it from there."
            )
        case _:
            return (
                f"{item.path} is `push: false` and not brought; name it by itself, as in"
                f" {item.path}@{commit.short}, where the cache has it."
            )


def _of(knowledge: Knowledge, data: Iterable[DataId], made: list[Known]) -> _Wanted:
    commits = [commit for known in made for commit in knowledge.commits(known)]
    runs = [run for known in made for run in known.runs]
    read = made[0].execution.read if made else []
    return _Wanted(
        tuple(data),
        tuple(commits),
        code=tuple(each for each in read if each.hash and knowledge.is_code(made[0], each.path)),
        ran_on=runs[0].data.tags.get(COMMIT, "") if runs else "",
        was_clean=bool(runs) and runs[0].data.tags.get(DIRTY) == "false",
    )


def _makers(knowledge: Knowledge, version: VersionNode) -> list[Known]:
    """Executions that made the files of a version, its own run's first."""
    made = knowledge.writing(version.hash) if version.hash else []
    maker = knowledge.maker(version)
    return [maker, *(known for known in made if known != maker)] if maker else made


def _inputs(project: Project, knowledge: Knowledge, made: list[Known]) -> _Wanted:
    """What the first of some executions read, with the code of all."""
    first = made[0]
    data = [each for each in first.execution.read if not knowledge.is_code(first, each.path)]
    return _parted(project, knowledge, data, made)


def _parted(
    project: Project, knowledge: Knowledge, data: Iterable[DataId], made: list[Known]
) -> _Wanted:
    """Those of what an execution read or wrote that DVC has, and a sentence for each other."""
    observed, history = made[0].observed, project.history
    present = history.snapshot(history.commits.present)
    if observed is not None:
        items = [*observed.deps, *observed.outs]
    else:  # no lock holds it; a path is kept as it is now, as far as anybody knows
        items = [item for stage in present.stages for item in (*stage.deps, *stage.outs)]
    kept = {item.path: item for item in items if item.unpushed == "cache: false"}
    hashed = [each for each in data if each.hash]
    commit = next(iter(knowledge.commits(made[0])), None)
    left = [
        _left(kept[each.path], commit)
        if commit
        else f"{each.path} is kept by git and not by DVC, and no revision records this version."
        for each in hashed
        if each.path in kept
    ]
    found = _of(knowledge, [each for each in hashed if each.path not in kept], made)
    return replace(found, warnings=tuple(left), is_many=len(hashed) > 1)


def _commit(project: Project, ref: str, wanted: _Wanted) -> tuple[str, tuple[str, ...]]:
    """The commit whose code made a thing, and sentences about what differs there.

    That is one that records the thing and has the very code that was read; else any that has it;
    else the one that the run was made on, if nothing was edited then.

    Raises:
        LineageError: If there is none.
    """
    commits, code = project.history.commits, project.history.code
    holding = [commit for commit in wanted.commits if commit.id]
    if wanted.is_many and not wanted.code and holding:
        return holding[0].id, ()  # a revision as such
    ran_on = commits.find(wanted.ran_on) if commits.has(wanted.ran_on) else None
    near = [*holding, *([ran_on] if ran_on else [])]
    found = code.first_with(wanted.code, [*near, *(commits.all if wanted.code else ())])
    if found is not None:
        return found.id, ()
    differing = code.differing(near[0], wanted.code) if near else []
    if wanted.ran_on and wanted.was_clean:
        left = f"{some(differing)} of {ref} is not all in git" if differing else ""
        sentence = f"{left}: the run was made on {wanted.ran_on[:SHORT]}, whose code this is."
        return wanted.ran_on, (sentence,) if left else ()
    where = f": {near[0].short} has another {some(differing)}" if differing else ""
    raise LineageError(
        f"no commit has exactly the code of {ref}{where}; it was made from changes that were not"
        " committed; leave --code out."
    )
