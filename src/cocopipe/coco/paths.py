"""Where an image lies in a folder, by the name that a document has for it."""

import re

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile(r"^[A-Za-z]:")


def path_of(file_name: str) -> str:
    r"""The path of an image in a folder of its own, which it never leaves.

    Documents come from everywhere, and their names too: with backslashes, as URLs, absolute, or
    out of their folder and into another.

        >>> path_of(r"images\1.jpg"), path_of("../a/./1.jpg"), path_of("https://b.org/1.jpg?x=2")
        ('images/1.jpg', 'a/1.jpg', 'b.org/1.jpg')

    Args:
        file_name: As written in a document.

    Returns:
        A relative path with forward slashes, without ``.``, ``..`` and empty parts.
    """
    if scheme := _SCHEME.match(file_name):
        file_name = file_name[scheme.end() :].partition("?")[0]
    parts: list[str] = []
    for part in _DRIVE.sub("", file_name).replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or "unnamed"
