"""One case: a spoilt value and a few questions, in a process of its own."""

import faulthandler
import gc
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lineage.fuzz.borders import BORDERS
from tests.lineage.fuzz.judge import Answered, ask, call
from tests.lineage.fuzz.playground import Playground, Pristine, remove
from tests.lineage.fuzz.spoilt import Question

LIMIT_S = 40
"""After which a case's process is ended: a machine that is shared may be slow."""

ROOM = 1536 * 2**20
"""More memory that a case's process may have than this one."""

AGAIN = 0.2
"""How often a second question is put to what a border spoilt, and one about what is sound."""

SOUND: list[list[str]] = [
    ["trace", "models:/toy/1", "--json"],
    ["show", "models:/toy/1", "--json"],
    ["impact", "raw@v1", "--json"],
    ["log", "raw", "--json"],
]
"""Questions about what no border spoils, if it spoils something apart."""


@dataclass
class Case:
    """What came of a case."""

    seed: int
    border: str
    about: str = ""
    questions: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def answer(found: Answered) -> Any:
    """What is said, but for what no question is about: warnings, and counts over all that is."""
    try:
        whole = json.loads(found.out)
    except ValueError:
        return found.code, found.out
    if "versions" in whole:  # of a log: those of others are versions of their own
        named = [each for each in whole["versions"] if {"v1", "v2"} & {*each["names"]}]
        return [[each["path"], each["hash"], each["commit"]] for each in named]
    return found.code, _without(whole)


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = ("warnings", "skipped", "checked", "runs", "revisions", "names")
        return {name: _without(each) for name, each in value.items() if name not in left_out}
    return [_without(each) for each in value] if isinstance(value, list) else value


def sound_answers(playground: Playground) -> dict[str, Any]:
    os.chdir(playground.root)
    return {" ".join(words): answer(ask(playground, words)) for words in SOUND}


def spoil_and_ask(playground: Playground, case: Case, sound: Mapping[str, Any]) -> None:
    """Everything of a case, in this process."""
    rng = random.Random(case.seed)
    spoilt = BORDERS[case.border][1](rng, playground)
    case.about = spoilt.about
    os.chdir(playground.root)
    for _ in range(1 + (rng.random() < AGAIN)):
        question = rng.choice(spoilt.asks)
        put(playground, case, question)
        taken = playground.out / "DIR"
        if os.path.lexists(taken):
            remove(taken)
    if spoilt.is_apart and rng.random() < AGAIN:
        words = rng.choice(SOUND)
        found = ask(playground, words)
        case.questions.append(" ".join(words))
        case.wrong += [f"{' '.join(words)}: {each}" for each in found.wrong]
        before, after = sound[" ".join(words)], answer(found)
        if before != after:
            case.wrong.append(
                f"another answer to {words}: {after}, not {before}; {found.err[:300]}"
            )


def put(playground: Playground, case: Case, question: Question) -> None:
    if callable(question):
        name = "load" if "load" in str(question.__code__.co_names) else "from_dvc"
        case.questions.append(name)
        found = call(playground, name, question)
    else:
        words = [str(playground.out / "DIR") if word == "DIR" else word for word in question]
        case.questions.append(" ".join(words))
        found = ask(playground, words)
    case.wrong += [f"{case.questions[-1][:200]}: {each}" for each in found.wrong]


def run(playground: Playground, pristine: Pristine, case: Case, sound: Mapping[str, Any]) -> Case:
    """A case in a process of its own, which may hang, crash or eat memory."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            os.setpgid(0, 0)
            devnull = os.open(os.devnull, os.O_RDWR)
            os.dup2(devnull, 0)
            _limit_memory()
            stuck = (playground.base / "stuck").open("w")
            faulthandler.dump_traceback_later(LIMIT_S - 2, file=stuck)
            try:
                spoil_and_ask(playground, case, sound)
            except BaseException:  # noqa: BLE001 - of this script itself
                case.wrong.append("the fuzz itself: " + traceback.format_exc()[-1500:])
            with os.fdopen(writable, "w") as told:
                json.dump([case.about, case.questions, case.wrong], told)
        finally:
            os._exit(0)
    os.close(writable)
    told = _wait(readable, child)
    _, status = os.waitpid(child, 0)
    if told:
        case.about, case.questions, case.wrong = json.loads(told)
    elif os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        frames = (playground.base / "stuck").read_text().splitlines()
        ours = [line for line in frames if "/src/lineage/" in line][:2]
        case.wrong.append(f"hang: no end within {LIMIT_S} s in {frames[1:3]}, {ours}")
    else:
        case.wrong.append(f"crash: the process ended with status {status}")
    pristine.put_back()
    return case


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if sys.platform == "linux" else 0
    if pages:
        limit = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _wait(readable: int, child: int) -> str:
    import select

    told = b""
    end = time.monotonic() + LIMIT_S
    while True:
        ready, _, _ = select.select([readable], [], [], max(end - time.monotonic(), 0))
        if not ready:
            os.kill(child, signal.SIGKILL)
            break
        piece = os.read(readable, 65536)
        if not piece:
            break
        told += piece
    os.close(readable)
    return told.decode()


def warm_up(playground: Playground) -> dict[str, Any]:
    """Import what questions need, once; returns what is answered about what is sound."""
    import mlflow.data  # noqa: F401

    import lineage.tracking.dataset  # noqa: F401

    found = sound_answers(playground)
    for words in (
        ["verify"],
        ["report"],
        ["sync"],
        ["checkout", "v1", "DIR"],
        ["show", "v2"],
        ["log"],
    ):
        words = [str(playground.out / "DIR") if word == "DIR" else word for word in words]
        ask(playground, words)
    remove(playground.out / "DIR")
    for format_ in ("dot", "html", "openlineage"):
        ask(playground, ["graph", "models:/toy/2", "--format", format_])
    disconnect()
    return found


def disconnect() -> None:
    """Close connections to the store, which no two processes may share."""

    from sqlalchemy.engine import Engine

    for each in gc.get_objects():
        if isinstance(each, Engine):
            each.dispose()
    gc.collect()
    gc.freeze()


def planned(cases: int, seed: int, only: str | None = None) -> list[Case]:
    """The cases, spread over the borders, of each of which there is one at first."""
    rng = random.Random(seed)
    weights = {name: weight for name, (weight, _) in BORDERS.items() if only in (None, name)}
    chosen = [*weights, *rng.choices(list(weights), list(weights.values()), k=cases)][:cases]
    return [Case(seed * 1_000_000 + number, border) for number, border in enumerate(chosen)]
