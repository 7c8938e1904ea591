"""Commits as git lets anybody make them."""

import subprocess

import pytest

from lineage.project import Project as Asked
from tests.lineage.conftest import Project


@pytest.mark.parametrize("seconds", ["-99999999999", "0", "4102444800", "99999999999999999"])
@pytest.mark.parametrize(
    "header", [b"", b"encoding no-such-encoding\n", b"encoding latin-1\n"], ids=["-", "none", "l1"]
)
def test_a_commit_of_any_date_and_encoding_is_a_revision(
    copied: Project, seconds: str, header: bytes
) -> None:
    tree = copied.run("git", "rev-parse", "HEAD^{tree}").stdout.strip()
    parent = copied.run("git", "rev-parse", "HEAD").stdout.strip()
    who = f"Who <who@example.org> {seconds} +0000".encode()
    raw = (
        f"tree {tree}\nparent {parent}\n".encode()
        + b"author "
        + who
        + b"\ncommitter "
        + who
        + b"\n"
        + header
        + b"\nsubject \xff\xe9\n"
    )
    written = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=copied.root,
        input=raw,
        capture_output=True,
        check=True,
    )
    commit = written.stdout.decode().strip()
    copied.run("git", "update-ref", "refs/heads/odd", commit)
    found = Asked.find().history.commits.named("odd")
    assert found.id == commit
    assert 1970 <= found.time.year <= 9999
    assert found.subject.startswith("subject ")
