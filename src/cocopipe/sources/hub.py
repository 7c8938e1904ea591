"""A detection dataset on the Hugging Face Hub, brought to COCO's conventions.

Its files are fetched and checked here; what becomes of their rows is
:mod:`cocopipe.sources.hub_rows`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import httpx2
import huggingface_hub
import huggingface_hub.errors
import pyarrow as pa

from cocopipe.errors import UserError, some
from cocopipe.sources.disk import require_space
from cocopipe.sources.hub_rows import BoxFormat, Source, write_split
from cocopipe.sources.names import require_split_name
from cocopipe.sources.origin import Origin

_TIMEOUT_S = 30


def fetch_hub(
    out: Path, *, repo: str, revision: str, splits: Sequence[str], box_format: str
) -> list[Origin]:
    """Write splits of a dataset on the Hub as COCO: an image archive and a document each.

    The Parquet files are fetched into ``huggingface_hub``'s own cache. The server is the one
    that ``HF_ENDPOINT`` named when ``huggingface_hub`` was imported.

    Args:
        out: Existing, empty folder.
        repo: Such as ``detection-datasets/coco``. Its rows hold ``image`` and ``objects``
            with ``bbox`` and ``category`` (a ClassLabel), and where it has them ``image_id``,
            ``width``, ``height``, and per object ``bbox_id`` or ``id``, ``area``, ``iscrowd``.
        revision: A commit; a branch or tag is resolved to one.
        splits: As the Hub names them, such as ``["val"]``.
        box_format: ``xyxy`` or ``xywh``, in pixels: what ``bbox`` holds.

    Raises:
        UserError: Repository, revision or split don't exist, nothing answers, the rows are
            not as described, or the disk is too full.
    """
    if box_format not in set(BoxFormat):
        raise UserError(f"{box_format!r} is no box format; use one of {', '.join(BoxFormat)}.")
    if not splits:
        raise UserError(f"No split of {repo} was asked for; name at least one, such as val.")
    for split in splits:
        require_split_name(split)
    with _in_one_sentence(repo, revision):
        commit, files = _parquet_files(repo, revision)
        chosen = {split: _of_split(files, split, repo) for split in dict.fromkeys(splits)}
        wanted = [file for of_split in chosen.values() for file in of_split]
        require_space(
            [
                (out, sum(file.size for file in wanted)),
                (
                    Path(huggingface_hub.constants.HF_HUB_CACHE),
                    sum(file.size for file in wanted if not _is_cached(repo, commit, file)),
                ),
            ]
        )
        (out / "annotations").mkdir()
        origins = []
        for split, of_split in chosen.items():
            paths = []
            for file in of_split:
                path, origin = _download(repo, commit, file)
                paths.append(path)
                origins.append(origin)
            write_split(out, split, paths, Source(repo, commit, BoxFormat(box_format)))
    return origins


def _parquet_files(repo: str, revision: str) -> tuple[str, list[huggingface_hub.RepoFile]]:
    """Return the commit that ``revision`` is, and its Parquet files in order."""
    api = huggingface_hub.HfApi()
    commit = api.dataset_info(repo, revision=revision, timeout=_TIMEOUT_S).sha
    if commit is None:
        raise UserError(f"{repo}: the Hub names no commit for revision {revision!r}; name another.")
    entries = api.list_repo_tree(repo, repo_type="dataset", revision=commit, recursive=True)
    files = [entry for entry in entries if isinstance(entry, huggingface_hub.RepoFile)]
    parquet = [file for file in files if file.path.endswith(".parquet")]
    return commit, sorted(parquet, key=lambda file: file.path)


def _of_split(
    files: list[huggingface_hub.RepoFile], split: str, repo: str
) -> list[huggingface_hub.RepoFile]:
    """Choose the files of a split: ``<split>-….parquet``, ``<split>.parquet``, ``<split>/…``."""

    def belongs(path: PurePosixPath) -> bool:
        return path.stem == split or path.stem.startswith(f"{split}-") or path.parent.name == split

    chosen = [file for file in files if belongs(PurePosixPath(file.path))]
    if not chosen:
        there = sorted({PurePosixPath(file.path).stem.partition("-")[0] for file in files})
        raise UserError(
            f"{repo} has no Parquet files of a split {split!r} "
            f"({'its files are of ' + some(there) if there else 'it has no Parquet files at all'});"
            " name another split or revision."
        )
    folders = sorted({str(PurePosixPath(file.path).parent) for file in chosen})
    if len(folders) > 1:
        raise UserError(
            f"{repo} has the split {split!r} in several configurations ({some(folders)}); only "
            "datasets with one can be read."
        )
    return chosen


def _is_cached(repo: str, commit: str, file: huggingface_hub.RepoFile) -> bool:
    found = huggingface_hub.try_to_load_from_cache(
        repo, file.path, revision=commit, repo_type="dataset"
    )
    return isinstance(found, str)


def _download(repo: str, commit: str, file: huggingface_hub.RepoFile) -> tuple[Path, Origin]:
    """Fetch a file, unless it is cached, and check it against the checksum that the Hub states."""
    path = Path(
        huggingface_hub.hf_hub_download(repo, file.path, repo_type="dataset", revision=commit)
    )
    with path.open("rb") as opened:
        actual = hashlib.file_digest(opened, "sha256").hexdigest()
    if file.lfs is not None and actual != file.lfs.sha256:
        path.resolve().unlink()
        path.unlink()
        raise UserError(
            f"{repo}: {file.path} has the sha256 {actual} where the Hub states {file.lfs.sha256}, "
            "and was deleted from the cache; fetch it again."
        )
    url = huggingface_hub.hf_hub_url(repo, file.path, repo_type="dataset", revision=commit)
    return path, Origin(file.path, url, path.stat().st_size, f"sha256:{actual}")


@contextmanager
def _in_one_sentence(repo: str, revision: str) -> Iterator[None]:
    """Turn what ``huggingface_hub`` raises into a sentence."""
    endpoint = huggingface_hub.constants.ENDPOINT
    errors = huggingface_hub.errors
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{repo} is gated: accept its terms on {endpoint} and log in with 'hf auth login'."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"There is no dataset {repo!r} on {endpoint}, or it is private; check the name, or log "
            "in with 'hf auth login'."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"{repo} has no revision {revision!r}; name a commit, branch or tag of it."
        ) from error
    except errors.HFValidationError as error:
        raise UserError(
            f"{repo!r} can't be the name of a dataset; write it as owner/name."
        ) from error
    except errors.HfHubHTTPError as error:
        raise UserError(
            f"{repo}: {endpoint} answered HTTP {error.response.status_code}; try again later."
        ) from error
    except (httpx2.HTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise UserError(
            f"{repo}: no usable answer from {endpoint} ({_innermost(error)}); check the network, "
            "and HF_ENDPOINT and HF_HUB_OFFLINE where they are set."
        ) from error
    except pa.ArrowException as error:
        raise UserError(
            f"{repo}: a file of revision {revision} is no readable Parquet ({error}); name another "
            "revision."
        ) from error
    except OSError as error:
        raise UserError(
            f"{repo}: {error.filename or 'a file'} can't be read or written "
            f"({error.strerror or error})."
        ) from error


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__).rstrip(".")
