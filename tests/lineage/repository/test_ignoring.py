"""What a ``.dvcignore`` hides is what DVC does not look at."""

from pathlib import Path

import pytest
from dvc.repo import Repo

from lineage.repository.history import History
from lineage.repository.workspace import Workspace, open_repo
from tests.lineage.conftest import Project

FILES = ["x.dvc", "y.dvc", "sub/x.dvc", "sub/y.dvc", "sub/deep/x.dvc", "sub/deep/z.dvc"]
ADDED = "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 0\n  path: {}.out\n"

IGNORES = {
    "negated below": {".dvcignore": "*.dvc\n", "sub/.dvcignore": "!x.dvc\n"},
    "indented": {".dvcignore": "  sub  \n"},
    "negated after its folder": {".dvcignore": "sub\n!sub/x.dvc\n"},
    "anchored below": {"sub/.dvcignore": "/x.dvc\n"},
    "double star": {".dvcignore": "**/x.dvc\n"},
    "ignored ignore": {".dvcignore": ".dvcignore\n", "sub/.dvcignore": "x.dvc\n"},
    "folders alone": {".dvcignore": "x.dvc/\n"},
    "negated folder": {".dvcignore": "/sub/*\n!/sub/deep/\n"},
    "deeper wins": {".dvcignore": "!x.dvc\n", "sub/.dvcignore": "x.dvc\n"},
    "every folder": {".dvcignore": "*/\n"},
    "no text": {"sub/.dvcignore": b"\xff\nx.dvc\n"},
    "remarks": {".dvcignore": "# x.dvc\n\n"},
}


@pytest.fixture(scope="module")
def added(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = blank.copy(tmp_path_factory.mktemp("ignoring").resolve() / "project")
    for path in FILES:
        project.write(path, ADDED.format(Path(path).stem))
    return project


def of_dvc(repo: Repo) -> set[str]:
    return {repo.fs.relpath(stage.path, repo.root_dir) for stage in repo.index.stages}


def test_patterns_that_dvc_refuses_are_told_of_the_commit(added: Project, tmp_path: Path) -> None:
    project = added.copy(tmp_path / "project")
    project.write("sub/.dvcignore", "!\n")
    commit = project.commit("odd patterns")
    (project.root / "sub/.dvcignore").unlink()
    project.commit("mended")
    history = History(Workspace.find(project.root))
    assert history.snapshot(history.commits.named(commit)).added == ()
    assert len(history.snapshot(history.commits.named("HEAD")).added) == len(FILES)
    (warning,) = history.warnings
    assert warning.startswith(f"at commit {commit[:8]}, DVC refuses .dvcignore, sub/.dvcignore (")


@pytest.mark.parametrize("name", IGNORES)
def test_what_is_ignored_is_what_dvc_ignores(added: Project, name: str) -> None:
    for path in added.root.rglob(".dvcignore"):
        path.unlink()
    for path, patterns in IGNORES[name].items():
        text = patterns if isinstance(patterns, bytes) else patterns.encode()
        (added.root / path).write_bytes(text)
    commit = added.commit(name)
    workspace = Workspace.find(added.root)
    history = History(workspace)
    if name == "no text":
        expected = expected_now = {"x.dvc", "y.dvc", "sub/y.dvc", "sub/deep/z.dvc"}  # DVC fails
    else:
        with open_repo(workspace, commit) as repo:
            expected = of_dvc(repo)
        with open_repo(workspace) as repo:
            expected_now = of_dvc(repo)
    at_commit = history.snapshot(history.commits.named(commit)).added
    now = history.snapshot(history.commits.present).added
    assert {each.file for each in at_commit} == expected
    assert {each.file for each in now} == expected_now
