"""Whose a run or a model version is: a tracking store may be shared by many repositories."""

from dataclasses import dataclass
from enum import IntEnum

from lineage.identity import Execution, StageId
from lineage.repository.code import address
from lineage.repository.history import History


class Whose(IntEnum):
    """What ties it to this repository; the lower, the closer."""

    OURS = 0
    """Recorded in a clone of this repository, as far as it says."""

    RELATED = 1
    """Of another address, where nothing says that its history is another one: a fork, a mirror."""

    STRANGERS = 2
    """Of a repository with another history, whose bytes may be the same by chance."""


@dataclass(frozen=True)
class Here:
    """This repository, as others in a shared store are told from it.

    Attributes:
        url: Where its ``origin`` is; empty for local paths.
        history: Its revisions.
    """

    url: str
    history: History

    def whose(self, url: str, root: str) -> Whose:
        """Whose something is.

        Args:
            url: Of the ``origin`` of its repository; empty where it has none or names none.
            root: The first commit of its repository; empty where it names none.
        """
        if root and self.history.commits.has(root) is False:
            return Whose.STRANGERS
        there, here = address(url), address(self.url)
        return Whose.RELATED if there and here and there != here else Whose.OURS

    def keeps_since(self, execution: Execution, commit: str) -> bool:
        """Whether a revision that was made after a commit holds an execution in a lock.

        What ran on that commit left its lock in such a revision, unless DVC recorded something
        else than what ran.
        """
        commits = self.history.commits
        return any(
            not commits.is_before(holding.id, commit) for holding in self.history.holding(execution)
        )

    def replaces(self, execution: Execution, stage: StageId) -> bool:
        """Whether no revision that holds an execution has another stage, which it may have been."""
        holding = self.history.holding(execution)
        return bool(holding) and all(
            each.execution.stage != stage
            for commit in holding
            for each in self.history.snapshot(commit).stages
        )
