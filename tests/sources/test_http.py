import json
import random
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cocopipe.errors import UserError
from cocopipe.sources.http import Patience, complete, public
from tests.sources.servers import Fault, Server

BODY = random.Random(0).randbytes(1_000_000)
SIZE = len(BODY)
HASTE = Patience(connect_s=20, stall_s=20, attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
IMPATIENCE = replace(HASTE, stall_s=1)


def fetched(
    server: Server, folder: Path, path: str = "/a.zip", patience: Patience = HASTE
) -> bytes:
    complete(server.url + path, folder / "a.zip.partial", size_bytes=SIZE, patience=patience)
    return (folder / "a.zip.partial").read_bytes()


def start_of(asked: str | None) -> int:
    assert asked is not None
    return int(asked.removeprefix("bytes=").removesuffix("-"))


def test_cut_connections_are_continued(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", Fault(cut=0.3), Fault(cut=0.7))
        assert fetched(server, tmp_path) == BODY
        first, second, third = server.gets("/a.zip")
    assert first.range is None
    assert 0.2 * SIZE < start_of(second.range) <= 0.3 * SIZE
    assert 0.6 * SIZE < start_of(third.range) <= 0.7 * SIZE
    assert second.status == third.status == 206
    assert second.if_range


def test_a_trouble_that_passes_is_sat_out(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail(
            "/a.zip",
            Fault(status=503),
            Fault(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
            Fault(stall=0.2),
            Fault(status=500, headers={"Retry-After": "0"}),
            Fault(status=502, headers={"Retry-After": "soon"}),
            Fault(no_length=True, cut=0.5),
        )
        assert fetched(server, tmp_path, patience=IMPATIENCE) == BODY
        assert [r.status for r in server.requests] == [503, 429, 200, 500, 502, 206, 206]


def test_progress_resets_the_count_of_attempts(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", *(Fault(cut=part / 10) for part in range(1, 10)))
        assert fetched(server, tmp_path) == BODY
        assert len(server.requests) == 10 > HASTE.attempts


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(status=503), "HTTP 503"),
        (Fault(stall=0), "no answer within 1 s|timed out"),
        (Fault(cut=0), "connection|IncompleteRead"),
    ],
)
def test_no_progress_is_given_up_and_what_is_there_is_kept(
    tmp_path: Path, fault: Fault, reason: str
) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", Fault(cut=0.5), *[fault] * 3)
        with pytest.raises(
            UserError, match=rf"3 attempts without progress \(.*({reason})"
        ) as caught:
            fetched(server, tmp_path, patience=IMPATIENCE)
        assert len(server.requests) == 4
        assert "of 1,000,000 bytes are kept" in str(caught.value)
        assert fetched(server, tmp_path) == BODY
        assert start_of(server.requests[-1].range) > 0.4 * SIZE


def test_a_server_that_always_restarts_and_breaks_is_given_up(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", *[Fault(cut=0.3, ignore_range=True)] * 9)
        with pytest.raises(UserError, match="without progress"):
            fetched(server, tmp_path)
        assert len(server.requests) == 1 + HASTE.attempts


def test_nobody_listens(tmp_path: Path) -> None:
    with Server({}) as server:
        pass
    with pytest.raises(UserError, match=r"without progress \(Connection refused\)"):
        fetched(server, tmp_path)


def test_a_server_that_ignores_ranges_starts_over(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", Fault(cut=0.5), Fault(ignore_range=True))
        assert fetched(server, tmp_path) == BODY
        assert [r.status for r in server.requests] == [200, 200]


@pytest.mark.parametrize("content_range", ["bytes 5-999999/1000000", "bytes */1000000", "nonsense"])
def test_a_wrong_range_starts_over(tmp_path: Path, content_range: str) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", Fault(cut=0.5), Fault(headers={"Content-Range": content_range}))
        assert fetched(server, tmp_path) == BODY
        assert server.requests[-1].range is None


def test_an_unsatisfiable_range_starts_over(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", Fault(cut=0.5), Fault(status=416))
        assert fetched(server, tmp_path) == BODY


@pytest.mark.parametrize("validators", [True, False])
def test_a_file_that_changed_is_not_joined_to_the_old_one(tmp_path: Path, validators: bool) -> None:
    old = BODY[::-1]
    with Server({"/a.zip": old}, validators=validators) as server:
        server.fail("/a.zip", Fault(cut=0.5), *[Fault(status=503)] * 3)
        with pytest.raises(UserError):
            fetched(server, tmp_path)
        server.files = {"/a.zip": BODY}
        got = fetched(server, tmp_path)
    # Without ETag and Last-Modified nobody can know; the checksum finds it.
    assert (got == BODY) == validators


def test_weak_etags_are_no_validators(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY}, validators=False) as server:
        dated = {"ETag": 'W/"x"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
        server.fail("/a.zip", Fault(cut=0.5, headers=dated))
        fetched(server, tmp_path)
        assert server.requests[1].if_range == "Wed, 21 Oct 2015 07:28:00 GMT"


def test_another_url_starts_over(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY[::-1], "/b.zip": BODY}) as server:
        server.fail("/a.zip", Fault(cut=0.5), *[Fault(status=503)] * 3)
        with pytest.raises(UserError):
            fetched(server, tmp_path)
        assert fetched(server, tmp_path, "/b.zip") == BODY
        assert server.gets("/b.zip")[0].range is None


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"url": 1}'])
def test_a_note_that_cannot_be_read_starts_over(tmp_path: Path, broken: str) -> None:
    (tmp_path / "a.zip.partial").write_bytes(b"x" * 1000)
    (tmp_path / "a.zip.partial.json").write_text(broken)
    with Server({"/a.zip": BODY}) as server:
        assert fetched(server, tmp_path) == BODY


@pytest.mark.parametrize("have", [0, SIZE + 1, 5 * SIZE])
def test_leftovers_of_an_odd_size_start_over(tmp_path: Path, have: int) -> None:
    (tmp_path / "a.zip.partial").write_bytes(b"x" * have)
    with Server({"/a.zip": BODY}) as server:
        assert fetched(server, tmp_path) == BODY


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(status=404), r"a\.zip does not exist \(HTTP 404\)"),
        (Fault(status=403), "the server answered HTTP 403"),
        (Fault(status=401), "HTTP 401 .* needs a login"),
        (Fault(status=206), "the server answered HTTP 206"),
        (Fault(status=204), "the server answered HTTP 204"),
    ],
)
def test_a_refusal_is_final(tmp_path: Path, fault: Fault, message: str) -> None:
    with Server({"/a.zip": BODY}) as server:
        server.fail("/a.zip", fault)
        with pytest.raises(UserError, match=message):
            fetched(server, tmp_path)
        assert len(server.requests) == 1
    assert not (tmp_path / "a.zip.partial").exists()


@pytest.mark.parametrize("other", [BODY[:-1], BODY + b"x"])
def test_a_file_of_another_size_is_refused_before_it_is_fetched(
    tmp_path: Path, other: bytes
) -> None:
    with Server({"/a.zip": other}) as server:
        with pytest.raises(UserError, match=rf"a\.zip has {len(other)} bytes where 1,000,000 are"):
            fetched(server, tmp_path)
        (tmp_path / "a.zip.partial").write_bytes(BODY[: SIZE // 2])
        note = {"url": server.url + "/a.zip", "validator": None}
        (tmp_path / "a.zip.partial.json").write_text(json.dumps(note))
        with pytest.raises(UserError, match=f"has {len(other)} bytes"):
            fetched(server, tmp_path)
    assert (tmp_path / "a.zip.partial").stat().st_size == SIZE // 2


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    with Server({"/a.zip": BODY * 3}) as server:
        server.fail("/a.zip", Fault(no_length=True))
        with pytest.raises(UserError, match="has more bytes where"):
            fetched(server, tmp_path)
    assert (tmp_path / "a.zip.partial").stat().st_size == 0


def test_what_is_no_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check the URL"):
        complete("ftp://127.0.0.1/a", tmp_path / "a", size_bytes=1, patience=HASTE)


def test_passwords_are_not_shown() -> None:
    assert public("https://me:secret@host:1/a?b") == "https://host:1/a?b"
    assert public("https://host/a@b") == "https://host/a@b"


FETCH = """
import sys
from dataclasses import replace
from pathlib import Path
from cocopipe.errors import UserError
from cocopipe.sources.http import complete
try:
    complete(sys.argv[1], Path(sys.argv[2]), size_bytes=int(sys.argv[3]))
except UserError as error:
    sys.exit(str(error))
"""


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    partial = tmp_path / "a.zip.partial"
    with Server({"/a.zip": BODY}) as server:
        done = subprocess.run(
            [sys.executable, "-c", FETCH, server.url + "/a.zip", str(partial), str(SIZE)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=no_large_files,
        )
        assert done.returncode == 1
        assert done.stderr == (
            f"{partial}: cannot be written (File too large); what has arrived is kept, so run it "
            "again when that is solved.\n"
        )
        assert fetched(server, tmp_path) == BODY
        assert start_of(server.requests[-1].range) > 200_000
