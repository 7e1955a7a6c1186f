"""Prefixes are shared in whole blocks, within one salt, and within bounds."""

from sampler_service.prefix_cache import PrefixCache, block_keys
from sampler_service.runner import BLOCK, KvBlock

PROMPT = list(range(3 * BLOCK + 1))


def block(size: int = 10) -> KvBlock:
    return KvBlock(object(), size)


def test_keys_are_of_whole_blocks_and_leave_out_the_last_token() -> None:
    assert len(block_keys("s", PROMPT)) == 3
    assert len(block_keys("s", PROMPT[:-1])) == 2
    assert block_keys("s", PROMPT[:BLOCK]) == ()


def test_equal_prefixes_share_keys_and_different_ones_none_from_there_on() -> None:
    other = [*PROMPT[:BLOCK], 7, *PROMPT[BLOCK + 1 :]]
    ours, theirs = block_keys("s", PROMPT), block_keys("s", other)
    assert ours[0] == theirs[0]
    assert not set(ours[1:]) & set(theirs[1:])


def test_no_salt_meets_another_and_none_means_no_sharing() -> None:
    assert not set(block_keys("s", PROMPT)) & set(block_keys("t", PROMPT))
    assert block_keys("", PROMPT) == ()


def test_the_longest_held_prefix_is_found() -> None:
    cache, keys = PrefixCache(100), block_keys("s", PROMPT)
    held = [block(), block()]
    cache.put(keys[0], held[0])
    cache.put(keys[2], held[1])
    assert cache.find_prefix(keys) == held[:1]


def test_memory_is_bounded_and_the_least_recently_used_leaves() -> None:
    cache = PrefixCache(25)
    cache.put(b"a", block())
    cache.put(b"b", block())
    cache.find_prefix([b"a"])
    cache.put(b"c", block())
    assert cache.size_bytes == 20
    assert [bool(cache.find_prefix([key])) for key in (b"a", b"b", b"c")] == [True, False, True]


def test_a_block_that_cannot_fit_is_not_held_and_without_memory_none_is_wanted() -> None:
    cache = PrefixCache(5)
    cache.put(b"a", block())
    assert cache.size_bytes == 0
    assert not PrefixCache(0).wants(b"a")
