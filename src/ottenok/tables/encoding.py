"""What encoding a text is in, and its decoding.

A byte order mark decides. UTF-8 is proved by decoding the whole file, which costs a second per gigabyte. What is
neither is decided by its own letters: each candidate decodes the lines, and the one that gives most plausible Russian
or Chinese wins, if it wins clearly; else the user is asked.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import cache
from typing import IO, TYPE_CHECKING

from ottenok.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.tables.streams import Source

__all__ = ["Encoding", "decode_bytes", "decoded_chunks", "detect_encoding", "find_encoding", "plausibility"]

_CHUNK = 1 << 20
# Bytes that are decoded at once.
_PIECE = 1 << 18
_SAMPLE_LINES = 2000
# Most likely first: it wins a tie of equal texts.
_CANDIDATES = ("windows-1251", "gb18030", "koi8-r", "cp866", "mac_cyrillic", "iso8859-5", "big5")
# Encodings whose bytes are all ASCII, and what they can't be without.
_SEVEN_BITS = (("hz", b"~{"), ("utf-7", b"+"))
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Russian letters from the most to the least frequent.
_LETTERS = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
_WEIGHTS = {letter: 1 - rank / len(_LETTERS) for rank, letter in enumerate(_LETTERS)}
# The 250 most frequent pairs of letters, 91 of a hundred in Russian reviews and posts.
_PAIRS = (
    "тонанестнопоратьенроникопратеткаотиттетаовосреалдетиорваерлиговоолльломоелакриладаомодзаесоганиваяон"
    "асчетрлемежесевиилобчтсяэтвеегемдоныинавбоожойвнсквсмабыамвысоимкииеисходирутвочазарслгаыйедеймуьник"
    "изаеозмиудоеннпеситсидсьбелюадчапаиячиднняшеспокмнуснулятыаюутдусатуебнькунткрекужятлузньсопзигричай"
    "евучжиабихсмснезжаийылбужнмыгдажщерыпиирйтблахтндршиыеачошютеечноиздбииибасвцибрплуюумвлькывашждсскл"
    "ктрнечубешгизвибзоыхымеохабяюбапчуряупртсуугглепцешаоямяулвупуагдлвршьигткурааооишщиытувохгуьшйсещфо"
)
_FREQUENT_PAIRS = frozenset(_PAIRS[at : at + 2] for at in range(0, len(_PAIRS), 2))
# About two of three characters of any modern Chinese text are among these.
_FREQUENT_HAN = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
    "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日者意无力它与长把机"
    "十第公此已工使情明性知全三又关点正外将两高间由问很最重并物手应向头文体美相见被利什二等或新己身果加话合回特代"
    "内信表老给世位次度门常先通教儿原东声提及比解水名真处走各入几口认条平气题更别打女变四总何电少才结反受目太量再感"
    "做接必场件期直金许区便空书非听白却光放强像难且思完色路品住求边该万觉确今让吧吗呢啊喜欢爱哈买东西店"
    # Traditional
    "這個們來為國說時會對後過發裡麼學現當沒動還進樣開從實無與長機關點將兩間問並應頭體見話內給門東聲處幾認條氣題別"
    "變總電結場許區書聽卻強難邊該萬覺確讓嗎歡愛買歷經種於著錢樂車務態質廠產員貴網滿價服快差推薦餐飯味"
)
_PUNCTUATION = frozenset("«»–—…№“”„’•\u00a0€₽£©®™°±§×·，。！？、；：（）《》【】～")
# Below this share of plausible letters no candidate is believed; of Han, most of any text are among the frequent ones.
_BELIEVED = 0.3
_BELIEVED_HAN = 0.4
# Above this a few letters are enough.
_SURE = 0.6
_NAME_IT = "Name it with --encoding (windows-1251, koi8-r, gb18030, big5, ...), if this is a text file."
# By how much the best candidate must beat the next one that reads otherwise: more, the fewer letters there are.
_MARGIN = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How bytes become text.

    Attributes:
        codec: Python's name of the encoding, of the kind that writes no byte order mark.
        mark: The byte order mark at the start of the bytes, or b"".
    """

    codec: str
    mark: bytes = b""


def find_encoding(source: Source, named: str | None) -> Encoding:
    """Return the encoding of a file: the named one, or what is found out (None or `auto`).

    A byte order mark of the named encoding's family is no part of the text.

    Raises:
        DataError: There is no such encoding, or it can't be told.
    """
    with source.open() as stream:
        if named is None or named == "auto":
            return detect_encoding(stream, file=source.file)
        return _named(named, stream.read(1 << 16), file=source.file)


def _named(named: str, head: bytes, *, file: str) -> Encoding:
    try:
        "a".encode(named)
        codec = codecs.lookup(named).name
    except (LookupError, UnicodeError) as error:
        raise DataError(
            f"there is no text encoding {named!r}",
            hint="Use utf-8, utf-16, windows-1251, koi8-r, gb18030, big5 or auto.",
            file=file,
            key="encoding",
        ) from error
    family = codec.removesuffix("-sig")
    for mark, marked in _MARKS:
        if head.startswith(mark) and marked.startswith(family):
            return Encoding(codec=marked, mark=mark)
    if family in {"utf-16", "utf-32"}:
        return Encoding(codec=_without_mark(head) or f"{family}-le")
    return Encoding(codec=family)


def decode_bytes(data: bytes, named: str | None = None, *, file: str = "standard input") -> str:
    """Decode what is in memory, such as lines from standard input, as a file is: by its mark, as named, or found out.

    Raises:
        DataError: The encoding can't be told, there is none of this name, or the bytes are not in it.
    """
    import io

    if named is None or named == "auto":
        encoding = detect_encoding(io.BytesIO(data), file=file)
    else:
        encoding = _named(named, data[: 1 << 16], file=file)
    try:
        return data[len(encoding.mark) :].decode(encoding.codec)
    except UnicodeDecodeError as error:
        raise DataError(
            f"the bytes are not {encoding.codec}: {error}", hint="Name the --encoding.", file=file, key="encoding"
        ) from error


def detect_encoding(stream: IO[bytes], *, file: str) -> Encoding:
    """Return the encoding of a stream, read from its start.

    A file most of whose non-ASCII lines are UTF-8 counts as UTF-8; its other lines are then rejected one by one.

    Raises:
        DataError: The bytes look like no encoding of Russian, Chinese or English, or like several.
    """
    head = stream.read(_CHUNK)
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Encoding(codec=codec, mark=mark)
    wide = _without_mark(head) or _seven_bits(head, file=file)
    if wide:
        return Encoding(codec=wide)
    chunk, seen = _first_fault(stream, head)
    # A few Chinese words in GB 18030 may happen to be UTF-8, of letters that no one writes.
    chance = len(head) < 256 and chunk is None and seen and plausibility(head.decode(errors="ignore")) < -0.5
    if chance and plausibility(head.decode("gb18030", errors="replace")) > _SURE:
        return Encoding(codec="gb18030")
    if chunk is None or seen:
        return Encoding(codec="utf-8")
    return Encoding(codec=_decide(chunk, file=file))


def _without_mark(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 without a mark: their spaces, digits and line ends have zero bytes, other texts none."""
    sample = head[: 1 << 16]
    quarters = [sample[at::4].count(0) * 4 for at in range(4)]
    size = len(sample)
    if size >= 8 and size % 4 == 0 or size > 4096:  # noqa: RUF021
        # The two high bytes of every character of UTF-32 are zero, but for emoji the third is one.
        if quarters[3] > 0.95 * size and quarters[2] > 0.8 * size and quarters[0] < 0.5 * size:
            return "utf-32-le"
        if quarters[0] > 0.95 * size and quarters[1] > 0.8 * size and quarters[3] < 0.5 * size:
            return "utf-32-be"
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) * 20 >= size > 1 and min(even, odd) * 10 <= max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    # Texts with hardly a space or digit: what is neither zero nor UTF-8 may give Russian or Chinese when read so.
    if size % 2 == 0 or size > 4096:
        sample = sample[:4096]
        if b"\0" in sample or b"\x04" in sample or not _is_utf8(sample):
            for codec in ("utf-16-le", "utf-16-be"):
                if plausibility(sample.decode(codec, errors="replace")) > _SURE:
                    return codec
    return None


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _seven_bits(head: bytes, *, file: str) -> str | None:
    """Return an encoding that writes Russian or Chinese in ASCII alone (HZ, UTF-7), if the head is in one.

    Raises:
        DataError: It is in one of the kind that shifts between sets of characters with escapes (ISO 2022).
    """
    if not head.isascii():
        return None
    for codec, mark in _SEVEN_BITS:
        if mark in head:
            text = head[: 1 << 16].decode(codec, errors="replace")
            if not text.isascii() and plausibility(text) >= _SURE:
                return codec
    if b"\x1b$" in head:
        raise DataError(
            "the encoding can't be told: it is one of the ISO 2022 family", hint=_NAME_IT, file=file, key="encoding"
        )
    return None


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
    faulty = [line for line in lines if "\ufffd" in line.decode(errors="replace")]
    if 2 * len(faulty) <= len(lines):
        return "utf-8"
    # In some encodings "\r" may end lines, and no letter holds it.
    sample = b"\n".join(faulty)
    decoded = {name: sample.decode(name, errors="replace") for name in _CANDIDATES}
    scores = {name: plausibility(text) for name, text in decoded.items()}
    best = max(scores, key=scores.__getitem__)
    # Mac's small letters are those of windows-1251, all but one; the rarer of the two must show itself.
    twins = {"mac_cyrillic"} if best == "windows-1251" else set()
    others = [scores[name] for name, text in decoded.items() if text != decoded[best] and name not in twins]
    letters = sum(byte > 0x7F for byte in sample) / (2 if best in {"gb18030", "big5"} else 1)
    clear = scores[best] - max(others, default=-1.0) >= _MARGIN / max(letters, 1)
    believed = scores[best] >= (_BELIEVED_HAN if best in {"gb18030", "big5"} else _BELIEVED)
    if not believed or not clear:
        why = "it is too short to tell" if believed else "no other known one gives Russian or Chinese"
        raise DataError(
            f"the encoding can't be told: it is not UTF-8, and {why}",
            hint=_NAME_IT,
            file=file,
            key="encoding",
        )
    return best


@cache
def _common_han() -> frozenset[str]:
    """Return the 3,755 characters of GB 2312's first level: those of everyday texts."""
    codes = (bytes((high, low)) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    return frozenset(code.decode("gb2312", errors="ignore") for code in codes) - {""}


def plausibility(text: str) -> float:
    """Return how much the non-ASCII characters of a text look like Russian or Chinese, at most 1.

    Letters count by their frequency and by that of the pair with the letter before; Han by their frequency; a capital
    after a small letter, a mark glued to the front of a word and everything that neither language has count against.
    """
    points, count, before = 0.0, 0, " "
    han = _common_han()
    for char, after in zip(text, text[1:] + " ", strict=True):
        # Drawn-out words tell nothing more, and emoji are in no language.
        if "\x7f" < char < "\U0001f000" and char != before:
            count += 1
            points += _points(char, before, after, han)
        before = char
    return points / count if count else 0.0


def _points(char: str, before: str, after: str, han: frozenset[str]) -> float:
    small = char.lower()
    weight = _WEIGHTS.get(small)
    if weight is not None:
        if char != small:
            if before.islower():
                return -1.0
            weight -= 0.1
        if before.lower() in _WEIGHTS:
            return 0.4 * weight + (0.6 if before.lower() + small in _FREQUENT_PAIRS else -0.3)
        # A Cyrillic letter beside a Latin one is no word.
        return weight - 0.8 if _is_latin(before) or _is_latin(after) else weight
    if char in han or char not in _PUNCTUATION:
        return 1.0 if char in _FREQUENT_HAN else 0.3 if char in han else -1.0
    if _is_latin(before) and _is_latin(after):
        return -0.5
    if after in _WEIGHTS:
        return 0.1 if char in "«“„\u00a0" else -1.0
    return 0.5


def _is_latin(char: str) -> bool:
    return char.isascii() and char.isalpha()


def decoded_chunks(stream: IO[bytes], encoding: Encoding, *, file: str) -> Iterator[tuple[str, bool]]:
    """Decode a stream in chunks of about 1 MiB: strictly as long as that works, then with faulty bytes as surrogates.

    Yields:
        Text, line ends as in the file, and False where it may hold NUL characters, or undecodable bytes as surrogates
        U+DC80..U+DCFF.

    Raises:
        DataError: The bytes can't be decoded even with surrogates for the faulty ones.
    """
    decoder, strict = codecs.getincrementaldecoder(encoding.codec)(), True
    stream.read(len(encoding.mark))
    data = b"start"
    try:
        while data:
            data = stream.read(_PIECE)
            state = decoder.getstate()
            try:
                text = decoder.decode(data, not data)
            except UnicodeDecodeError:
                if not strict:
                    raise
                strict = False
                decoder = codecs.getincrementaldecoder(encoding.codec)(errors="surrogateescape")
                decoder.setstate(state)
                text = decoder.decode(data, not data)
            yield text, strict and "\0" not in text
    except UnicodeError as error:
        raise DataError(
            f"the file is not {encoding.codec}: {error}", hint="Try --encoding auto.", file=file, key="encoding"
        ) from error
