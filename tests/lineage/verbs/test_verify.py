"""Each thing that `lineage verify` checks is broken, one at a time, in a project that is whole."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.cli import main
from lineage.errors import LineageError
from lineage.project import Project as Asked
from lineage.verbs.show import show
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from tests.lineage.conftest import Project, hashes

PIPELINE = """
stages:
  prepare:
    cmd: python stage.py {text}
    deps: [raw.txt]
    outs: [data/train: {type: dataset}]
  train:
    cmd: python stage.py model
    deps: [data/train]
    params: [train]
    outs: [models/m: {type: model}]
"""


@pytest.fixture(scope="module")
def sound(new_project: Callable[[], Project]) -> Project:
    """A project that ran, pushed its data, was committed, and registered its model."""
    project = new_project()
    project.write("raw.txt", "raw")
    project.write("params.yaml", "tracking: {experiment: bridge}\ntrain: {epochs: 1}\n")
    project.write("dvc.yaml", PIPELINE.replace("{text}", "data"))
    project.write(".gitignore", "/mlflow.db*\n/mlartifacts/\n/remote/\n/data/\n/models/\n")
    # Below the project, so that a copy of it has a remote of its own.
    project.run("dvc", "remote", "add", "--default", "storage", "remote")
    project.commit("code")
    project.run("dvc", "repro")
    project.run("dvc", "push")
    project.commit("results")
    project.run("git", "tag", "v1")
    register(project, "here")
    return project


@pytest.fixture
def copy(sound: Project, tmp_path: Path) -> Project:
    """A copy of it, to break."""
    return sound.copy(tmp_path / "project")


def register(project: Project, name: str, **tags: str) -> None:
    """Register the model as `lineage.register` does, by MLflow's client alone."""
    run = project.runs("train")[0]
    lock = project.lock()
    (train,) = hashes(lock["prepare"]["outs"]).values()
    (model,) = hashes(lock["train"]["outs"]).values()
    client = project.client
    client.create_registered_model(name)
    ours = {
        "dvc.hash": model,
        "dvc.data": f'{{"data/train":"{train}"}}',
        "dvc.run": run.info.run_id,
    }
    client.create_model_version(name, run.info.artifact_uri, run.info.run_id, tags={**ours, **tags})


def broken(project: Project, rev: str | None = None) -> list[tuple[Check, str]]:
    """What is found broken; every sentence is one line that ends."""
    found = verify(Asked.find(project.root), rev).breaks
    assert all(each.sentence.endswith(".") and "\n" not in each.sentence for each in found)
    return [(each.check, each.subject) for each in found]


def objects(project: Project, place: str, digest: str) -> Path:
    return project.root / place / "files/md5" / digest[:2] / digest[2:]


def test_what_is_whole_has_no_breaks(
    copy: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy.root)
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == (
        "not checked: content, that the bytes in cache and remote are what their hashes say;"
        " --content reads them\n"
        "checked: 2 stages, 1 model versions, 2 data hashes, 1 commits; breaks: 0\n"
    )
    assert broken(copy, "v1") == []


def test_a_run_that_was_deleted(
    copy: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy.client.delete_run(copy.runs("train")[0].info.run_id)
    assert broken(copy) == [(Check.UNRECORDED, "train"), (Check.RUN_GONE, "models:/here/1")]
    monkeypatch.chdir(copy.root)
    assert main(["verify"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("stage train: ")
    assert "mlflow runs restore --run-id" in said[1]
    assert broken(copy, "v1") == broken(copy)


def test_outputs_that_were_accepted_by_hand(copy: Project) -> None:
    made = copy.root / "data/train"
    made.unlink()
    made.write_text("by hand")
    copy.run("dvc", "commit", "--force", "prepare")
    copy.run("dvc", "push")
    assert broken(copy)[0] == (Check.ACCEPTED, "prepare")
    # And the model is older than its data now.
    assert (Check.DIFFERS, "data/train") in broken(copy)
    assert len(broken(copy)) == 2


def test_a_dependency_that_changed_while_its_stage_ran(copy: Project) -> None:
    copy.write("dvc.yaml", PIPELINE.replace("{text}", "data edit=raw.txt:other"))
    copy.run("dvc", "repro", "prepare")
    assert broken(copy) == [(Check.CHANGED, "prepare")]


def test_a_stage_that_was_never_run(copy: Project) -> None:
    copy.write("dvc.yaml", PIPELINE.replace("{text}", "data") + "  late:\n    cmd: echo\n")
    assert (Check.NOT_RUN, "late") in broken(copy)


@pytest.mark.parametrize("place", [".dvc/cache", "remote"])
def test_an_object_that_holds_other_bytes_is_found_by_content(copy: Project, place: str) -> None:
    damaged = objects(copy, place, hashes(copy.lock()["prepare"]["outs"])["data/train"])
    damaged.chmod(0o644)
    damaged.write_text("oops")
    damaged.chmod(0o444)
    assert broken(copy) == []
    found = verify(Asked.find(copy.root), content=True)
    (one,) = found.breaks
    assert (one.check, one.subject) == (Check.DAMAGED, str(damaged))
    assert "remove it; `dvc fetch`" in one.sentence and "data/train@" in one.sentence
    assert not [each for each in found.skipped if "content" in each]
    damaged.unlink()
    copy.run("dvc", "fetch" if place == ".dvc/cache" else "push")
    assert not verify(Asked.find(copy.root), content=True).breaks


def test_data_that_hold_other_bytes_everywhere_are_lost(copy: Project) -> None:
    digest = hashes(copy.lock()["train"]["outs"])["models/m"]
    for place in (".dvc/cache", "remote"):
        objects(copy, place, digest).chmod(0o644)
        objects(copy, place, digest).write_text("oops")
    found = {each.check for each in verify(Asked.find(copy.root), content=True).breaks}
    assert {Check.DATA_LOST, Check.DAMAGED} <= found


def test_show_tells_objects_that_hold_other_bytes_by_content(
    copy: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashes(copy.lock()["prepare"]["outs"])["data/train"]
    damaged = objects(copy, ".dvc/cache", digest)
    damaged.chmod(0o644)
    damaged.write_text("oops")
    damaged.chmod(0o444)
    monkeypatch.chdir(copy.root)
    before = show(Asked.find(copy.root), digest)
    assert before.places[digest].stored.cache and before.as_dict()["skipped"]
    assert main(["show", digest]) == 0
    assert "not checked: content" in capsys.readouterr().out
    found = show(Asked.find(copy.root), digest, content=True)
    assert not found.places[digest].stored.cache and not found.skipped
    assert found.as_dict()["places"][digest]["damaged"] == [str(damaged)]
    assert main(["show", digest, "--content"]) == 0
    said = capsys.readouterr().out
    assert "holds other bytes" in said and "not checked" not in said


def test_a_listing_that_leads_out_is_one_break_with_its_reason(
    copy: Project, tmp_path: Path
) -> None:
    digest = hashes(copy.lock()["train"]["outs"])["models/m"]
    text = json.dumps([{"md5": digest, "relpath": "../../evil"}])
    folder = hashlib.md5(text.encode()).hexdigest() + ".dir"
    bad = objects(copy, "remote", folder)
    bad.parent.mkdir(exist_ok=True)
    bad.write_text(text)
    register(copy, "evil", **{"dvc.data": json.dumps({"evil": folder})})
    (one,) = verify(Asked.find(copy.root)).breaks
    assert (one.check, one.subject) == (Check.DAMAGED, f"evil@{folder}")
    assert one.sentence.startswith(f"the listing {folder} names '../../evil'")


@pytest.mark.parametrize("place", [".dvc/cache", "remote"])
def test_data_in_one_place_only_are_there(copy: Project, place: str) -> None:
    shutil.rmtree(copy.root / place)
    assert broken(copy) == []


@pytest.mark.parametrize(("stage", "path"), [("prepare", "data/train"), ("train", "models/m")])
def test_data_that_are_lost(copy: Project, stage: str, path: str) -> None:
    digest = hashes(copy.lock()[stage]["outs"])[path]
    for place in (".dvc/cache", "remote"):
        objects(copy, place, digest).unlink()
    assert [check for check, _ in broken(copy)] == [Check.DATA_LOST]
    assert digest in broken(copy)[0][1]


def test_data_that_are_never_pushed_need_be_nowhere(copy: Project) -> None:
    never = PIPELINE.replace("{text}", "data").replace(
        "type: dataset", "type: dataset, push: false"
    )
    copy.write("dvc.yaml", never)
    copy.commit("raw data stay here")
    for place in (".dvc/cache", "remote"):
        objects(copy, place, hashes(copy.lock()["prepare"]["outs"])["data/train"]).unlink()
    assert Check.DATA_LOST not in {check for check, _ in broken(copy)}


def test_a_file_that_differs_in_the_working_tree(copy: Project) -> None:
    made = copy.root / "models/m"
    made.unlink()
    made.write_text("other")
    assert broken(copy) == [(Check.DIFFERS, "models/m")]
    assert broken(copy, "v1") == []


def test_a_dependency_that_differs(copy: Project) -> None:
    copy.write("raw.txt", "edited")
    assert broken(copy) == [(Check.DIFFERS, "raw.txt")]


def test_a_param_that_differs(copy: Project) -> None:
    copy.write("params.yaml", "tracking: {experiment: bridge}\ntrain: {epochs: 2}\n")
    assert broken(copy) == [(Check.DIFFERS, "params.yaml:train")]


def test_data_that_are_not_checked_out_do_not_differ(copy: Project) -> None:
    shutil.rmtree(copy.root / "data")
    (copy.root / "models/m").unlink()
    assert broken(copy) == []


def test_a_commit_that_nothing_reaches(copy: Project) -> None:
    # As after a force-push: other history, with the same files.
    tree = copy.run("git", "rev-parse", "HEAD^{tree}").stdout.strip()
    other = copy.run("git", "commit-tree", tree, "-m", "squashed").stdout.strip()
    lost = copy.run("git", "rev-parse", "HEAD~1").stdout.strip()
    copy.run("git", "reset", "--quiet", "--hard", other)
    copy.run("git", "tag", "--delete", "v1")
    assert broken(copy) == [(Check.UNREACHABLE, lost)]


def test_a_shallow_clone_says_which_history_is_missing(copy: Project, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    url = copy.root.as_uri()
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", url, clone], check=True)
    for name in ("mlflow.db", "remote"):
        (clone / name).symlink_to(copy.root / name)
    shallow = Project(clone, copy.environment)
    assert broken(shallow) == [(Check.SHALLOW, "history")]


def test_versions_of_another_repository_are_passed_over(copy: Project) -> None:
    client = copy.client
    run = client.create_run("0", tags={"git.repository": "https://example.org/other.git"})
    client.create_registered_model("theirs")
    tags = {"dvc.hash": "0" * 32, "dvc.data": '{"data/train":"' + "1" * 32 + '"}'}
    client.create_model_version("theirs", "/nowhere", run.info.run_id, tags=tags)
    assert broken(copy) == []
    assert "https://example.org/other.git" in " ".join(verify(Asked.find(copy.root)).skipped)


def test_a_lock_with_conflict_markers(copy: Project) -> None:
    lock = copy.root / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> other\n")
    with pytest.raises(
        LineageError, match=r"dvc\.lock has the markers of a merge conflict|conflict"
    ):
        verify(Asked.find(copy.root))


def test_a_revision_that_does_not_exist(copy: Project) -> None:
    with pytest.raises(LineageError, match="v9 is no revision"):
        verify(Asked.find(copy.root), "v9")


def test_a_link_to_itself_is_data_that_are_not_here(copy: Project) -> None:
    shutil.rmtree(copy.root / "models")
    (copy.root / "models").symlink_to("models")
    assert broken(copy) == []


def device(place: Path) -> None:
    place.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [Path.mkdir, os.mkfifo, device])
def test_what_is_no_file_in_the_place_of_an_object_is_a_sentence(
    put: Callable[[Path], None], pushed: Project, tmp_path: Path
) -> None:
    project = pushed.copy(tmp_path / "project")
    digest = hashlib.md5(b"same").hexdigest()
    place = project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    place.unlink()
    put(place)
    (project.root / "pictures/deep/b.txt").unlink()
    with pytest.raises(LineageError, match=f"DVC cannot read its files at .*{digest[2:]}"):
        verify(Asked.find(project.root))


@pytest.mark.parametrize("put", [os.mkfifo, device])
def test_params_that_never_end_are_a_sentence(put: Callable[[Path], None], copy: Project) -> None:
    place = copy.root / "params.yaml"
    place.unlink()
    put(place)
    with pytest.raises(LineageError, match=r"DVC cannot read its files at .*params\.yaml"):
        verify(Asked.find(copy.root))


def test_the_repository_that_an_import_names_is_not_asked_for(
    copy: Project, project: Project
) -> None:
    """Nor is it needed: it may be gone, or somebody else's choice."""
    project.write("words.txt", "imported")
    project.run("dvc", "add", "--quiet", "words.txt")
    project.commit("words")
    copy.run("dvc", "import", "--quiet", str(project.root), "words.txt")
    copy.run("dvc", "push")
    copy.run("dvc", "unfreeze", "words.txt.dvc")
    copy.commit("words")
    shutil.rmtree(project.root)
    assert broken(copy) == []
    copy.write("words.txt", "other words")
    assert broken(copy) == [(Check.DIFFERS, "words.txt")]
