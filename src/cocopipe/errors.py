"""The errors a user can cause."""

from lineage.errors import told

__all__ = ["INTERRUPTED", "UserError", "some", "told"]

INTERRUPTED = 130
"""Exit code of what was ended by Ctrl-C, as shells have it."""


class UserError(Exception):
    """One sentence that says what is wrong, where, and what to do about it.

    The command line prints it without a traceback and exits with 1; a tracked
    stage marks its MLflow run FAILED with it.
    """

    def __str__(self) -> str:
        # A file's name may have line breaks, and a URL that was redirected to a signature.
        return told(super().__str__())


def some(names: list[str], limit: int = 5) -> str:
    """Join the first few names for a message: ``a, b, c and 7 more``."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
