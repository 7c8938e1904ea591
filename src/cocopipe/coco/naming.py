"""Which file a document means where a name is not the file's own.

Documents travel: their tools write names with the separators, the letter case and the folders of
another machine, and the files were unpacked into a folder of another name. A name is read in the
ways of `READINGS`, one after the other, each on top of those before. It means a file if, so read,
it is the name of one file that no other name means.
"""

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.coco.file_columns import Files
from cocopipe.coco.paths import path_of

ALIKE = 0.75
"""How alike a name is that is near another, as `difflib` counts it, from 0 to 1."""

MANY = 20_000
"""Files among which no near name is looked for: it would take seconds for each."""


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


READINGS: Mapping[str, Callable[[str], str]] = {
    "as a path of another place": path_of,
    "in another Unicode form": _composed,
    "with letters as %20": lambda name: _composed(unquote(name)),
    "without spaces around them": lambda name: "/".join(map(str.strip, name.split("/"))),
    "in another letter case": str.casefold,
}
"""What is said of names that mean a file when they are read in this way -> how to read them."""

ELSEWHERE = "in another folder"
"""What is said of names of which the end alone is a file's, or the last part."""


@dataclass(frozen=True)
class Meant:
    """The files that names mean.

    Attributes:
        rows: Of each name, the row of its file; -1 where there is none, int64 [N].
        readings: How names were read that are not a file's own -> how many of them.
    """

    rows: npt.NDArray[np.int64]
    readings: Mapping[str, int]


def meant(
    names: Sequence[str], files: Files, of_others: Callable[[], Iterable[int]] = tuple
) -> Meant:
    """Find the files that names mean, as a document writes them.

    A file that is named exactly is no other name's, and a name that could be two files is none's.
    Nor is a name that of a file in another folder where its own is there: others of its folder
    were found by a nearer reading.

    Args:
        names: As written.
        files: Among which theirs are.
        of_others: Gives the rows of files that are others', who name them exactly.
    """
    rows = files.rows(pa.array(names, pa.string()))
    asked = {place: names[place] for place in np.flatnonzero(rows < 0).tolist()}
    if not asked:
        return Meant(rows, {})
    taken = {*rows.tolist(), *of_others()}
    free = {row: name for row, name in enumerate(files) if row not in taken}
    folder_of = [posixpath.dirname(path_of(name)) for name in names]
    settled = {folder_of[place] for place in np.flatnonzero(rows >= 0).tolist()} - {""}
    readings: dict[str, int] = {}
    for said, found in _in_steps(asked, free):
        is_near = said != ELSEWHERE
        found = {
            place: row for place, row in found.items() if is_near or folder_of[place] not in settled
        }
        readings[said] = readings.get(said, 0) + len(found)
        for place, row in found.items():
            rows[place] = row
            del asked[place], free[row]
        settled |= {folder_of[place] for place in found} - {""}
    return Meant(rows, {said: count for said, count in readings.items() if count})


def near(name: str, files: Files) -> str | None:
    """The name of a file that may be what was meant, for a message: its suffix may be another."""
    by_stem = {_stem(file): file for file in files}
    stem = _stem(name)
    if stem in by_stem:
        return by_stem[stem]
    likely = get_close_matches(stem, by_stem, 1, ALIKE) if len(by_stem) <= MANY else []
    return by_stem[likely[0]] if likely else None


def _in_steps(asked: dict[int, str], free: dict[int, str]) -> Iterator[tuple[str, dict[int, int]]]:
    """What is found, place -> row, by each reading; what was found is gone before the next."""
    for said, read in READINGS.items():
        asked |= {place: read(name) for place, name in asked.items()}
        free |= {row: read(name) for row, name in free.items()}
        yield said, _pairs(asked, free)
    for ends in range(max((name.count("/") for name in asked.values()), default=0), 0, -1):
        yield ELSEWHERE, _pairs({place: _end(name, ends) for place, name in asked.items()}, free)
    last = {row: _last(name) for row, name in free.items()}
    yield ELSEWHERE, _pairs({place: _last(name) for place, name in asked.items()}, last)


def _pairs(asked: Mapping[int, str], free: Mapping[int, str]) -> dict[int, int]:
    """Place -> row, of the names that are on both sides once."""
    times_asked, times_free = Counter(asked.values()), Counter(free.values())
    row_of = {name: row for row, name in free.items() if times_free[name] == 1}
    return {
        place: row_of[name]
        for place, name in asked.items()
        if name in row_of and times_asked[name] == 1
    }


def _stem(name: str) -> str:
    for read in READINGS.values():
        name = read(name)
    return posixpath.splitext(_last(name))[0]


def _end(name: str, folders: int) -> str:
    """A path without those of its folders that are more than this many above its last part."""
    return "/".join(name.split("/")[-folders:])


def _last(name: str) -> str:
    return posixpath.basename(name)
