"""The git repository of a history, with what DVC keeps in it."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.tracked_project.content import FILE, md5
from benchmarks.tracked_project.history import MAIN, History
from benchmarks.tracked_project.outcome import State

ORIGIN = "https://git.example.org/vision/coco-detector.git"
NAME, EMAIL = "Ada Example", "ada@example.org"
RELEASES = 4
PASSING_REF = "refs/exps/exec/EXEC_BRANCH"
"""Where DVC has an experiment before its own ref; that one has the baseline's hash in it."""


def write_repository(root: Path, history: History) -> list[str]:
    """Make the repository in the empty folder ``root``, with the last commit checked out.

    Returns:
        The hash of each commit of the history.
    """
    _git(root, "init", "--quiet", "--initial-branch", MAIN)
    settings = {"remote.origin.url": ORIGIN, "user.name": NAME, "user.email": EMAIL}
    for key, value in settings.items():
        _git(root, "config", key, value)
    hashes = _import(root, history)
    commits, experiments = hashes[: len(history.commits)], hashes[len(history.commits) :]
    for experiment, digest in zip(history.kept, experiments, strict=True):
        baseline = commits[experiment.baseline]
        ref = f"refs/exps/{baseline[:2]}/{baseline[2:]}/{experiment.name}"
        _git(root, "update-ref", ref, digest)
    _write_cache(root, history)
    _git(root, "reset", "--quiet", "--hard", MAIN)
    _write_outputs(root, history.commits[history.of_branch(MAIN)[-1]].state)
    return commits


def _git(root: Path, *arguments: str, given: bytes | None = None) -> None:
    subprocess.run(["git", *arguments], cwd=root, input=given, check=True)


def _import(root: Path, history: History) -> list[str]:
    """Make all commits in one process; their hashes, those of the experiments last."""
    marks = root / ".git" / "marks"
    stream = b"".join(_stream(history))
    _git(root, "fast-import", "--quiet", f"--export-marks={marks}", given=stream)
    hash_of = dict(line.split() for line in marks.read_text().splitlines())
    marks.unlink()
    return [hash_of[_mark(index)] for index in range(len(hash_of))]


def _stream(history: History) -> Iterator[bytes]:
    """The history in the language of ``git fast-import``."""
    commits = history.commits
    for index, commit in enumerate(commits):
        ref = f"refs/heads/{commit.branch}"
        message = commit.change.value if commit.change else "Start"
        parent = None if commit.parent is None else commits[commit.parent].state
        yield _commit(ref, index, message, commit.time_s)
        yield _changes(commit.parent, parent, commit.state)
    for index, run in enumerate(history.kept, start=len(commits)):
        message = f"dvc: commit experiment {md5(run.name.encode())}"
        yield _commit(PASSING_REF, index, message, run.start_s)
        yield _changes(run.baseline, commits[run.baseline].state, run.state)
    yield f"reset {PASSING_REF}\nfrom {'0' * 40}\n\n".encode()
    on_main = history.of_branch(MAIN)
    for release in range(1, RELEASES + 1):
        index = on_main[len(on_main) * release // RELEASES - 1]
        yield f"reset refs/tags/v{release}.0\nfrom {_mark(index)}\n\n".encode()


def _commit(ref: str, index: int, message: str, time_s: int) -> bytes:
    who = f"committer {NAME} <{EMAIL}> {time_s} +0000"
    return f"commit {ref}\nmark {_mark(index)}\n{who}\n".encode() + _data(message)


def _changes(parent: int | None, before: State | None, after: State) -> bytes:
    known: Mapping[str, str] = before.tracked if before else {}
    lines = [] if parent is None else [f"from {_mark(parent)}\n".encode()]
    for path, text in after.tracked.items():
        if known.get(path) != text:
            mode = "100755" if path.startswith("bin/") else "100644"
            lines += [f"M {mode} inline {path}\n".encode(), _data(text)]
    return b"".join([*lines, b"\n"])


def _data(text: str) -> bytes:
    return f"data {len(text.encode())}\n{text}\n".encode()


def _mark(index: int) -> str:
    return f":{index + 1}"


def _write_cache(root: Path, history: History) -> None:
    """Store the bytes of all commits and registered experiments as DVC does."""
    cache = root / ".dvc" / "cache" / "files" / "md5"
    for number in range(256):
        (cache / f"{number:02x}").mkdir(parents=True)
    objects = {
        digest: content
        for outcome in history.outcomes_with_bytes()
        for out in outcome.outs.values()
        for digest, content in out.objects()
    }
    for digest, content in objects.items():
        path = cache / digest[:2] / digest[2:]
        path.write_bytes(content)
        path.chmod(0o444)


def _write_outputs(root: Path, state: State) -> None:
    """Put what ``dvc checkout`` would into the working tree."""
    for outcome in state.outcomes.values():
        for path, out in outcome.outs.items():
            for name, content in out.files.items():
                target = root / path if name == FILE else root / path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
