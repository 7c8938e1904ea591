"""Raw COCO data as a directory, zips in it included, read in place.

The files of the directory and the members of its zips form one tree, in which
the splits are found::

    annotations/<document>_<split>.json     with images in <split>/ or images/<split>/,
                                            or in images/ where no split has its own folder
    <split>/_annotations.coco.json          with the images beside it; or in images/<split>/

A zip's members stand beside the zip, as if it had been unpacked there; one that
holds images without a folder of their own stands for the folder of its name.
Nothing is extracted: a member is read, and its CRC checked, where it lies.
"""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.errors import UserError, some

BESIDE = "_annotations.coco.json"
"""A document that lies beside its images; its name is ``instances``."""

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)

UNREADABLE_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError)
"""What zipfile raises on opening bytes that it can't read."""

BLOCK_BYTES = 2**20
"""What is read at a time of a file that is not read as a whole."""

_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
_MOST_DEFLATED = 1032
"""Bytes that one of deflated data can stand for (zlib's technical notes)."""

_MOST_BYTES = 2**63 - 1
"""That a member can be said to have; ZIP64 can say twice that."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, name and extra lengths


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file of the raw directory."""

    folder: Path
    where: str
    """Its path relative to the folder, and what messages call it."""
    size_bytes: int

    @property
    def origin(self) -> Path:
        """Its folder."""
        return self.folder

    @property
    def called(self) -> str:
        """Its name in the folder."""
        return self.where

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.where

    def require_size(self) -> None:
        """Its size is what the file system says."""

    def read(self) -> bytes:
        """Read the whole file."""
        return self.path.read_bytes()

    def blocks(self) -> Iterator[bytes]:
        """Read the file, some of it at a time."""
        with self.path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def read_into(self, space: memoryview) -> None:
        """Read the whole file into ``space``, which has its size.

        Raises:
            UserError: the file has another size by now.
        """
        with self.path.open("rb", buffering=0) as file:
            _fill(file.fileno(), space, 0)
            if os.fstat(file.fileno()).st_size != len(space):
                raise UserError(f"{self.where} changed while it was read: run the stage again")


@dataclass(frozen=True, slots=True)
class OpenZip:
    """A zip in the raw directory."""

    name: str
    """Its path relative to that."""
    descriptor: int
    """Read by position, so that threads share it."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip in the raw directory; can be read by several threads at once."""

    archive: OpenZip
    name: str
    size_bytes: int
    """The unpacked size that the zip declares; reading checks it."""
    packed_bytes: int
    crc: int
    method: int
    flags: int
    header_offset: int
    header_bytes: int
    """Mostly: the header before the bytes may be longer than its copy in the directory."""

    @classmethod
    def of(cls, archive: OpenZip, info: zipfile.ZipInfo) -> "ZipMember":
        """What of a directory's entry is needed to read the member."""
        return cls(
            archive,
            info.filename,
            min(info.file_size, _MOST_BYTES),
            min(info.compress_size, _MOST_BYTES),
            info.CRC,
            info.compress_type,
            info.flag_bits,
            min(info.header_offset, _MOST_BYTES),
            _LOCAL_HEADER.size + len(info.filename) + len(info.extra),
        )

    @property
    def origin(self) -> OpenZip:
        """Its zip."""
        return self.archive

    @property
    def called(self) -> str:
        """Its name in the zip."""
        return self.name

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.archive.name}: {self.name}"

    def require_size(self) -> None:
        """Make sure that it can have the size that the zip declares.

        Raises:
            UserError: it cannot.
        """
        most = 1 if self.method == zipfile.ZIP_STORED else _MOST_DEFLATED
        if self.size_bytes > most * (self.packed_bytes + 1):
            raise self._damaged()

    def read(self) -> bytes:
        """Read and unpack the member.

        Raises:
            UserError: it is encrypted, packed in an unusual way, or damaged.
        """
        data = self._bytes(self._start(), self.packed_bytes)
        if self.method == zipfile.ZIP_DEFLATED:
            try:
                # One byte more than declared is enough to notice a bomb.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size_bytes + 1)
            except (zlib.error, OverflowError) as error:  # a size that no memory has
                raise self._damaged() from error
        self._check(data)
        return data

    def blocks(self) -> Iterator[bytes]:
        """Read and unpack the member, some of it at a time, as `read` does.

        That it is damaged may show after its last block only.
        """
        crc, size_bytes = 0, 0
        for block in self._unpacked_blocks():
            crc, size_bytes = zlib.crc32(block, crc), size_bytes + len(block)
            if size_bytes > self.size_bytes:  # a bomb
                raise self._damaged()
            yield block
        if size_bytes != self.size_bytes or crc != self.crc:
            raise self._damaged()

    def _unpacked_blocks(self) -> Iterator[bytes]:
        if self.method == zipfile.ZIP_STORED:
            yield from self._packed_blocks()
            return
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for packed in self._packed_blocks():
                yield unpack.decompress(packed, BLOCK_BYTES)
                while unpack.unconsumed_tail:
                    yield unpack.decompress(unpack.unconsumed_tail, BLOCK_BYTES)
            yield unpack.flush()
        except zlib.error as error:
            raise self._damaged() from error

    def _packed_blocks(self) -> Iterator[bytes]:
        start = self._start()
        for done in range(0, self.packed_bytes, BLOCK_BYTES):
            yield self._bytes(start + done, min(BLOCK_BYTES, self.packed_bytes - done))

    def read_into(self, space: memoryview) -> None:
        """Read and unpack the member into ``space``, which has its size; as `read` does."""
        if self.method != zipfile.ZIP_STORED:
            space[:] = self.read()
            return
        start = self._start_after(bytearray(self.header_bytes), space)
        if start != self.header_offset + self.header_bytes:
            if self.packed_bytes != len(space) or not self._is_inside(start, len(space)):
                raise self._damaged()
            _fill(self.archive.descriptor, space, start)
        self._check(space)

    def _start(self) -> int:
        return self._start_after(bytearray(_LOCAL_HEADER.size))

    def _start_after(self, header: bytearray, *space: memoryview) -> int:
        """Read the member's header, and into ``space`` what follows; where its bytes are."""
        if self.flags & 0x1:
            raise UserError(f"{self.where} is encrypted: make the zip without a password")
        if self.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{self.where} is packed by method {self.method}: zip it again, stored or deflated"
            )
        if not self._is_inside(self.header_offset, len(header)):
            raise self._damaged()
        count = os.preadv(self.archive.descriptor, [header, *space], self.header_offset)
        for each in space:
            done = max(0, count - len(header))
            _fill(self.archive.descriptor, each[done:], self.header_offset + len(header) + done)
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(header)
        if signature != b"PK\x03\x04":
            raise self._damaged()
        return int(self.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes)

    def _check(self, data: bytes | memoryview) -> None:
        if len(data) != self.size_bytes or zlib.crc32(data) != self.crc:
            raise self._damaged()

    def _bytes(self, start: int, count: int) -> bytes:
        """Read where the central directory says, once that is known to lie in the zip."""
        if not self._is_inside(start, count):
            raise self._damaged()
        data = os.pread(self.archive.descriptor, count, start)
        while more := os.pread(self.archive.descriptor, count - len(data), start + len(data)):
            data += more
        return data

    def _is_inside(self, start: int, count: int) -> bool:
        return start >= 0 and start + count <= self.archive.size_bytes

    def _damaged(self) -> UserError:
        return UserError(f"{self.where} is damaged in the zip: fetch or make the zip again")


def _fill(descriptor: int, space: memoryview, start: int) -> None:
    """Read from a place of a file until ``space`` is full or the file ends."""
    while space and (count := os.preadv(descriptor, [space], start)):
        space, start = space[count:], start + count


Entry = DiskFile | ZipMember

_DETAILS = [field.name for field in fields(ZipMember) if field.name not in ("archive", "name")]


class Files(Mapping[str, Entry]):
    """Files by their names, in columns.

    There are as many as there are images, and an object of each takes ten times the memory.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        """Pack entries, each of which may go then."""
        self.names = pa.array(entries, pa.string())
        """In the order given, [N]."""
        self.size_bytes = np.fromiter((each.size_bytes for each in entries.values()), np.int64)
        """[N]."""
        self._origins = list(dict.fromkeys(each.origin for each in entries.values()))
        numbers = {origin: number for number, origin in enumerate(self._origins)}
        self._origin = np.fromiter((numbers[each.origin] for each in entries.values()), np.int32)
        self._called = pa.array([each.called for each in entries.values()], pa.string())
        self._details = {
            name: np.fromiter((getattr(each, name, 0) for each in entries.values()), np.int64)
            for name in _DETAILS
        }

    def rows(self, names: pa.StringArray) -> npt.NDArray[np.int64]:
        """The rows of files, -1 where there is none of that name."""
        found = pc.fill_null(pc.index_in(names, value_set=self.names), -1)
        return np.asarray(found, np.int64)

    def at(self, row: int) -> Entry:
        """The file of a row."""
        origin, called = self._origins[self._origin[row]], self._called[row].as_py()
        if isinstance(origin, OpenZip):
            details = {name: int(column[row]) for name, column in self._details.items()}
            return ZipMember(origin, called, **details)
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


@dataclass(frozen=True)
class RawSplit:
    """One split of the raw data: its documents and the files its images may come from."""

    name: str
    documents: Mapping[str, Entry]
    images: Files
    """By path relative to the split's image folder."""
    folder: str
    """That folder, as messages call it."""


@dataclass(frozen=True)
class Raw:
    """Raw COCO data, open for reading."""

    splits: tuple[RawSplit, ...]
    """Those that have both documents and images, by name."""
    ignored: tuple[str, ...]
    """Documents without images, and image folders without documents."""


@contextmanager
def open_raw(raw: Path) -> Iterator[Raw]:
    """Find the splits of ``raw`` and keep its zips open inside the block.

    Raises:
        UserError: nothing there, no documents, no images for any of them, a
            broken zip, a name or link that leads out of the directory, one
            path found twice.
    """
    if not raw.is_dir():
        raise UserError(f"{raw} is not a directory: run the download stage first")
    with ExitStack() as open_zips:
        yield _find_splits(raw, _tree(raw, open_zips))


def _tree(raw: Path, open_zips: ExitStack) -> dict[str, Entry]:
    """Every file and zip member by its path relative to ``raw``, in sorted order."""
    tree: dict[str, Entry] = {}
    for name, path in _walk(raw, raw.resolve(), ""):
        if path.suffix.lower() == ".zip":
            found: Mapping[str, Entry] = dict(_members(path, name, open_zips))
        else:
            found = {name: DiskFile(raw, name, path.stat().st_size)}
        for inside, entry in found.items():
            if inside in tree:
                raise UserError(
                    f"{inside} is both {tree[inside].where} and {entry.where}: remove one of them"
                )
            tree[inside] = entry
    return dict(sorted(tree.items()))


def _walk(folder: Path, root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Files below ``folder`` with their paths relative to ``root``."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        path = folder / entry.name
        if entry.is_symlink():
            target = Path(os.path.realpath(path))  # of a link to itself, too
            if not path.exists():
                raise UserError(
                    f"{path} is a symlink to {target}, which does not exist: "
                    "put the file itself there"
                )
            # A symlinked cache is how DVC may have put the raw data here.
            inside = target.is_relative_to(root) or _DVC_CACHE.search(target.as_posix())
            if not inside or folder.resolve().is_relative_to(target):
                raise UserError(
                    f"{path} is a symlink to {target}, which is not below {root}: "
                    "put the file itself there"
                )
        if not is_unicode(entry.name):
            raise UserError(
                f"{os.fsencode(path)!r} has a name that is not Unicode, which no annotations can"
                " have: rename or remove it"
            )
        if entry.is_dir():
            yield from _walk(path, root, name + "/")
        elif entry.is_file():
            yield name, path


def is_unicode(text: str) -> bool:
    """Whether UTF-8 holds a text, which it does not if it has halves of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _members(path: Path, name: str, open_zips: ExitStack) -> Iterator[tuple[str, Entry]]:
    """The members of a zip by the paths they would have if unpacked beside it."""
    file = open_zips.enter_context(path.open("rb"))
    archive = OpenZip(name, file.fileno(), os.fstat(file.fileno()).st_size)
    members: dict[str, ZipMember] = {}
    for member in _directory(path, archive):
        if leads_out(member.name):
            raise UserError(f"{path} has a member named {member.name!r}: remove it from the zip")
        if member.name in members:
            raise UserError(f"{path} has two members named {member.name}: make it again")
        members[member.name] = member
    parent, _, _ = name.rpartition("/")
    root = f"{parent}/" if parent else ""
    if not any(_is_layout(member, path.stem) for member in members):
        root += f"{path.stem}/"
    for member in members.values():
        yield root + member.name, member


def _directory(path: Path, archive: OpenZip) -> list[ZipMember]:
    """The files in a zip; what zipfile made of its directory is gone afterwards."""
    try:
        with zipfile.ZipFile(path) as directory:
            return [
                ZipMember.of(archive, info)
                for info in directory.infolist()
                if not info.is_dir() and not info.filename.startswith("__MACOSX/")
            ]
    except UNREADABLE_ZIP as error:
        raise UserError(f"{path} is no readable zip ({error}): fetch or make it again") from error


def _is_layout(member: str, stem: str) -> bool:
    """Whether a zip with this member brings its own folders."""
    own = (f"{stem}/", "annotations/", "images/")
    return member.startswith(own) or member.endswith(f"/{BESIDE}")


def leads_out(name: str) -> bool:
    """Whether a file name is absolute or climbs out of its folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:[\\/]", name))


def _find_splits(raw: Path, tree: Mapping[str, Entry]) -> Raw:
    folders = _image_folders(tree)
    documents = _documents(raw, tree, folders)
    if not documents:
        raise UserError(
            f"{raw} has no COCO annotations: expected annotations/<document>_<split>.json "
            f"or <split>/{BESIDE}"
        )
    if "images" in folders and folders.keys().isdisjoint(documents):
        folders |= dict.fromkeys(documents, "images")
    splits = tuple(
        RawSplit(name, found, _below(tree, folders[name]), folders[name])
        for name, found in sorted(documents.items())
        if name in folders
    )
    if not splits:
        names = sorted(documents)
        raise UserError(
            f"{raw} has annotations for {some(names)} but no images for them: put them into "
            f"{names[0]}/, images/{names[0]}/ or {names[0]}.zip"
        )
    used = {split.folder for split in splits}
    without_images = [
        entry.where
        for name, found in sorted(documents.items())
        if name not in folders
        for entry in found.values()
    ]
    without_documents = [f"{path}/" for path in sorted(set(folders.values())) if path not in used]
    return Raw(splits, tuple(without_images + without_documents))


def _image_folders(tree: Mapping[str, Entry]) -> dict[str, str]:
    """Split name to the folder of its images; ``images`` itself is there if it holds any."""
    folders: dict[str, str] = {}
    for path in tree:
        parts = path.split("/")
        if PurePosixPath(path).suffix.lower() not in IMAGE_SUFFIXES or len(parts) == 1:
            continue
        if parts[0] != "images":
            folders[parts[0]] = parts[0]
        elif len(parts) == 2:
            folders["images"] = "images"
        else:
            folders.setdefault(parts[1], f"images/{parts[1]}")
    return folders


def _documents(
    raw: Path, tree: Mapping[str, Entry], folders: Mapping[str, str]
) -> dict[str, dict[str, Entry]]:
    """Split name to its documents by name."""
    documents: dict[str, dict[str, Entry]] = {}
    for path, entry in tree.items():
        parts = path.split("/")
        if len(parts) > 1 and parts[-1] == BESIDE and parts[:-2] in ([], ["images"]):
            split, document = parts[-2], "instances"
        elif path.endswith(".json") and (len(parts) == 1 or parts[:-1] == ["annotations"]):
            stem = parts[-1].removesuffix(".json")
            known = [name for name in folders if stem.endswith(f"_{name}")]
            # A split's own name may hold underscores: its folder tells.
            split = max(known, key=len) if known else stem.rpartition("_")[2]
            document = stem.removesuffix(split).removesuffix("_")
            if not document:
                continue
        else:
            continue
        found = documents.setdefault(split, {})
        if document in found:
            raise UserError(
                f"{raw} has two {document} documents of split {split}, {found[document].where} and "
                f"{entry.where}: remove one of them"
            )
        found[document] = entry
    return documents


def _below(tree: Mapping[str, Entry], folder: str) -> Files:
    prefix = f"{folder}/"
    return Files(
        {path.removeprefix(prefix): each for path, each in tree.items() if path.startswith(prefix)}
    )
