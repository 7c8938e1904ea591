"""Asks a verb, and says what is wrong with how it answered."""

import hashlib
import io
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lineage.fuzz.playground import Playground

PATIENCE_S = 5.0
"""Of this process's own work on one question."""

LONGEST_LINE = 3000
"""Characters of a sentence."""

MORE_MEMORY = 400 * 2**20

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e\u2028\u2066\ufeff]")
_OURS = re.compile(r"lineage: ")

WRITING = {"sync": r"project/(mlflow\.db(-journal|-wal|-shm)?|mlartifacts(/.*)?)"}
WORKTREE = r"project/\.git/(worktrees(/.*)?|config|objects/.*)"

ALWAYS = (
    r"project/\.dvc/tmp(/.*)?|project/\.dvc/cache/(files|[0-9a-f]{2})(/.*)?|tmp|out|project/\.git/index"
    r"|project/mlflow\.db-(journal|wal|shm)"
)


@dataclass(frozen=True)
class Answered:
    """What a question came to."""

    code: int | None
    out: str
    err: str
    wrong: tuple[str, ...]


@contextmanager
def streams() -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdout, sys.stderr
    sys.stdout = io.TextIOWrapper(out, "utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, "utf-8", errors="backslashreplace", write_through=True)
    try:
        yield out, err
    finally:
        sys.stdout.detach()
        sys.stderr.detach()
        sys.stdout, sys.stderr = before


def ask(playground: Playground, words: Sequence[str]) -> Answered:
    """Ask the command, and look at its answer and at what it left behind."""
    from lineage.cli import main

    return judged(playground, words[0], lambda: main(words), words)


def call(playground: Playground, name: str, work: Callable[[], Any]) -> Answered:
    """Call a function of Python, of which errors that are sentences are expected."""
    from lineage.edge import Parser, Said, carry_out

    def asked() -> int:
        return carry_out(Parser(prog="lineage"), [], lambda _: Said(str(work())))

    return judged(playground, name, asked, [name])


def judged(
    playground: Playground, verb: str, work: Callable[[], int], words: Sequence[str]
) -> Answered:
    before = playground.stamps()
    memory = _memory()
    started = time.process_time()
    wrong: list[str] = []
    code: int | None = None
    with streams() as (out, err):
        try:
            code = work()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 2
            if code != 2:
                wrong.append(f"ended with {ended.code!r}")
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            where = traceback.extract_tb(error.__traceback__)
            ours = [each for each in where if "/src/lineage/" in each.filename] or where
            last = f"{ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}" if ours else "?"
            wrong.append(f"traceback: {type(error).__name__} in {last}: {str(error)[:200]}")
    spent = time.process_time() - started
    said, complained = out.getvalue().decode("utf-8", "replace"), err.getvalue().decode()
    if spent > PATIENCE_S:
        wrong.append(f"slow: {spent:.1f} s")
    grown = _memory() - memory
    if grown > MORE_MEMORY:
        wrong.append(f"memory: {grown / 2**20:.0f} MB more")
    wrong += _streams(verb, words, code, said, complained)
    wrong += _left(playground, verb, words, before)
    if verb in ("checkout", "load") and code == 0 and not wrong:
        wrong += _bytes(playground, verb, words, said)
    return Answered(code, said, complained, tuple(wrong))


def _streams(verb: str, words: Sequence[str], code: int | None, out: str, err: str) -> list[str]:
    wrong = []
    if code is not None and code not in (0, 1, 2):
        wrong.append(f"exit code {code}")
    if "Traceback" in err or "Traceback" in out:
        wrong.append("a traceback on a stream")
    if code == 2 and "usage:" not in err:
        wrong.append("exit code 2 without a usage")
    if code == 1 and verb != "verify" and not _OURS.search(err):
        wrong.append(f"exit code 1 without a sentence: {err[:100]!r}")
    for name, text in (("stdout", out), ("stderr", err)):
        found = _CONTROL.search(text)
        if found:
            around = text[max(found.start() - 60, 0) :][:90]
            wrong.append(f"control character {found[0]!r} on {name}: {around!r}")
    for line in err.splitlines():
        if len(line) > LONGEST_LINE:
            wrong.append(f"a line of {len(line)} characters on stderr: {line[:100]!r}")
            break
    if "secret@" in out + err:
        wrong.append("credentials shown")
    if (("--json" in words or "openlineage" in words) and code == 0) or ("--json" in words and out):
        try:
            for document in out.split("\n")[:-1] if "openlineage" in words else [out]:
                json.loads(document, parse_constant=_refuse)
        except ValueError as error:
            wrong.append(f"no strict JSON: {error}")
    return wrong


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _left(
    playground: Playground, verb: str, words: Sequence[str], before: dict[str, tuple]
) -> list[str]:
    allowed = [ALWAYS, WRITING.get(verb, "-")]
    if verb in ("checkout", "load"):
        allowed.append(r"out/DIR(/.*)?")
    if "--code" in words:
        allowed.append(WORKTREE)
    may = re.compile("|".join(allowed), re.DOTALL)  # a name may have two lines
    after = playground.stamps()
    changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    wrong = [f"left or changed {name!r}" for name in sorted(changed) if not may.fullmatch(name)][:3]
    for name in changed:
        if name.startswith("project/.dvc/cache/files/md5/") and name in after:
            path = playground.live / name
            if path.is_file():
                digest = "".join(path.parts[-2:]).removesuffix(".dir")
                if hashlib.md5(path.read_bytes()).hexdigest() != digest:
                    wrong.append(f"wrong bytes in the cache: {name}")
    return wrong


def _bytes(playground: Playground, verb: str, words: Sequence[str], out: str) -> list[str]:
    """Every file that was written is what the hash of its item, and the listing of it, say."""
    if verb == "load":
        return []
    wrong: list[str] = []
    places = json.loads(out)["places"] if "--json" in words else []
    known: set[str] = set()
    for place in places:
        path, digest = Path(place["path"]), place["hash"]
        if not os.path.realpath(path).startswith(str(playground.out)):
            wrong.append(f"{path} lies outside")
        wrong += unlike(playground, path, digest)
        known |= {str(each) for each in [path, *path.rglob("*")]}
    if places and "--code" not in words:
        folder = playground.out / "DIR"
        others = [each for each in folder.rglob("*") if each.is_file() and str(each) not in known]
        wrong += [f"{each} is of no item" for each in others[:3]]
    return wrong


def unlike(playground: Playground, path: Path, digest: str) -> list[str]:
    """What of a file or folder is not as its DVC hash says, by the listing in cache or remote."""
    if not digest.endswith(".dir"):
        wanted = {path: digest}
        if path.is_symlink() or not path.is_file():
            return [f"{path} is no file"]
    else:
        text = playground.holding(digest)
        if text is None or hashlib.md5(text).hexdigest() + ".dir" != digest:
            return [f"no listing {digest} for {path}"]
        wanted = {path / each["relpath"]: each["md5"] for each in json.loads(text)}
        there = {each for each in path.rglob("*") if each.is_file() or each.is_symlink()}
        if there != set(wanted):
            return [f"{path} has {sorted(map(str, there ^ set(wanted)))[:3]} beside its listing"]
    return [
        f"wrong bytes in {each}"
        for each, md5 in wanted.items()
        if hashlib.md5(each.read_bytes()).hexdigest() != md5
    ]


def _memory() -> int:
    """The most of memory that this process ever had, since the last time of asking."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    return int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) * 1024  # type: ignore[index]
