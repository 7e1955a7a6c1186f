"""Keys and values of prompt prefixes, reused within one salt."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from sampler_service.runner import BLOCK, KvBlock


def block_keys(salt: str, prompt: Sequence[int]) -> tuple[bytes, ...]:
    """Return the key of each whole block of a prompt, its last token left out.

    A key stands for the salt, the block and everything before it, so that equal keys mean equal
    numbers and no salt meets another. Without a salt nothing is shared: no keys.
    """
    if not salt:
        return ()
    tokens = np.asarray(prompt[:-1], dtype="<i4")
    keys: list[bytes] = []
    key = sha256(b"formwork prefix 1\n" + salt.encode()).digest()
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        key = sha256(key + tokens[start : start + BLOCK].tobytes()).digest()
        keys.append(key)
    return tuple(keys)


class PrefixCache:
    """Blocks by key; the least recently used leave first.

    Args:
        max_bytes: Most memory that blocks may take.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[bytes, KvBlock] = OrderedDict()
        self._bytes = 0

    def wants(self, key: bytes) -> bool:
        """Return whether a block is worth its copy: there is room for any, and it is new."""
        return self._max_bytes > 0 and key not in self._blocks

    @property
    def size_bytes(self) -> int:
        """Memory that blocks take."""
        return self._bytes

    def find_prefix(self, keys: Sequence[bytes]) -> list[KvBlock]:
        """Return the blocks of the longest prefix that is held."""
        found: list[KvBlock] = []
        for key in keys:
            block = self._blocks.get(key)
            if block is None:
                break
            self._blocks.move_to_end(key)
            found.append(block)
        return found

    def put(self, key: bytes, block: KvBlock) -> None:
        """Hold a block, as far as there is room."""
        if key in self._blocks or block.size_bytes > self._max_bytes:
            return
        self._blocks[key] = block
        self._bytes += block.size_bytes
        while self._bytes > self._max_bytes:
            _, dropped = self._blocks.popitem(last=False)
            self._bytes -= dropped.size_bytes
