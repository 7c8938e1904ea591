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
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cocopipe.errors import UserError, some

BESIDE = "_annotations.coco.json"
"""A document that lies beside its images; its name is ``instances``."""

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)

UNREADABLE_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError)
"""What zipfile raises on opening bytes that it can't read."""

_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, name and extra lengths


@dataclass(frozen=True)
class DiskFile:
    """A file of the raw directory."""

    path: Path
    where: str
    """What messages call it."""
    size_bytes: int

    def read(self) -> bytes:
        """Read the whole file."""
        return self.path.read_bytes()

    def read_into(self, space: memoryview) -> None:
        """Read the whole file into ``space``, which has its size.

        Raises:
            UserError: the file has another size by now.
        """
        with self.path.open("rb", buffering=0) as file:
            count = file.readinto(space)
            if count != len(space) or file.read(1):
                raise UserError(f"{self.where} changed while it was read: run the stage again")


@dataclass(frozen=True)
class ZipMember:
    """A member of a zip in the raw directory; can be read by several threads at once."""

    descriptor: int
    """Of the open zip: read by position, so that threads share it."""
    info: zipfile.ZipInfo
    where: str
    zip_bytes: int
    """Of the whole zip."""

    @property
    def size_bytes(self) -> int:
        """The unpacked size that the zip declares; reading checks it."""
        return self.info.file_size

    def read(self) -> bytes:
        """Read and unpack the member.

        Raises:
            UserError: it is encrypted, packed in an unusual way, or damaged.
        """
        info = self.info
        data = self._bytes(self._start(), info.compress_size)
        if info.compress_type == zipfile.ZIP_DEFLATED:
            try:
                # One byte more than declared is enough to notice a bomb.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, info.file_size + 1)
            except (zlib.error, OverflowError) as error:  # a size that no memory has
                raise self._damaged() from error
        self._check(data)
        return data

    def read_into(self, space: memoryview) -> None:
        """Read and unpack the member into ``space``, which has its size; as `read` does."""
        if self.info.compress_type != zipfile.ZIP_STORED:
            space[:] = self.read()
            return
        info = self.info
        # Mostly, the header before the bytes is as long as its copy in the directory.
        header = bytearray(_LOCAL_HEADER.size + len(info.filename) + len(info.extra))
        start = self._start_after(header, space)
        if start != info.header_offset + len(header):
            if info.compress_size != len(space) or not self._is_inside(start, len(space)):
                raise self._damaged()
            os.preadv(self.descriptor, [space], start)
        self._check(space)

    def _start(self) -> int:
        return self._start_after(bytearray(_LOCAL_HEADER.size))

    def _start_after(self, header: bytearray, *space: memoryview) -> int:
        """Read the member's header, and into ``space`` what follows; where its bytes are."""
        info = self.info
        if info.flag_bits & 0x1:
            raise UserError(f"{self.where} is encrypted: make the zip without a password")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(
                f"{self.where} is packed by method {info.compress_type}: "
                "zip it again, stored or deflated"
            )
        if not self._is_inside(info.header_offset, len(header)):
            raise self._damaged()
        os.preadv(self.descriptor, [header, *space], info.header_offset)
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(header)
        if signature != b"PK\x03\x04":
            raise self._damaged()
        return int(info.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes)

    def _check(self, data: bytes | memoryview) -> None:
        if len(data) != self.info.file_size or zlib.crc32(data) != self.info.CRC:
            raise self._damaged()

    def _bytes(self, start: int, count: int) -> bytes:
        """Read where the central directory says, once that is known to lie in the zip."""
        if not self._is_inside(start, count):
            raise self._damaged()
        return os.pread(self.descriptor, count, start)

    def _is_inside(self, start: int, count: int) -> bool:
        return start >= 0 and start + count <= self.zip_bytes

    def _damaged(self) -> UserError:
        return UserError(f"{self.where} is damaged in the zip: fetch or make the zip again")


Entry = DiskFile | ZipMember


@dataclass(frozen=True)
class RawSplit:
    """One split of the raw data: its documents and the files its images may come from."""

    name: str
    documents: Mapping[str, Entry]
    images: Mapping[str, Entry]
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
            found = {name: DiskFile(path, name, path.stat().st_size)}
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
        if entry.is_dir():
            yield from _walk(path, root, name + "/")
        elif entry.is_file():
            yield name, path


def _members(path: Path, name: str, open_zips: ExitStack) -> Iterator[tuple[str, Entry]]:
    """The members of a zip by the paths they would have if unpacked beside it."""
    try:
        archive = open_zips.enter_context(zipfile.ZipFile(path))
    except UNREADABLE_ZIP as error:
        raise UserError(f"{path} is no readable zip ({error}): fetch or make it again") from error
    assert archive.fp is not None  # noqa: S101 - open, as it was just entered
    descriptor = archive.fp.fileno()
    zip_bytes = os.fstat(descriptor).st_size
    infos = [
        info
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith("__MACOSX/")
    ]
    seen: set[str] = set()
    for info in infos:
        if leads_out(info.filename):
            raise UserError(f"{path} has a member named {info.filename!r}: remove it from the zip")
        if info.filename in seen:
            raise UserError(f"{path} has two members named {info.filename}: make it again")
        seen.add(info.filename)
    parent, _, _ = name.rpartition("/")
    root = f"{parent}/" if parent else ""
    stem = path.stem
    if not any(_is_layout(member, stem) for member in seen):
        root += f"{stem}/"
    for info in infos:
        yield (
            root + info.filename,
            ZipMember(descriptor, info, f"{name}: {info.filename}", zip_bytes),
        )


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


def _below(tree: Mapping[str, Entry], folder: str) -> dict[str, Entry]:
    prefix = f"{folder}/"
    return {
        path.removeprefix(prefix): entry for path, entry in tree.items() if path.startswith(prefix)
    }
