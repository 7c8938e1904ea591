"""The files of raw data as columns: an object for each would take ten times the memory."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.coco.zips import DiskFile, Entry, OpenZip, ZipMember

_DETAILS = [field.name for field in fields(ZipMember) if field.name not in ("archive", "name")]
_SIZE = _DETAILS.index("size_bytes")


@dataclass(frozen=True, eq=False)
class Files(Mapping[str, Entry]):
    """Files by their names, in columns: there are as many as there are images.

    Attributes:
        names: The names of all files, ``pa.StringArray`` [N].
    """

    names: pa.StringArray
    _origins: Sequence[Path | OpenZip]
    _origin: npt.NDArray[np.int32]
    _called: pa.StringArray
    _details: npt.NDArray[np.int64]

    @classmethod
    def of(cls, entries: Iterable[tuple[str, Entry]]) -> Self:
        """Pack files with their names, each of which may go then."""
        names: list[str] = []
        called: list[str] = []
        origins: dict[Path | OpenZip, int] = {}
        origin, details = array("i"), array("q")
        for name, entry in entries:
            names.append(name)
            called.append(entry.called)
            origin.append(origins.setdefault(entry.origin, len(origins)))
            details.extend(getattr(entry, each, 0) for each in _DETAILS)
        return cls(
            pa.array(names, pa.string()),
            [*origins],
            np.array(origin, np.int32),
            pa.array(called, pa.string()),
            np.array(details, np.int64).reshape(-1, len(_DETAILS)),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All files of some, in the order of their names; two may have one."""
        before = np.cumsum([0, *(len(part._origins) for part in parts[:-1])]).tolist()
        whole = cls(
            pa.concat_arrays([part.names for part in parts]),
            [origin for part in parts for origin in part._origins],
            np.concatenate([its._origin + first for its, first in zip(parts, before, strict=True)]),
            pa.concat_arrays([part._called for part in parts]),
            np.concatenate([part._details for part in parts]),
        )
        return whole._taken(pc.sort_indices(whole.names).to_numpy())

    @property
    def size_bytes(self) -> npt.NDArray[np.int64]:
        """The sizes of all files, [N]."""
        return self._details[:, _SIZE]

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

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """All files with their names, each unpacked in its turn."""
        return ((name, self.at(row)) for row, name in enumerate(self))

    def only(self, chosen: pa.BooleanArray) -> Self:
        """The files where ``chosen`` [N] is true."""
        return self._taken(np.flatnonzero(chosen.to_numpy(zero_copy_only=False)))

    def below(self, prefix: str) -> Self:
        """The files whose names begin so, by what follows."""
        those = self.only(pc.starts_with(self.names, prefix))
        return replace(those, names=pc.utf8_slice_codeunits(those.names, len(prefix)))

    def _taken(self, rows: npt.NDArray[np.int64]) -> Self:
        places = pa.array(rows)
        return replace(
            self,
            names=self.names.take(places),
            _origin=self._origin[rows],
            _called=self._called.take(places),
            _details=self._details[rows],
        )

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
