"""Secrets of URLs are taken out of every text."""

import pytest

from lineage.errors import bare_url, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://h.org/x", "http://h.org/x"),
        ("http://u@h.org/x", "http://h.org/x"),
        ("http://u:pw@h.org:80/x", "http://h.org:80/x"),
        ("http://u:p@ss@h.org/x", "http://h.org/x"),
        ("http://u:p@s:s@@h.org/x", "http://h.org/x"),
        ("http://u:p?w@h.org/x", "http://h.org/x"),
        ("http://u:pw@h.org", "http://h.org"),
        ("ssh://git@h.org/r.git", "ssh://h.org/r.git"),
        ("s3://bucket/key?versionId=1", "s3://bucket/key"),
        ("http://h.org/x?sig=1&to=a@b.org", "http://h.org/x"),
        ("http://u:pw@h.org/x?sig=1", "http://h.org/x"),
        ("http://h.org?sig=1", "http://h.org"),
        ("http://h.org/a@b/x", "http://h.org/a@b/x"),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
        ("postgresql://u:pw@h.org/db", "postgresql://h.org/db"),
        ("no http://u:pw@h.org/x?s=1 there", "no http://h.org/x there"),
        ("a http://u:pw@h/x and b://v:pw@h/y?s=1 too", "a http://h/x and b://h/y too"),
        ("http://u:pw@h/x\nhttp://v:pw@h/y?s=1\n", "http://h/x\nhttp://h/y\n"),
        ("GET 'http://u:pw@h/x?s=1' failed", "GET 'http://h/x' failed"),
        ('{"a": "http://u:pw@h/x?s=1", "b": 1}', '{"a": "http://h/x", "b": 1}'),
        ("http://u:pw@h/x,http://v:pw@h/y", "http://h/x,http://h/y"),
        ("is a@b.org there? no // yes: 1", "is a@b.org there? no // yes: 1"),
        ("", ""),
    ],
)
def test_secrets_of_urls_are_taken_out_of_a_text(text: str, expected: str) -> None:
    assert without_secrets(text) == expected
    assert without_secrets(expected) == expected


def test_urls_without_a_host_stay_as_they_are() -> None:
    assert without_secrets("sqlite:////home/me/mlflow.db") == "sqlite:////home/me/mlflow.db"


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://u:p@h.org/r.git", "https://h.org/r.git"),
        ("https://u:p@h.org/r.git#main", "https://h.org/r.git"),
        ("postgresql://u:pass word@h.org/db", "postgresql://h.org/db"),
        ("http://u:p?w@h.org/x", "http://h.org/x"),
        ("https://h.org/p?token='a b'", "https://h.org/p"),
        ("https://h.org/it's here?sig=1", "https://h.org/it's here"),
        ("HTTPS://h.org/x", "https://h.org/x"),
        ("sqlite:////home/me@here/mlflow.db", "sqlite:////home/me@here/mlflow.db"),
        ("a/path?x", "a/path?x"),
        ("", ""),
    ],
)
def test_one_url_as_a_whole(url: str, bare: str) -> None:
    assert bare_url(url) == bare
    assert bare_url(bare) == bare


def test_what_is_made_of_a_query_may_stand_in_its_place() -> None:
    assert bare_url("s3://b/k?versionId=1#x", mark=len_in_words) == "s3://b/k?11 letters"
    assert bare_url("s3://b/k?", mark=len_in_words) == "s3://b/k"


def len_in_words(query: str) -> str:
    return f"{len(query)} letters"
