import random

import pytest

from cocopipe.split import shards as module
from cocopipe.split.shards import CAP, SCHEMA, images_per_shard, shard_name, shards


def cut(image_ids: list[int], average: int = 16) -> dict[str, tuple[int, ...]]:
    """Shard name to the ids in it."""
    return {
        shard_name(image_ids[part.start]): tuple(image_ids[part])
        for part in shards(image_ids, average)
    }


def changed(one: dict[str, tuple[int, ...]], other: dict[str, tuple[int, ...]]) -> int:
    """How many shards of ``other`` would have to be stored anew."""
    return sum(one.get(name) != ids for name, ids in other.items())


IDS = sorted(random.Random(1).sample(range(600_000), 3000))


def test_shards_hold_all_images_in_order_and_are_near_the_average() -> None:
    cuts = shards(IDS, 16)
    assert [IDS[index] for part in cuts for index in range(part.start, part.stop)] == IDS
    assert 12 < len(IDS) / len(cuts) < 20


def test_one_image_more_or_less_changes_at_most_two_shards() -> None:
    before = cut(IDS)
    chance = random.Random(2)
    for _ in range(100):
        new = chance.randrange(600_000)
        more = sorted({*IDS, new})
        less = sorted({*IDS} - {chance.choice(IDS)})
        assert changed(before, cut(more)) <= 2
        assert changed(before, cut(less)) <= 2


def test_images_at_the_end_change_the_last_shard_only() -> None:
    before = cut(IDS)
    after = cut([*IDS, *range(600_000, 600_030)])
    kept = list(before)[:-1]
    assert all(after[name] == before[name] for name in kept)


def test_a_shard_is_never_longer_than_the_cap() -> None:
    # With this average no id of a thousand starts a shard by its hash.
    lengths = {part.stop - part.start for part in shards(range(1000), 2**60)}
    assert lengths == {1000}
    assert max(part.stop - part.start for part in shards(IDS * 40, 2)) <= CAP * 2


def test_borders_stay_when_the_mean_size_drifts() -> None:
    assert images_per_shard(160_000) == images_per_shard(170_000) == 32
    assert images_per_shard(10**9) == 1
    assert images_per_shard(0) == 2**23


def test_shard_names_sort_as_their_ids() -> None:
    names = [shard_name(image_id) for image_id in (0, 9, 139, 581_929)]
    assert names == sorted(names)
    assert names[2] == "000000000139.parquet"


def test_hugging_face_is_told_the_columns_in_the_bytes_that_every_shard_has() -> None:
    assert SCHEMA.metadata == {
        b"huggingface": b'{"info":{"features":{'
        b'"image_id":{"dtype":"int64","_type":"Value"},'
        b'"file_name":{"dtype":"string","_type":"Value"},'
        b'"width":{"dtype":"int32","_type":"Value"},'
        b'"height":{"dtype":"int32","_type":"Value"},'
        b'"image":{"_type":"Image"}}}}'
    }


def test_where_no_image_begins_a_shard_the_cap_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_hash", lambda _image_id: 1)
    lengths = [part.stop - part.start for part in shards(IDS, 16)]
    assert lengths[:-1] == [CAP * 16] * (len(IDS) // (CAP * 16))
    assert sum(lengths) == len(IDS)
