"""History reads DVC files as DVC does, at every revision, and finds hashes as `git grep` does."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.repository.workspace import Workspace, open_repo
from tests.lineage.by_dvc import assert_as_dvc, locked_stages
from tests.lineage.conftest import Project

PIPELINE = """
vars: [{folder: deep, kinds: [one, two]}]
stages:
  plain:
    cmd: cp raw.txt made.txt
    deps: [raw.txt]
    params: [some.key]
    outs: [made.txt: {type: model, labels: [best], push: false}]
  several:
    cmd: [cp made.txt a.txt, cp made.txt b.json]
    deps: [made.txt]
    outs: [a.txt]
    metrics: [b.json: {cache: false}]
  elsewhere:
    cmd: cp ../made.txt out.txt
    wdir: ${folder}
    deps: [../made.txt]
    outs: [out.txt]
  each:
    foreach: ${kinds}
    do:
      cmd: cp raw.txt each-${item}.txt
      deps: [raw.txt]
      outs: ["each-${item}.txt": {type: report}]
  grid:
    matrix: {size: [1, 2]}
    cmd: cp made.txt grid-${item.size}.txt
    deps: [made.txt]
    outs: ["grid-${item.size}.txt"]
"""
BELOW = """
stages:
  plain:
    cmd: cp ../made.txt made.txt
    deps: [../made.txt]
    outs: [made.txt]
"""


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    """Many kinds of stages, two versions, a removed stage, a broken lock, `dvc add`."""
    project = new_project()
    project.write("params.yaml", "some: {key: 1e-07}\n")
    project.write("dvc.yaml", PIPELINE)
    project.write("below/dvc.yaml", BELOW)
    project.write("deep/.keep", "")
    for version in ("v1", "v2"):
        project.write("raw.txt", f'{{"version": "{version}"}}')
        project.write("added.txt", version)
        project.run("dvc", "add", "--quiet", "added.txt")
        project.run("dvc", "repro", "--quiet", "--all-pipelines")
        project.commit(version)
        project.run("git", "tag", "--annotate", version, "--message", version)
    project.write("dvc.yaml", PIPELINE[: PIPELINE.index("  grid:")])
    project.commit("without the grid")
    project.run("git", "switch", "--quiet", "--create", "broken")
    lock = (project.root / "dvc.lock").read_text()
    project.write("dvc.lock", f"<<<<<<< HEAD\n{lock}=======\n>>>>>>> other\n")
    project.commit("conflict")
    project.run("git", "switch", "--quiet", "main")
    project.run("git", "tag", "blob", project.run("git", "hash-object", "raw.txt").stdout.strip())
    return project


@pytest.mark.parametrize("rev", ["v1", "v2", "main", None])
def test_a_revision_is_read_as_dvc_reads_it(project: Project, rev: str | None) -> None:
    workspace = Workspace.find(project.root)
    history = History(workspace)
    commit = history.commits.named(rev) if rev else history.commits.present
    expected = {stage.execution.stage: stage for stage in locked_stages(workspace, rev)}
    found = {stage.execution.stage: stage for stage in history.snapshot(commit).stages}
    assert found.keys() == expected.keys()
    for name, stage in expected.items():
        assert found[name] == stage, name
    assert len(expected) == (6 if rev in ("main", None) else 8)


def test_what_was_added_is_there(project: Project) -> None:
    history = History(Workspace.find(project.root))
    text = project.run("git", "show", "v1:added.txt.dvc").stdout
    (added,) = history.snapshot(history.commits.named("v1")).added
    assert (added.item.path, added.file) == ("added.txt", "added.txt.dvc")
    assert added.item.hash in text


def test_hashes_are_found_where_git_grep_finds_them(project: Project) -> None:
    history = History(Workspace.find(project.root))
    digest = project.lock(rev="v1")["plain"]["outs"][0]["md5"]
    every = project.run("git", "rev-list", "--all").stdout.split()
    grepped = {
        commit
        for commit in every
        if project.run("git", "grep", "-q", digest, commit, "--", "*.lock", ok=False).returncode
        == 0
    }
    assert {commit.id for commit in history.containing(digest)} == grepped
    assert {commit.id for commit in history.commits.all} == set(every)
    stages = {str(each.observed.execution.stage) for each in history.reading(digest)}
    # raw.txt has the same bytes as made.txt.
    of_raw, of_made = {"plain", "each@one", "each@two"}, {"several", "elsewhere"}
    assert stages == of_raw | of_made | {"grid@1", "grid@2", "below/dvc.yaml:plain"}


def test_a_lock_that_cannot_be_read_is_told_and_the_rest_is_answered(project: Project) -> None:
    history = History(Workspace.find(project.root))
    broken = history.snapshot(history.commits.named("broken"))
    assert {str(stage.execution.stage) for stage in broken.stages} == {"below/dvc.yaml:plain"}
    (warning,) = history.warnings
    assert "merge conflict" in warning
    assert history.commits.named("broken").short in warning


def test_names_are_those_of_branches_and_tags(project: Project) -> None:
    history = History(Workspace.find(project.root))
    assert history.commits.tips.keys() == {
        "main",
        "broken",
        "v1",
        "v2",
    }  # and not the tag on a blob
    assert history.commits.named("v1").names == ("v1",)
    assert history.commits.head == project.run("git", "rev-parse", "HEAD").stdout.strip()


def test_a_worktree_has_the_same_history(project: Project) -> None:
    other = project.root.parent / "worktree"
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "--detach", other, "v1"],
        cwd=project.root,
        check=True,
    )
    history = History(Workspace.find(other))
    assert history.commits.find("HEAD") == history.commits.find("v1")
    assert history.snapshot(history.commits.present) == history.snapshot(
        history.commits.named("v1")
    )


UNUSUAL = """
vars: [{kinds: [one, two]}]
stages:
  script:
    cmd: cp script.sh made.txt
    deps: [script.sh]
    outs: [made.txt: {type: model}]
  elsewhere:
    cmd: cp ../script.sh out.txt
    wdir: ${folder}
    deps: [../script.sh]
    outs: [out.txt]
  from_vars:
    foreach: ${kinds}
    do:
      cmd: cp made.txt ${item}.txt && cp made.txt not-${item}.txt
      deps: [made.txt]
      outs: ["${item}.txt": {type: model, labels: [a, b]}, "not-${item}.txt"]
      metrics: ["m-${item}.json": {cache: false}]
      plots: ["p-${item}.csv": {push: false}]
  listed:
    foreach: [a, true]
    do:
      cmd: cp made.txt listed-${item}.txt
      deps: [made.txt]
      outs: ["listed-${item}.txt"]
  grid:
    matrix: {size: [1, 2], deep: [[x], y]}
    cmd: cp made.txt grid-${key}.txt
    deps: [made.txt]
    outs: ["grid-${key}.txt"]
""".replace(
    " not-${item}.txt\n",
    " not-${item}.txt && cp made.txt m-${item}.json && cp made.txt p-${item}.csv\n",
)
ONE_COPY = "stages: {copy: {cmd: cp raw.txt made.txt, deps: [raw.txt], outs: [made.txt]}}\n"


@pytest.fixture(scope="module")
def unusual(new_project: Callable[[], Project]) -> Project:
    """A history in which what an equal lock means changes from commit to commit."""
    project = new_project()
    project.write("params.yaml", "folder: deep\n")
    project.write("dvc.yaml", UNUSUAL)
    project.write("script.sh", "[1, 2]")
    for folder in ("deep", "other"):
        project.write(f"{folder}/.keep", "")
    project.run("dvc", "repro", "--quiet")
    history = History(Workspace.find(project.root))
    assert_as_dvc(history, None)  # with a script that was not added to git yet

    def tagged(name: str) -> None:
        project.release(name)

    tagged("all")
    fewer = UNUSUAL.replace("[one, two]", "[two]").replace("[a, true]", "[a]")
    project.write("dvc.yaml", fewer.replace("[1, 2]", "[2]"))
    tagged("fewer")
    project.write("params.yaml", "folder: other\n")
    tagged("moved")
    project.write("below/.dvc/config", "")
    project.write("below/dvc.yaml", ONE_COPY)
    project.write("below/raw.txt", "raw")
    project.run("dvc", "repro", "--quiet", cwd="below")
    tagged("nested")
    project.write("old/dvc.yaml", ONE_COPY)
    project.write("old/deeper/dvc.yaml", ONE_COPY)
    for folder in ("old", "old/deeper"):
        project.write(f"{folder}/raw.txt", "raw")
        project.run("dvc", "repro", "--quiet", cwd=folder)
    tagged("below")
    project.write("old/.dvcignore", "/deeper/\n")
    tagged("one-ignored")
    project.write(".dvcignore", "# no more\nold\n")
    tagged("ignored")
    return project


def test_equal_locks_of_other_commits_are_read_as_dvc_reads_them(unusual: Project) -> None:
    history = History(Workspace.find(unusual.root))
    for rev in ("all", "fewer", "moved", "nested", "below", "one-ignored", "ignored", None):
        assert_as_dvc(history, rev)
    names = {
        stage.execution.stage.name
        for stage in history.snapshot(history.commits.named("all")).stages
    }
    assert {"listed@true", "grid@1-deep0", "grid@2-y"} < names


def test_a_script_that_an_earlier_commit_forgot_is_code_once_it_is_there(
    new_project: Callable[[], Project],
) -> None:
    project = new_project()
    project.write("dvc.yaml", ONE_COPY)
    project.write("raw.txt", "raw")
    project.run("dvc", "repro", "--quiet")
    project.write(".git/info/exclude", "raw.txt\n")
    forgot = project.commit("forgot")
    project.write(".git/info/exclude", "")
    added = project.commit("added")
    history = History(Workspace.find(project.root))
    kinds = [
        dep.kind
        for commit in (forgot, added)
        for stage in history.snapshot(history.commits.named(commit)).stages
        for dep in stage.deps
    ]
    assert kinds == ["dataset", "code"]


def test_a_nested_repository_is_a_history_of_its_own(unusual: Project) -> None:
    outer = History(Workspace.find(unusual.root))
    inner = History(Workspace.find(unusual.root / "below"))
    digest = unusual.lock("below", "nested")["copy"]["outs"][0]["md5"]
    inside = {item.path for item in outer.snapshot(outer.commits.named("nested")).data}
    assert not any(path.startswith("below/") for path in inside)
    assert ("nested",) in [commit.names for commit in inner.containing(digest)]
    assert_as_dvc(inner, "nested")
    assert inner.snapshot(inner.commits.named("all")).data == []


@pytest.fixture(scope="module")
def one_copy(new_project: Callable[[], Project]) -> Project:
    """A project of one stage."""
    project = new_project()
    project.write("dvc.yaml", ONE_COPY)
    project.write("raw.txt", "first")
    project.run("dvc", "repro", "--quiet")
    project.commit("first")
    return project


@pytest.fixture
def copied(one_copy: Project, tmp_path: Path) -> Project:
    """One to change."""
    return one_copy.copy(tmp_path / "copied")


def test_a_name_of_two_revisions_hides_neither(copied: Project) -> None:
    copied.run("git", "tag", "twice")
    copied.run("git", "switch", "--quiet", "--create", "twice")
    copied.commit("only there")
    copied.run("git", "switch", "--quiet", "main")
    history = History(Workspace.find(copied.root))
    every = copied.run("git", "rev-list", "--all").stdout.split()
    assert {commit.id for commit in history.commits.all} == set(every)
    assert [commit.names for commit in history.commits.all] == [("twice",), ("main", "twice")]
    with pytest.raises(LineageError, match=r"refs/heads/twice .*, refs/tags/twice"):
        history.commits.find("twice")
    assert history.commits.named("refs/heads/twice").subject == "only there"
    assert history.commits.named("refs/tags/twice").subject == "first"


def test_an_experiment_has_its_name_and_its_data(copied: Project) -> None:
    copied.write("raw.txt", "tried")
    copied.run("dvc", "exp", "run", "--quiet", "--name", "trial")
    reference = copied.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/trial")
    commit = copied.run("git", "rev-parse", reference.stdout.strip()).stdout.strip()
    digest = copied.lock(rev=commit)["copy"]["outs"][0]["md5"]
    copied.run("git", "checkout", "--quiet", "--force", "HEAD~0")
    copied.run("dvc", "checkout", "--quiet", "--force")
    history = History(Workspace.find(copied.root))
    assert history.commits.named("trial") == history.commits.named(commit)
    assert [found.id for found in history.containing(digest)] == [commit]
    (writing,) = history.writing(digest)
    assert writing.commits == (history.commits.named("trial"),)
    assert history.names_of_data(DataId("made.txt", digest)) == ("trial",)
    # The head is detached.
    assert history.commits.head == copied.run("git", "rev-parse", "HEAD").stdout.strip()
    assert_as_dvc(history, "trial")


def test_a_shallow_clone_knows_what_it_has_and_says_what_it_lacks(
    copied: Project, tmp_path: Path
) -> None:
    first = copied.lock()["copy"]["outs"][0]["md5"]
    copied.write("raw.txt", "second")
    copied.run("dvc", "repro", "--quiet")
    head = copied.commit("second")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", copied.root.as_uri(), tmp_path / "clone"],
        check=True,
    )
    history = History(Workspace.find(tmp_path / "clone"))
    assert [commit.id for commit in history.commits.all] == [head]
    assert history.containing(first) == []
    (warning,) = history.warnings
    assert f"commits before {head[:8]}" in warning
    assert "git fetch --unshallow" in warning


def test_a_clone_without_old_blobs_is_told_how_to_get_them(copied: Project, tmp_path: Path) -> None:
    first = copied.run("git", "rev-parse", "HEAD").stdout.strip()
    digest = copied.lock()["copy"]["outs"][0]["md5"]
    copied.write("raw.txt", "second")
    copied.run("dvc", "repro", "--quiet")
    copied.commit("second")
    copied.run("git", "config", "uploadpack.allowFilter", "true")
    url = copied.root.as_uri()
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--filter", "blob:none", url, clone], check=True)
    history = History(Workspace.find(clone))
    for ask in (
        lambda: history.containing(digest),
        lambda: history.snapshot(history.commits.named(first)),
    ):
        with pytest.raises(LineageError, match="`git fetch --refetch --no-filter` brings all"):
            ask()
    subprocess.run(["git", "fetch", "--quiet", "--refetch", "--no-filter"], cwd=clone, check=True)
    assert [commit.id for commit in History(Workspace.find(clone)).containing(digest)] == [first]


def test_before_the_first_commit_there_is_the_working_tree(project: Project) -> None:
    fresh = project.root.parent / "fresh"
    subprocess.run(["git", "init", "--quiet", fresh], check=True)
    project.run("dvc", "init", "--quiet", cwd=str(fresh))
    (fresh / "raw.txt").write_text("raw")
    (fresh / "dvc.yaml").write_text(ONE_COPY)
    project.run("dvc", "repro", "--quiet", cwd=str(fresh))
    history = History(Workspace.find(fresh))
    (stage,) = locked_stages(history.workspace)
    assert (history.commits.head, history.commits.all) == ("", ())
    digest = stage.execution.outs["made.txt"]
    assert [each.commits for each in history.writing(digest)] == [(history.commits.present,)]
    assert history.first(stage.execution) is None


def test_a_dvc_project_below_the_top_of_git(project: Project, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "inner").write_text("once a file")

    def commit(message: str) -> None:
        who = ["-c", "user.name=Who", "-c", "user.email=who@example.org"]
        for command in (["add", "--all"], [*who, "commit", "--quiet", "--message", message]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)

    commit("a file where the project will be")
    (tmp_path / "inner").unlink()
    (tmp_path / "inner").mkdir()
    inner = str(tmp_path / "inner")
    project.run("dvc", "init", "--quiet", "--subdir", cwd=inner)
    (tmp_path / "inner" / "raw.txt").write_text("raw")
    (tmp_path / "inner" / "dvc.yaml").write_text(ONE_COPY)
    project.run("dvc", "repro", "--quiet", cwd=inner)
    commit("a project")
    history = History(Workspace.find(tmp_path / "inner"))
    assert_as_dvc(history, "HEAD")
    assert history.snapshot(history.commits.named("HEAD")).item("inner/made.txt") is not None
    assert history.snapshot(history.commits.named("HEAD~1")).data == []


@pytest.mark.parametrize(
    "lock",
    [
        "stages: [a, b]\n",
        "stages: {copy: [a]}\n",
        "stages: {copy: {deps: []}}\n",
        "stages: {copy: {cmd: x, outs: [{md5: 0}]}}\n",
        "stages: {copy: {cmd: x, outs: text}}\n",
        "stages: {copy: {cmd: {}}}\n",
        "stages: {copy: {cmd: [x, 1]}}\n",
        "stages: {copy: {cmd: x, params: {params.yaml: text}}}\n",
        "stages: {copy: {cmd: x, outs: [{path: data/made.txt, size: .inf}]}}\n",
        "stages: {copy: {cmd: x, outs: [{path: data/made.txt, nfiles: true}]}}\n",
        "stages: {copy: {cmd: x, outs: [{path: data/made.txt, md5: []}]}}\n",
        "stages: {copy: {cmd: x, deps: [{path: 5}]}}\n",
        'stages: {copy: {cmd: x, deps: [{path: "a\\0b"}]}}\n',
    ],
)
def test_a_lock_of_another_form_is_told(copied: Project, lock: str) -> None:
    copied.write("dvc.lock", lock)
    broken = copied.commit("not a lock")
    history = History(Workspace.find(copied.root))
    assert history.snapshot(history.commits.named(broken)).stages == ()
    (warning,) = history.warnings
    assert warning.startswith(f"at commit {broken[:8]}, dvc.lock does not hold stages")


def test_a_lock_that_stands_for_more_than_memory_holds_is_told(copied: Project) -> None:
    lists = [f"z{n}: &z{n} [{', '.join([f'*z{n - 1}'] * 10)}]" for n in range(1, 9)]
    text = "\n".join(["z0: &z0 [a]", *lists, "stages: {copy: {cmd: x, params: {p: {a: *z8}}}}", ""])
    copied.write("dvc.lock", text)
    copied.commit("a bomb")
    history = History(Workspace.find(copied.root))
    assert history.snapshot(history.commits.named("HEAD")).stages == ()
    assert "dvc.lock holds more than 1,000,000 values" in history.warnings[0]


@pytest.mark.parametrize(
    "out",
    [
        "size: .inf",
        "nfiles: -1",
        "md5: {}",
        'path: "a\\0b"',
        "type: [a]",
        "labels: text",
        "labels: [{}]",
    ],
)
def test_a_dvc_file_of_another_form_is_told(copied: Project, out: str) -> None:
    copied.write("odd.dvc", f"outs: [{{path: x, {out}}}]".replace("path: x, path", "path"))
    copied.commit("no such file")
    history = History(Workspace.find(copied.root))
    assert history.snapshot(history.commits.named("HEAD")).added == ()
    (warning,) = history.warnings
    assert "odd.dvc is not as DVC writes it" in warning


def test_locks_of_dvc_1_are_told_once(copied: Project) -> None:
    lock = copied.lock()["copy"]
    copied.write("dvc.lock", json.dumps({"copy": lock}))
    old = [copied.commit(name) for name in ("old", "older")]
    copied.write("dvc.lock", json.dumps({"copy": {**lock, "cmd": "cp"}}))
    old.append(copied.commit("oldest"))
    history = History(Workspace.find(copied.root))
    assert [history.snapshot(history.commits.named(commit)).stages for commit in old] == [()] * 3
    (warning,) = history.warnings
    assert warning.startswith(f"at commit {old[0][:8]} and 1 more, dvc.lock is of DVC 1")


def test_only_files_of_the_names_that_dvc_gives_are_read(copied: Project) -> None:
    for name in ("lock", "yaml"):
        copied.write(f"my-dvc.{name}", (copied.root / f"dvc.{name}").read_text())
    commit = copied.commit("a copy beside it")
    history = History(Workspace.find(copied.root))
    for rev in (commit, None):
        assert_as_dvc(history, rev)


def test_a_lock_without_its_pipeline_has_no_stages(copied: Project) -> None:
    (copied.root / "dvc.yaml").unlink()
    history = History(Workspace.find(copied.root))
    assert history.snapshot(history.commits.named(copied.commit("gone"))).stages == ()


ADDED = """
wdir: ../data
outs:
- {md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, path: of-dvc-2.txt}
- {md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, hash: md5, path: ./a//b.txt, push: false}
- {md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, path: m.json, cache: false}
- {md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, path: p.csv, labels: [a]}
- {md5: d41d8cd98f00b204e9800998ecf8427e, size: 0, path: t.bin, type: model, desc: said}
- {md5: 6d7d3b1f0a1b2c3d4e5f6a7b8c9d0e1f.dir, size: 3, nfiles: 2, path: folder}
"""


def test_odd_dvc_files_are_read_as_dvc_reads_them(copied: Project) -> None:
    copied.write("added/all.dvc", ADDED)
    commit = copied.commit("several outputs")
    history = History(Workspace.find(copied.root))
    with open_repo(history.workspace, commit) as repo:
        expected = {
            (
                repo.fs.relpath(out.fs_path, repo.root_dir),
                out.hash_info.value,
                out.annot.type or "dataset",
                tuple(out.annot.labels),
                "" if out.use_cache and out.can_push else "unpushed",
            )
            for out in repo.index.outs
            if out.stage.is_data_source
        }
    assert {
        (item.path, item.hash, item.kind, item.labels, item.unpushed and "unpushed")
        for item in (each.item for each in history.snapshot(history.commits.named(commit)).added)
    } == expected
    assert len(expected) == 6


def test_commits_whose_ids_begin_alike_are_listed(copied: Project) -> None:
    import pygit2

    repository = pygit2.Repository(str(copied.root))
    who = pygit2.Signature("Who", "who@example.org", 0, 0)
    tree = repository.head.peel(pygit2.Commit).tree.id
    made: dict[str, str] = {}
    for number in range(5000):
        commit = str(repository.create_commit(None, who, who, str(number), tree, []))
        other = made.setdefault(commit[:4], commit)
        if other != commit:
            break
    history = History(Workspace.find(copied.root))
    for name, identity in (("one", commit), ("other", other)):
        repository.references.create(f"refs/tags/{name}", identity)
    with pytest.raises(LineageError, match=f"{commit[:4]} may mean 2 commits: ") as error:
        history.commits.find(commit[:4])
    assert commit in str(error.value)
    assert other in str(error.value)
    found = history.commits.find(commit[:20])
    assert isinstance(found, Commit)
    assert found.id == commit
