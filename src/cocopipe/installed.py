"""Whether the extra ``pipeline`` is installed. Without it, this distribution is `lineage` alone."""

from cocopipe.errors import UserError, some
from lineage.environment import missing_packages


def check() -> None:
    """Tell what to install, before an import fails.

    Raises:
        UserError: If a package of the extra is not installed.
    """
    missing = missing_packages("cocopipe", "pipeline")
    if missing:
        raise UserError(
            f"the pipeline's packages are not installed ({some(missing)}): run `pip install"
            " '.[pipeline]'` in a clone of cocopipe's repository, or `make setup`, which makes"
            " .venv there."
        )
