"""What a revision's pipeline did and changed, as Markdown for a pull request."""

from datetime import datetime

from lineage.join.reference import RevisionRef
from lineage.project import Project
from lineage.verbs.diff import compare
from lineage.verbs.diff_sides import traced
from lineage.verbs.report_base import base_of, called, subject_of, title
from lineage.verbs.report_outcomes import Past, outcomes, registered_in
from lineage.verbs.report_sections import (
    change_sections,
    graph_section,
    headline,
    stage_section,
    version_section,
    warning_section,
)


def report(
    project: Project,
    rev: str | None = None,
    *,
    base: str | None = None,
    since: datetime | None = None,
) -> str:
    """What ran and what was reused for a revision, and what changed against its base.

    Args:
        project: The repository and its tracking store.
        rev: A git revision or a DVC experiment; by default the working tree, or HEAD where
            both record the same.
        base: What to compare with. Of a branch, it is the commit at which the revision left
            it, or the parent of a revision that lies on it; any other revision counts as it
            is. The default branch by default.
        since: A time with its zone: what started from then on ran for this. Without it, git
            tells: what the base does not have, and ran on the base or on a later commit.

    Returns:
        Markdown as GitHub reads it.

    Raises:
        LineageError: If ``rev`` or ``base`` is no git revision.
    """
    name, commit = subject_of(project.history, rev)
    against = base_of(project, commit, base)
    now = traced(project, name, RevisionRef(name, commit))
    difference = None
    if against.commit is not None:
        before = RevisionRef(called(against.commit), against.commit)
        difference = compare(project, traced(project, before.name, before), now)
    stages = outcomes(now, Past.of(project.history, commit, against.commit, since))
    registered = registered_in(project, now)
    sections = [
        f"## Lineage of {title(name, commit)}",
        f"**{headline(stages, difference, registered)}**",
        against.sentence,
        stage_section(project, stages, difference),
        *(change_sections(project, difference) if difference else ()),
        version_section(project, now, registered),
        graph_section(name, now, stages, registered),
        warning_section(stages, (difference or now.graph).warnings),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"
