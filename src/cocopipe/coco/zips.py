"""Files of raw data, on disk or inside zips, read in one way."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cocopipe.errors import UserError

BLOCK_BYTES = 2**20
"""What is read at a time of a file that is not read as a whole."""
_MOST_DEFLATED = 1032
"""Bytes that one of deflated data can stand for (zlib's technical notes)."""

_MOST_BYTES = 2**63 - 1
"""The size of a member that is taken at its word; ZIP64 can say twice that."""

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE.TXT 4.3.7: signature, name and extra lengths


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A file of the raw directory."""

    folder: Path
    where: str
    """The file's path relative to the folder, which is also what messages call it."""
    size_bytes: int

    @property
    def origin(self) -> Path:
        """The folder that the file is in."""
        return self.folder

    @property
    def called(self) -> str:
        """The file's name in that folder."""
        return self.where

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.where

    def require_size(self) -> None:
        """Accept the size, which the file system says."""

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
    """The zip's path relative to the raw directory."""
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
    """The length of the header before the bytes, which may be longer than its copy says."""

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
        """The zip that the member is in."""
        return self.archive

    @property
    def called(self) -> str:
        """The member's name in that zip."""
        return self.name

    @property
    def where(self) -> str:
        """The member as messages call it."""
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
