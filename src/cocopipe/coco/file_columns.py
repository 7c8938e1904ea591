"""The files of raw data as columns: an object for each would take ten times the memory."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.coco.zips import DiskFile, Entry, OpenZip, ZipMember

_DETAILS = [field.name for field in fields(ZipMember) if field.name not in ("archive", "name")]


class Files(Mapping[str, Entry]):
    """Files by their names, in columns.

    There are as many as there are images.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Pack entries, each of which may go then."""
        self.names = pa.array(entries, pa.string())
        """The names of all files in the order given, [N]."""
        self.size_bytes = np.fromiter((each.size_bytes for each in entries.values()), np.int64)
        """The sizes of all files, [N]."""
        self._origins = list(dict.fromkeys(each.origin for each in entries.values()))
        numbers = {origin: number for number, origin in enumerate(self._origins)}
        self._origin = np.fromiter((numbers[each.origin] for each in entries.values()), np.int32)
        self._called = pa.array([each.called for each in entries.values()], pa.string())
        self._details = np.empty((len(entries), len(_DETAILS)), np.int64)
        for place, name in enumerate(_DETAILS):
            self._details[:, place] = [getattr(each, name, 0) for each in entries.values()]

    def rows(self, names: pa.StringArray) -> npt.NDArray[np.int64]:
        """The rows of files, -1 where there is none of that name."""
        found = pc.fill_null(pc.index_in(names, value_set=self.names), -1)
        return np.asarray(found, np.int64)

    def at(self, row: int) -> Entry:
        """The file of a row."""
        origin, called = self._origins[self._origin[row]], self._called[row].as_py()
        if isinstance(origin, OpenZip):
            return ZipMember(origin, called, *self._details[row].tolist())
        return DiskFile(origin, called, int(self.size_bytes[row]))

    def __getitem__(self, name: str) -> Entry:
        (row,) = self.rows(pa.array([name], pa.string())).tolist()
        if row < 0:
            raise KeyError(name)
        return self.at(row)

    def __iter__(self) -> Iterator[str]:
        names: list[str] = self.names.to_pylist()
        return iter(names)

    def __len__(self) -> int:
        return len(self.names)
