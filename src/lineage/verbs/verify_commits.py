"""The commits that runs name can be reached."""

from collections.abc import Iterable, Mapping

from lineage.identity import StageId
from lineage.project import Project
from lineage.repository.commits import SHORT
from lineage.repository.whose import Whose
from lineage.tracking.facts import facts_of
from lineage.tracking.producer import Resolution
from lineage.verbs.verify_break import Break, Check, Found
from lineage.verbs.verify_versions import CheckedVersion
from lineage.words import count, some


def check_commits(
    project: Project, resolutions: Mapping[StageId, Resolution], versions: Iterable[CheckedVersion]
) -> tuple[int, Found]:
    """The commits of the stages' and the versions' runs; how many there are."""
    history = project.history
    made = {str(stage): found.producer for stage, found in resolutions.items()}
    made |= {version.node.id: version.run for version in versions}
    named: dict[str, list[str]] = {}
    for what, run in made.items():
        commit = facts_of(run).commit if run is not None else ""
        # Of another repository that shares the store, no commit can be here.
        if commit and run is not None and project.runs.whose(run) is Whose.OURS:
            named.setdefault(commit, []).append(what)
    lost = {commit: by for commit, by in named.items() if not history.commits.reaches(commit)}
    if lost and history.commits.is_shallow:
        sentence = (
            f"{count(len(lost), 'recorded commit')} ({some([each[:SHORT] for each in lost])})"
            " cannot be looked up, since this clone is shallow: fetch the rest of the history with"
            " `git fetch --unshallow`."
        )
        return len(named), Found((Break(Check.SHALLOW, "history", sentence),))
    breaks = tuple(
        Break(
            Check.UNREACHABLE,
            commit,
            f"commit {commit}, on which {some(by)} was made, is reached by no branch, tag or"
            " experiment: fetch it with `git fetch --all --tags`, or keep it with `git tag NAME"
            f" {commit[:SHORT]}` where it still is.",
        )
        for commit, by in lost.items()
    )
    return len(named), Found(breaks)
