"""What DVC itself says of a revision: the truth that history is checked against."""

from lineage.repository.history import History
from lineage.repository.items import Observed
from lineage.repository.stage_reader import StageReader
from lineage.repository.workspace import Workspace, open_repo


def locked_stages(workspace: Workspace, rev: str | None = None) -> list[Observed]:
    """Every stage that has an entry in a ``dvc.lock``, in the working tree or at ``rev``."""
    with open_repo(workspace, rev) as repo:
        named = [stage for stage in repo.index.stages if getattr(stage, "name", None)]
        locked = [_Locked(workspace, repo, stage).locked() for stage in named]
    return [observed for observed in locked if observed is not None]


def assert_as_dvc(history: History, rev: str | None) -> None:
    """Compare, but for the order of outputs: by name in a lock, as written in ``dvc.yaml``."""

    def comparable(stages: list) -> dict:
        return {
            stage.execution.stage: (
                stage.execution,
                stage.command,
                stage.params,
                {item.path: item for item in stage.deps},
                {item.path: item for item in stage.outs},
            )
            for stage in stages
        }

    commit = history.commits.named(rev) if rev else history.commits.present
    expected = comparable(locked_stages(history.workspace, rev))
    found = comparable(history.snapshot(commit).stages)
    assert found.keys() == expected.keys(), rev
    for stage in expected:
        assert found[stage] == expected[stage], (rev, stage)
    assert expected


class _Locked(StageReader):
    def locked(self) -> Observed | None:
        """The stage as its ``dvc.lock`` recorded it; None where it was never run."""
        from dvc.utils.serialize import load_yaml

        lock = f"{self._stage.path.removesuffix('.yaml')}.lock"
        if not self._repo.fs.exists(lock):
            return None
        entry = load_yaml(lock, fs=self._repo.fs).get("stages", {}).get(self.id.name)
        if not entry:
            return None
        deps = {item["path"]: item for item in entry.get("deps", [])}
        outs = {item["path"]: item for item in entry.get("outs", [])}
        return self._observed(
            entry,
            [(dep, deps[dep.def_path]) for dep in self._deps if dep.def_path in deps],
            [(out, outs[out.def_path]) for out in self._stage.outs if out.def_path in outs],
        )
