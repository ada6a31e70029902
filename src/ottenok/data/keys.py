"""Texts as numbers: 128-bit keys for equality, dense ids for grouping, seeded mixing for sampling without order.

Everything that is chosen at random in a corpus is chosen by a hash of the text and the seed, never by a row's place
in the queue. So the order in which sources are listed changes nothing, and a new source moves no old row.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["dense_ids", "key_digest", "mix", "salt", "unpack_digests"]

_BYTES = 16


def key_digest(key: str) -> bytes:
    """Return the 16-byte BLAKE2b digest of a key; two keys of two million share one with a chance of 1e-26."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest()


def unpack_digests(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    """Return digests as uint64[n, 2]."""
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2).astype(np.uint64, copy=False)


def dense_ids(keys: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Number equal rows of uint64[n, 2] alike: int32[n] from 0, in the order of the digests."""
    ids = np.empty(len(keys), dtype=np.int32)
    if not len(keys):
        return ids
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ranked = keys[order]
    fresh = np.empty(len(keys), dtype=bool)
    fresh[0] = True
    np.any(ranked[1:] != ranked[:-1], axis=1, out=fresh[1:])
    ids[order] = np.cumsum(fresh, dtype=np.int32) - 1
    return ids


def salt(*parts: object) -> int:
    """Return 64 bits that depend on the parts (a seed, names) and on nothing else: no platform, no run."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mix(values: NDArray[np.uint64], by: int) -> NDArray[np.uint64]:
    """Scramble 64-bit values by `by`: the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = values ^ np.uint64(by & 0xFFFF_FFFF_FFFF_FFFF)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
