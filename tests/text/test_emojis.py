"""Emoji and emoticons kept, removed or named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.errors import MissingExtraError
from ottenok.text.normalise import TextOptions, normalise

REMOVE = TextOptions(emoji="remove")
NAME = TextOptions(emoji="name")
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
EMOJI = [
    *"😂❤☺♥⭐🫠🔟",
    *["❤️", "☺️", "👍🏽", "👨‍👩‍👧", "🤦🏽‍♀️", "👩🏻‍❤️‍👨🏿", "🫱🏻‍🫲🏿", "🏳️‍🌈", "🐻‍❄️", "😮‍💨", "🇷🇺", "🇨🇳", "✔️", "©️", "❤️‍🔥"],
    ENGLAND,
]
FACES = (  # noqa: SIM905 - a list of words reads better so
    ":) :-) =) ;) :D xD хД :( :'( :* :P :/ :3 ^_^ ^^ >_< -_- T_T о_О 0_0 )))) (( ))0) <3 orz (╯°□°)╯︵┻━┻ ¯\\_(ツ)_/¯ "
    "(≧▽≦)/ (ㄒoㄒ)/~~ (⊙o⊙) ╮(╯▽╰)╭ (°ʖ°) [哈哈] [doge] [bed凌乱]"
).split()
PIECES = st.sampled_from(
    [*EMOJI, *FACES, *"()[]:;=xD3<> 0a9я好^_-°□ツ\u200d\ufe0f\u20e3🏽🇷", "1️⃣", "[视频]", "http://a.ru/:)", "да", "@user"]
)
TEXTS = st.text(max_size=40) | st.lists(PIECES, max_size=12).map("".join)
OPTIONS = st.builds(
    TextOptions,
    entities=st.sampled_from(["unescape", "keep"]),
    width=st.sampled_from(["letters", "ascii", "keep"]),
    urls=st.sampled_from(["replace", "drop", "keep"]),
    emoji=st.sampled_from(["remove", "name", "name-ru", "name-zh"]),
)


@given(text=TEXTS, options=OPTIONS)
def test_twice_is_once(text: str, options: TextOptions) -> None:
    """Normalising a text without its emoji again changes nothing."""
    once = normalise(text, options)

    assert once == normalise(once, options)


@given(text=TEXTS, options=OPTIONS)
def test_a_corpus_with_emoji_serves_every_choice(text: str, options: TextOptions) -> None:
    """From a text that was normalised with emoji kept comes what would have come from the text itself."""
    kept = normalise(text, replace(options, emoji="keep"))

    assert normalise(kept, options) == normalise(text, options)


@pytest.mark.parametrize("mark", [*EMOJI, *FACES])
@pytest.mark.parametrize("pattern", ["ура {} да", "真好看 {} 啊", "{} да"])
def test_marks_go_or_get_a_name(mark: str, pattern: str) -> None:
    """Nothing but the words is left of a text, or words stand where the mark was; keep keeps all of it."""
    text = pattern.format(mark)
    words = pattern.replace("{}", " ").split()
    named = normalise(text, NAME)

    assert normalise(text, REMOVE).split() == words
    assert len(named.split()) > len(words)
    assert all(part.isalnum() for part in named.split())
    assert normalise(text) == normalise(text, TextOptions(emoji="keep"))


@pytest.mark.parametrize("mark", [*EMOJI, *FACES])
def test_keep_changes_no_character(mark: str) -> None:
    """By default emoji and emoticons stay as they were written."""
    assert normalise(f"ура {mark} да") == f"ура {mark} да"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("круто 😂😂😂", "круто смеется до слез"),
        ("👍🏽👍🏽 👍", "большой палец вверх большой палец вверх"),
        ("👍🏻", "большой палец вверх"),
        ("едем 🇷🇺🇨🇳", "едем флаг Россия флаг Китай"),
        (f"да {ENGLAND}", "да флаг Англия"),
        ("1️⃣ место", "1 место"),
        ("любовь❤️и❤и", "любовь алое сердце и алое сердце и"),
        ("с мамой 👨‍👩‍👧", "с мамой семья мужчина женщина девочка"),
        ("🐻‍🦄", "морда медведя голова единорога"),
        ("🏳️‍🌈 и ♂", "радужный флаг и ♂"),
        ("真好看😂", "真好看 笑哭了"),
        ("iPhone真好用👍🏽!!", "iPhone真好用 拇指向上 !!"),
        ("[哈哈]好[视频]", "哈哈 好[视频]"),
        ("привет) как дела((((", "привет улыбка как дела грусть"),
        ("今天好累(ㄒoㄒ)/~~", "今天好累 流泪"),
        ("😀", "широко улыбается"),
    ],
)
def test_names(text: str, expected: str) -> None:
    """A name is in the text's language, leaves out skin tones, and stands once for a row of the same emoji."""
    assert normalise(text, NAME) == expected


def test_the_language_of_names_can_be_fixed() -> None:
    """Names are Chinese in a Russian text where that is asked for, and the other way round."""
    assert normalise("ура 😂 :)", TextOptions(emoji="name-zh")) == "ура 笑哭了 微笑"
    assert normalise("真好 😂 :)", TextOptions(emoji="name-ru")) == "真好 смеется до слез улыбка"


@pytest.mark.parametrize(
    "text",
    [
        "в 12:30, счёт 3:3",
        "1) раз; 2) два; а) три",
        "(да (нет (может)))",
        "цвет:(красный), x=(y)",
        "(20°C) и (API), ( см. рис. )",
        "Знаки © ™ ✔ → ① ★★★ стоят",
        "【视频】转发[图片]",
        "см. [1] и [2]",
        "2 < 35",
    ],
)
def test_other_text_stays(text: str) -> None:
    """Times, lists, bracketed words, formulas and text signs are no emoticons."""
    assert normalise(text, REMOVE) == text
    assert normalise(text, NAME) == text


def test_urls_that_are_kept_stay_whole() -> None:
    """What looks like a face in an address is part of the address."""
    options = TextOptions(urls="keep", emoji="remove")

    assert normalise("http://a.ru/x=)b;D да :)", options) == "http://a.ru/x=)b;D да"


def test_every_emoji_of_the_library_has_a_name() -> None:
    """Each emoji of Unicode is found whole: nothing is left of it, and it has a name in both languages."""
    emoji = pytest.importorskip("emoji")
    whole = emoji.STATUS["fully_qualified"]
    every = [sign for sign, facts in emoji.EMOJI_DATA.items() if facts["status"] == whole and "\u20e3" not in sign]

    assert len(every) > 3000
    assert {normalise(f"а {sign} б", REMOVE) for sign in every} == {"а б"}
    assert "а б" not in {normalise(f"а {sign} б", NAME) for sign in every}
    assert "好 好" not in {normalise(f"好 {sign} 好", NAME) for sign in every}


def test_russian_names_are_spelled_right() -> None:
    """The library's names lack the breve of many й; ours have it."""
    assert normalise("🏴‍☠️ 🕹️ 🦸 👮 🤴 ⚪", NAME) == ("пиратский флаг джойстик супергерой полицейский принц белый круг")


def test_names_without_the_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package, names are refused with what to install; removing needs nothing."""
    from ottenok.text import emojis

    emojis._names.cache_clear()
    emojis._name.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "emoji", None)

    with pytest.raises(MissingExtraError, match=r"ottenok\[emoji\]"):
        normalise("да 😂", NAME)
    with pytest.raises(MissingExtraError, match="emoji"):
        emojis.check_emoji("name-zh")
    emojis.check_emoji("remove")
    assert normalise("да 😂", REMOVE) == "да"


@pytest.mark.parametrize(
    "piece", [":)", "((", ")(", "😀", "👍🏽", "👨‍", "🇷", "(°", "(^", "[好", "1\u20e3", "<3", "-_", "(:", "¯\\_"]
)
def test_hostile_repetition_ends(piece: str) -> None:
    """A hundred kilobytes of any awkward piece are done (quadratic work would take minutes)."""
    text = piece * (100_000 // len(piece))

    assert len(normalise(text, REMOVE)) <= len(text)
    assert normalise(normalise(text, NAME), NAME) == normalise(text, NAME)
