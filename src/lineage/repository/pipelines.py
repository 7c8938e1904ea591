"""What a ``dvc.yaml`` says of its stages: where they work, and what it notes on their outputs."""

import posixpath
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError
from lineage.identity import from_root
from lineage.repository import dvc_yaml
from lineage.repository.items import check_annotations, check_path

if TYPE_CHECKING:
    from lineage.repository.resolver import Files

TEMPLATES = (b"${", b"foreach", b"matrix")
"""One of these is in every file that DVC has to fill in; any other is read without DVC."""

SECTIONS = {"outs": "dataset", "metrics": "report", "plots": "report"}
"""Where a stage declares outputs, and what kind of data one is that has no ``type:``."""


@dataclass(frozen=True)
class Definition:
    """What a pipeline file says of one stage.

    Attributes:
        wdir: Its working directory, relative to the git root.
        outs: Path relative to the git root -> flags and annotations, ``type`` among them.
    """

    wdir: str
    outs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The stages of a pipeline file, by name; the same object where nothing of it changed."""

    stages: Mapping[str, Definition]


class Pipelines:
    """Reads pipeline files; what several revisions share is read once.

    Args:
        top: The git root.
    """

    def __init__(self, top: Path) -> None:
        self._top = top.as_posix()
        self._read: dict[tuple[str, bytes], list[_Reading]] = {}
        self._parsed: dict[tuple[str, bytes], Mapping[str, Any]] = {}

    def pipeline(self, path: str, text: bytes, files: "Files") -> Pipeline:
        """The stages of a pipeline file at one revision.

        Args:
            path: Its name, relative to the git root.
            text: Its content.
            files: The other files of the revision.

        Raises:
            LineageError: If it is malformed, or DVC refuses it.
        """
        readings = self._read.setdefault((path, text), [])
        reading = next((each for each in readings if each.holds_in(files)), None)
        if reading is None:
            asked = _Asked(files)
            try:
                found: Pipeline | LineageError = self._pipeline(path, text, asked)
            except LineageError as error:
                found = error
            reading = _Reading(found, asked.answers)
            readings.append(reading)
        if isinstance(reading.found, LineageError):
            raise reading.found
        return reading.found

    def _pipeline(self, path: str, text: bytes, files: "Files") -> Pipeline:
        if (path, text) not in self._parsed:
            read = dvc_yaml.parse(text, path)
            dvc_yaml.refuse_endless(text, path, read)
            self._parsed[path, text] = read
        content = self._parsed[path, text]
        try:
            if any(sign in text for sign in TEMPLATES):
                from lineage.repository.resolver import resolve

                stages = resolve(content, path, files)
            else:
                stages = content.get("stages") or {}
            folder = posixpath.dirname(path)
            return Pipeline(
                {name: self._definition(stage, folder) for name, stage in stages.items()}
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise LineageError(
                f"{path} does not hold stages as DVC writes them: correct it, or restore it from"
                " git."
            ) from error

    def _definition(self, stage: Mapping[str, Any], folder: str) -> Definition:
        wdir = self._from_root(stage.get("wdir") or ".", folder)
        check_path(wdir)
        outs: dict[str, dict[str, Any]] = {}
        for section, kind in SECTIONS.items():
            for declared in stage.get(section) or []:
                noted = declared if isinstance(declared, dict) else {declared: {}}
                for spelled, flags in noted.items():
                    # DVC puts together what is said of one path in several places.
                    of_path = outs.setdefault(self._from_root(spelled, wdir), {})
                    of_path.update(flags or {})
                    of_path["type"] = of_path.get("type") or kind
        for path, of_path in outs.items():
            check_path(path)
            check_annotations(of_path)
        return Definition(wdir, outs)

    def _from_root(self, path: str, wdir: str) -> str:
        # A lock has the relative path of what DVC finds inside of the repository.
        return from_root(path, wdir).removeprefix(f"{self._top}/")


@dataclass(frozen=True)
class _Reading:
    """What a pipeline file came to, and the files that this depends on."""

    found: Pipeline | LineageError
    answers: Mapping[str, Hashable | None]

    def holds_in(self, files: "Files") -> bool:
        return all(files.identity(path) == answer for path, answer in self.answers.items())


@dataclass(frozen=True)
class _Asked:
    """Files, and which of them were asked for."""

    files: "Files"
    answers: dict[str, Hashable | None] = field(default_factory=dict)

    def identity(self, path: str) -> Hashable | None:
        return self.answers.setdefault(path, self.files.identity(path))

    def text(self, path: str) -> bytes:
        return self.files.text(path)
