"""With what: the interpreter, the machine, and the packages that write bytes.

Recorded beside a run, and not part of its signature: DVC does not rerun for them.
"""

import hashlib
import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Any


def describe(root: Path) -> dict[str, Any]:
    """Versions of Python, platform and every installed package, and the hash of the lock."""
    lock = root / "requirements.lock"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {
            name: distribution.version
            for name, distribution in sorted(
                (str(distribution.metadata["Name"]), distribution)
                for distribution in distributions()
            )
        },
        "requirements.lock": _md5(lock) if lock.is_file() else None,
    }


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
