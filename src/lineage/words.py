"""Words for people: numbers with their nouns, a few of many names, text of others as it is."""

from collections.abc import Mapping, Sequence

DIGITS = 8
"""Of a hash or a run's id that are shown; any prefix that is not ambiguous is a REF."""

DIGITS_IN_TABLES = 10
"""The same where there is room for more."""

NAMED = 3
"""How many of many names a sentence has, and of many metrics a line."""

UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(code) for code in range(0xE0100, 0xE01F0)
}
"""What nobody sees either, though Unicode calls it a letter or a mark: fillers, and selectors of
variants beyond those of symbols."""


def visible(text: str, keep: str = "") -> str:
    r"""The text with what can't be seen, or reorders what can, written as ``\x1b``.

    So nothing in it is obeyed by a terminal, begins a line, or looks like something else. Also
    what no encoding can write: a file's name may hold bytes that are no text.

    Args:
        text: Anybody's.
        keep: Letters that stay, such as line breaks of a text that has lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter
        if letter in keep or (letter.isprintable() and letter not in UNSEEN)
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def count(number: int, noun: str) -> str:
    """A number with its noun, which is plural but for one."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], shown: int = NAMED) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def short(digest: str, digits: int = DIGITS) -> str:
    """The first digits of a hash or id, with its algorithm where it names one."""
    algorithm, colon, whole = digest.rpartition(":")
    return f"{algorithm}{colon}{whole[:digits]}"


def metrics(values: Mapping[str, float]) -> list[str]:
    """The first of some metrics by name, with four digits."""
    return [f"{name} {value:.4g}" for name, value in sorted(values.items())[:NAMED]]
