"""Text files as editors and tools save them."""

import codecs
from pathlib import Path

from cocopipe.errors import UserError
from cocopipe.sources.local import inside

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # which begins as the next one does
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_BE: "utf-16",
}


def text_of(path: Path, root: Path) -> str:
    """The text of a file: in UTF-8, or in what the mark at its beginning says.

    Raises:
        UserError: it is in another encoding, or leads out of ``root``.
    """
    data = inside(path, root).read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is no text in UTF-8 ({error.reason} at byte {error.start}): save it as such."
        ) from error


def lines_of(path: Path, root: Path) -> list[str]:
    """The lines of a text that have something in them, without spaces around.

    Raises:
        UserError: as :func:`text_of` does.
    """
    return [text for line in text_of(path, root).splitlines() if (text := line.strip())]
