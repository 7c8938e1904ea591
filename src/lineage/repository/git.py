"""Git by its command line, for what libgit2 has no answer to."""

import os
import subprocess
from pathlib import Path

from lineage.errors import LineageError


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    """What git prints, without the final newline; "" when it fails and need not succeed."""
    done = run_git(folder, *arguments)
    if done.returncode and check:
        said = " ".join(done.stderr.split())
        raise LineageError(f"`git {' '.join(arguments)}` failed in {folder}: {said}")
    return done.stdout.strip("\n") if not done.returncode else ""


def run_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, in English, and say what it came to."""
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",  # a file's name may be in any encoding
        env={**os.environ, "LC_ALL": "C"},
    )
