"""Whether the record is whole: the gate of a CI."""

from dataclasses import dataclass
from typing import ClassVar

from lineage.answer import Answer
from lineage.project import Project
from lineage.repository.workspace import open_repo
from lineage.tracking.facts import facts_of
from lineage.verbs.verify_aliases import check_aliases
from lineage.verbs.verify_break import Break, Check, Found
from lineage.verbs.verify_commits import check_commits
from lineage.verbs.verify_data import check_data
from lineage.verbs.verify_stages import check_stages
from lineage.verbs.verify_tree import defined_stages, differences, other_code
from lineage.verbs.verify_versions import check_runs, versions_to_check


@dataclass(frozen=True)
class Verified(Answer):
    """What was found, and how much was looked at.

    Attributes:
        breaks: Every one; empty where the record is whole.
        stages: How many entries of locks were looked up in MLflow.
        backfilled: How many of those have a run that was written down later.
        model_versions: How many versions were checked.
        hashes: How many different data were looked for in cache and remote.
        commits: How many different commits the runs of all these name.
        skipped: A phrase for everything that was not checked, and why.
    """

    json_names: ClassVar[tuple[str, ...]] = ("breaks", "checked", "skipped")

    breaks: tuple[Break, ...]
    stages: int
    backfilled: int
    model_versions: int
    hashes: int
    commits: int
    skipped: tuple[str, ...]

    @property
    def checked(self) -> dict[str, int]:
        """How much was looked at, by name."""
        counts = ("stages", "backfilled", "model_versions", "hashes", "commits")
        return {name: getattr(self, name) for name in counts}


def verify(project: Project, rev: str | None = None, *, content: bool = False) -> Verified:
    """Check that what DVC, git and MLflow know of a revision fits together, and is there.

    Every locked stage has a run; the model versions have their runs, and their data in cache
    or remote; aliases are on the versions that promotions gave them to; the commits that those
    runs name can be reached; the working tree is what it records, and a revision has the code that
    its locks say was read.

    Args:
        project: The repository and its tracking store.
        rev: A git revision, of which only the model versions whose files it records are
            checked; by default the working tree, and all versions of this repository.
        content: Read all those data that are on this machine, whether they are what their hashes
            say.

    Raises:
        LineageError: If there is no such revision, a DVC file of the working tree cannot be
            read, or MLflow or the DVC remote does not answer.
    """
    history = project.history
    commit = history.commits.present if rev is None else history.commits.named(rev)
    snapshot = history.snapshot(commit)
    with open_repo(project.workspace, commit.id or None) as repo:
        defined = defined_stages(project.workspace, repo)
        if rev is None:
            tree = Found(tuple(differences(repo, snapshot, project.workspace)))
        else:
            tree = Found(tuple(other_code(history, commit, rev)))
    entries = {stage.execution.stage: stage for stage in snapshot.stages}
    resolutions, unsure = check_stages(defined, entries, project, rev)
    stages = Found(tuple(unsure))
    versions, others = versions_to_check(project, None if rev is None else snapshot, rev)
    runs = check_runs(project, versions)
    hashes, data = check_data(project, versions, content=content)
    commits, code = check_commits(project, resolutions, versions)
    aliases = check_aliases(project, versions)
    unreadable = Found(
        tuple(Break(Check.UNREADABLE, commit.short, each) for each in history.unreadable)
    )
    producers = [found.producer for found in resolutions.values() if found.producer]
    parts = (unreadable, stages, runs, aliases, data, tree, code, others)
    return Verified(
        breaks=tuple(each for part in parts for each in part.breaks),
        stages=len(resolutions),
        backfilled=sum(facts_of(run).backfilled for run in producers),
        model_versions=len(versions),
        hashes=hashes,
        commits=commits,
        skipped=(*(each for part in parts for each in part.skipped), *project.skipped),
    )
