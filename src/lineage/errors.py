"""The errors a user can cause."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lineage import environment


class LineageError(Exception):
    """One sentence that says what is wrong, where, and what to do about it."""


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Turn what DVC and MLflow raise by themselves into a `LineageError`."""
    environment.send_nothing()
    from dvc.exceptions import DvcException
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise LineageError(f"MLflow: {reason(error)}") from error
    except DvcException as error:
        raise LineageError(f"DVC: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What an error says, in one line and without the credentials of URLs in it.

    The system's own words where there are any, such as `Connection refused`.
    """
    words = re.search(r"\[Errno -?\d+\] ([\w ,]+)", str(error))
    return words[1] if words else without_secrets(" ".join(str(error).split()))[:300]


def without_secrets(text: str) -> str:
    """The text with user names and passwords taken out of its URLs."""
    return re.sub(r"//[^/@\s]+@", "//", text)
