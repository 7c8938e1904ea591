"""Secrets of URLs are taken out of every text."""

import time

import pytest

from cocopipe.errors import UserError
from lineage.errors import LineageError, bare_url, without_secrets


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
        ("http://token@h.org/x", "http://h.org/x"),
        ("HTTPS://U:PW@H.ORG/x", "HTTPS://H.ORG/x"),
        ("http://u:p%40%2Fss@h.org/x", "http://h.org/x"),
        ("postgresql+psycopg2://u:p/w@h/db", "postgresql+psycopg2://h/db"),
        ("mysql://u:pw/x/y@h:3306/db?ssl_key=k", "mysql://h:3306/db"),
        ("http://h.org:8080/a@b/x", "http://h.org:8080/a@b/x"),
        ("http://[::1]:5000/a@b", "http://[::1]:5000/a@b"),
        ("http://u:pw@[::1]:5000/x", "http://[::1]:5000/x"),
        ('http://u:p"w@h/x', "http://h/x"),
        ('{"a":"http://h","b":"c@d"}', '{"a":"http://h","b":"c@d"}'),
        ('{"a":"http://u:pw@h","b":"c@d"}', '{"a":"http://h","b":"c@d"}'),
        (r'"{\"a\": \"http://u:pw@h/x?s=1\"}"', r'"{\"a\": \"http://h/x\"}"'),
        (r'"http:\/\/u:pw@h\/x?s=1"', r'"http:\/\/h\/x"'),
        ("--at=https%3A%2F%2Fu%3Apw%40h.org%2Fx", "--at=https%3A%2F%2Fh.org%2Fx"),
        ("curl -u x ftp://u:pw@h/x; wget s3://k:s@b/y", "curl -u x ftp://h/x; wget s3://b/y"),
        ("git+https://t@h.org/r.git@main", "git+https://h.org/r.git@main"),
        ("clone git@github.com:org/repo", "clone git@github.com:org/repo"),
        ("models:/detector@champion", "models:/detector@champion"),
        ("data/train@main http://h/x", "data/train@main http://h/x"),
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
        (" https://u:p@h.org/x", "https://h.org/x"),
        ("postgresql://u:p/w@h.org/db", "postgresql://h.org/db"),
        ("http://h.org:5000/a@b", "http://h.org:5000/a@b"),
        ("jdbc:postgresql://u:p@h.org/db", "jdbc:postgresql://h.org/db"),
        ("ext::https://u:p@h.org/r.git", "ext::https://h.org/r.git"),
        ("git@github.com:org/repo", "git@github.com:org/repo"),
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


@pytest.mark.parametrize("kind", [LineageError, UserError])
def test_a_sentence_about_a_url_tells_no_secret(kind: type[Exception]) -> None:
    error = kind("https://u:pw@h.org/x?sig=1 does not answer:\nsee to it.")
    assert str(error) == r"https://h.org/x does not answer:\nsee to it."


def test_text_without_an_end_is_read_in_no_time() -> None:
    for text in ("http://" * 20_000, "http://" + "u:" * 20_000, 'http://"' + '" ' * 20_000):
        began = time.perf_counter()
        without_secrets(text)
        bare_url(text)
        assert time.perf_counter() - began < 5
