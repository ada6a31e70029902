"""What encoding a file is in: `encoding = "auto"`.

UTF-8 is proved by decoding the whole file, which costs a second per gigabyte. A file that is not UTF-8 is decided by
its own letters: each candidate decodes the lines, and the one that gives most plausible Russian and Chinese wins.
Measured on lines of RuSentiment and waimai encoded anew, ten lines or more were always right; charset-normalizer,
held to the same candidates, was right in 97 to 99 of 100.
"""

from __future__ import annotations

import codecs
from functools import cache
from typing import IO

from ottenok.core.errors import DataError

__all__ = ["detect_encoding", "plausibility"]

_CHUNK = 1 << 20
_SAMPLE_LINES = 2000
# Most likely first: it wins a tie.
_CANDIDATES = ("windows-1251", "gb18030", "koi8-r", "cp866")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Russian letters from the most to the least frequent.
_LETTERS = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
_WEIGHTS = {letter: 1 - rank / len(_LETTERS) for rank, letter in enumerate(_LETTERS)}
# About two of three characters of any modern Chinese text are among these.
_FREQUENT_HAN = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
    "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日者意无力它与长把机"
    "十第公此已工使情明性知全三又关点正外将两高间由问很最重并物手应向头文体美相见被利什二等或新己身果加话合回特代"
    "内信表老给世位次度门常先通教儿原东声提及比解水名真处走各入几口认条平气题更别打女变四总何电少才结反受目太量再感"
    "做接必场件期直金许区便空书非听白却光放强像难且思完色路品住求边该万觉确今让吧吗呢啊喜欢爱哈买东西店"
)
_PUNCTUATION = frozenset("«»–—…№“”„’•\u00a0，。！？、；：（）《》【】～")
# Below this share of plausible letters no candidate is believed.
_BELIEVED = 0.3


def detect_encoding(stream: IO[bytes], *, file: str) -> str:
    """Return the encoding of a stream, read from its start: one of utf-8-sig, utf-16, utf-32 or the candidates.

    A file most of whose non-ASCII lines are UTF-8 counts as UTF-8; its other lines are then rejected one by one.

    Raises:
        DataError: The bytes look like no encoding of Russian, Chinese or English.
    """
    head = stream.read(_CHUNK)
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    wide = _utf16_without_mark(head)
    if wide:
        return wide
    chunk, seen = _first_fault(stream, head)
    if chunk is None or seen:
        return "utf-8-sig"
    return _decide(chunk, file=file)


def _utf16_without_mark(head: bytes) -> str | None:
    # Spaces, digits and line ends of UTF-16 have a zero byte; other texts have none.
    sample = head[: 1 << 16]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if not even + odd or max(even, odd) * 20 < len(sample) or min(even, odd) * 10 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _first_fault(stream: IO[bytes], head: bytes) -> tuple[bytes | None, bool]:
    """Return the first chunk that is not UTF-8 (None: all are), and whether non-ASCII UTF-8 came before it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    chunk, seen = head, False
    while chunk:
        try:
            seen = not decoder.decode(chunk).isascii() or seen
        except UnicodeDecodeError:
            return chunk, seen
        chunk = stream.read(_CHUNK)
    return (head, False) if decoder.getstate()[0] and not seen else (None, seen)


def _decide(chunk: bytes, *, file: str) -> str:
    lines = [line for line in chunk.split(b"\n") if not line.isascii()][:_SAMPLE_LINES]
    faulty = [line for line in lines if not _is_utf8(line)]
    if 2 * len(faulty) <= len(lines):
        return "utf-8-sig"
    sample = b"\n".join(faulty)
    scores = {encoding: plausibility(_decode(sample, encoding)) for encoding in _CANDIDATES}
    best = max(scores, key=scores.__getitem__)
    if scores[best] < _BELIEVED:
        raise DataError(
            "the encoding can't be told: it is not UTF-8, and no other known one gives Russian or Chinese",
            hint="Set the reader's option encoding, or check that this is a text file.",
            file=file,
            key="encoding",
        )
    return best


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode(sample: bytes, encoding: str) -> str:
    return sample.decode(encoding, errors="replace")


@cache
def _common_han() -> frozenset[str]:
    """Return the 3,755 characters of GB 2312's first level: those of everyday texts."""
    codes = (bytes((high, low)) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    return frozenset(code.decode("gb2312", errors="ignore") for code in codes) - {""}


def plausibility(text: str) -> float:
    """Return how much the non-ASCII characters of a text look like Russian or Chinese, at most 1.

    Letters and Han count by their frequency, capitals a little less; a capital after a small letter and everything that
    neither language has counts against.
    """
    points, count, before = 0.0, 0, " "
    han = _common_han()
    for char in text:
        if char > "\x7f":
            count += 1
            points += _points(char, before, han)
        before = char
    return points / count if count else 0.0


def _points(char: str, before: str, han: frozenset[str]) -> float:
    weight = _WEIGHTS.get(char)
    if weight is not None:
        return weight
    if char in han:
        return 1.0 if char in _FREQUENT_HAN else 0.3
    capital = _WEIGHTS.get(char.lower())
    if capital is not None and not before.islower():
        return capital - 0.1
    return 0.5 if char in _PUNCTUATION else -1.0
