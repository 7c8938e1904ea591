"""The errors a user can cause."""


class LineageError(Exception):
    """One sentence that says what is wrong, where, and what to do about it."""
