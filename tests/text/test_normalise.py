"""Texts in their comparable form."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError
from ottenok.text.normalise import TextOptions, dedupe_key, normalise

PLAIN = TextOptions(entities="keep", width="keep", marks="keep", urls="keep", users="keep")

# What interacts: marks, invisible characters, entity pieces, addresses, full-width forms, brackets.
PIECES = st.sampled_from(
    [
        *"aзиёе中！Ａ０＆；＠@.:/;&#-_|[] \t\n0)(xD3",
        *"\u0301\u0306\u0308\u0336\u200b\u200d\ufe0f\ufeff\u00ad\u3000\u3164\ud83d\ude00\x00\x1c\x85\u2126\u037e\u0344",
        *"😀❤🏴\U000e0067\U000e007f\u20e3",
        *["http://", "www.", ".com/", "amp;", "&lt;", "&#38;", "#x200b;", "@user", "http", "[id1|", "a@b.ru", "&nbsp;"],
    ]
)
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=14).map("".join)
OPTIONS = st.builds(
    TextOptions,
    entities=st.sampled_from(["unescape", "keep"]),
    width=st.sampled_from(["letters", "ascii", "keep"]),
    marks=st.sampled_from(["drop", "keep"]),
    urls=st.sampled_from(["replace", "drop", "keep"]),
    users=st.sampled_from(["replace", "drop", "keep"]),
    yo=st.sampled_from(["keep", "e"]),
    emoji=st.sampled_from(["keep", "remove", "name", "name-ru", "name-zh"]),
)


@given(text=TEXTS, options=OPTIONS)
def test_twice_is_once(text: str, options: TextOptions) -> None:
    """Normalising a normalised text changes nothing, whatever the options."""
    once = normalise(text, options)

    assert once == normalise(once, options)


@given(text=TEXTS, options=OPTIONS)
def test_result_is_clean(text: str, options: TextOptions) -> None:
    """A result can be encoded, and has no NUL and no white space but single spaces inside."""
    result = normalise(text, options)

    result.encode("utf-8")
    assert "\x00" not in result
    assert result == " ".join(result.split())


@pytest.mark.parametrize("text", ["мой йод и ёж", "Ёлка, ЙОД, их"])
def test_decomposed_letters_are_composed(text: str) -> None:
    """й and ё written as two characters become one, and и and е stay what they are."""
    decomposed = text.replace("й", "и\u0306").replace("ё", "е\u0308").replace("Ё", "Е\u0308").replace("Й", "И\u0306")

    assert decomposed != text
    assert normalise(decomposed) == text
    assert normalise(text) == text


def test_marks_survive_invisible_characters() -> None:
    """A zero-width character between и and its mark does not keep them apart."""
    assert normalise("и\u200b\u0306од") == "йод"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("при\x00вет", "привет"),
        ("\ufeffпри\u200bвет\u00ad", "привет"),
        ("\u202aтекст\u202c", "текст"),
        ("a\u3000b\u00a0c\r\n\td\u2028e", "a b c d e"),
        ("раз\u2800\u3164два", "раз два"),
        ("\ud83d\ude00", "😀"),
        ("плохо \ud83d", "плохо \ufffd"),
        ("за́мок п̶л̶о̶х̶о̶", "замок плохо"),
        ("", ""),
        (" \t\n", ""),
    ],
)
def test_characters(text: str, expected: str) -> None:
    """Invisible characters go, white space is one space, a lone surrogate is U+FFFD and a pair its character."""
    assert normalise(text) == expected


def test_no_character_hides() -> None:
    """Of all characters of the basic plane and the tags, none that is control, surrogate or zero-width gets through."""
    # Arabic number signs and the like are format characters by category, but can be seen.
    seen = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2}
    codes = {*range(0x10000), *range(0xE0000, 0xE1000)} - seen

    for code in codes:
        result = normalise(f"а{chr(code)}б")
        assert {unicodedata.category(character) for character in result}.isdisjoint({"Cc", "Cs", "Cf", "Zl", "Zp"}), (
            hex(code)
        )


@pytest.mark.parametrize("emoji", ["👨‍👩‍👧", "❤️‍🔥", "🏳️‍🌈", "👍🏽", "1️⃣", "☺️", "🏴\U000e0067\U000e0062\U000e007f"])
def test_emoji_sequences_stay_whole(emoji: str) -> None:
    """Joiners, presentation selectors, skin tones, keycaps and flag tags stay where they make an emoji."""
    assert normalise(f"да {emoji} да") == f"да {emoji} да"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("мо\u200dре", "море"), ("а\ufe0f", "а"), ("😀\u200d", "😀"), ("\u200d😀", "😀"), ("да\U000e0067", "да")],
)
def test_emoji_parts_elsewhere_go(text: str, expected: str) -> None:
    """A joiner, a selector or a tag that makes no emoji is removed."""
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&quot;да&quot;", '"да"'),
        ("&amp;raquo; &amp;amp;amp;quot;", '» "'),
        ("&#1076;&#x430;", "да"),
        ("Tom &amp; Jerry, AT&T, R&D;", "Tom & Jerry, AT&T, R&D;"),
        ("да&nbsp;нет", "да нет"),
        ("a&#0;b &#xD800;", "a\ufffdb \ufffd"),
        ("?a=1&copy=2", "?a=1&copy=2"),
    ],
)
def test_entities(text: str, expected: str) -> None:
    """HTML entities that end in a semicolon are unescaped, however often they were escaped."""
    assert normalise(text) == expected
    assert normalise(text, PLAIN) == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("вот https://t.co/Ab1?x=1 да", "вот http да"),
        ("см. (http://a.ru/b).", "см. ( http )."),
        ("真好笑http://t.cn/A6vBv3yL好看", "真好笑 http 好看"),
        ("обрезано http://t.c…", "обрезано http"),
        ("http://президент.рф/новости, да", "http , да"),
        ("www.ya.ru и vk.com/id1, t.cn/zl1好", "http и http , http 好"),
        ("и/или, т.д./т.п., 1.5/2", "и/или, т.д./т.п., 1.5/2"),
    ],
)
def test_urls(text: str, expected: str) -> None:
    """A URL becomes one word and takes neither Chinese text nor closing punctuation with it."""
    assert normalise(text) == expected
    assert "http" not in normalise(text, TextOptions(urls="drop"))
    assert normalise(text, PLAIN) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@Beeline_RUS, почему?", "@user, почему?"),
        ("//@张三:哈哈", "// @user:哈哈"),
        ("[id123|Анна], спасибо [1]", "@user , спасибо [1]"),
        ("пишите info@mail.ru!", "пишите @user !"),
        ("联系我abc@qq.com谢谢", "联系我 @user 谢谢"),
        ("г@вно", "г@вно"),
        ("@", "@"),
    ],
)
def test_users(text: str, expected: str) -> None:
    """Users of Twitter, Weibo and VK and e-mail addresses become one word; a letter written as @ stays."""
    assert normalise(text) == expected
    assert normalise(text, PLAIN) == text


@pytest.mark.parametrize(("width", "expected"), [("letters", "5A，好！"), ("ascii", "5A,好!"), ("keep", "５Ａ，好！")])
def test_width(width: str, expected: str) -> None:
    """Full-width letters and digits become half-width, punctuation only on demand."""
    assert normalise("５Ａ，好！", TextOptions(width=width)) == expected  # type: ignore[arg-type]


def test_yo() -> None:
    """ё becomes е on demand, also a decomposed one; й is never touched."""
    assert normalise("Ёжик е\u0308лки, йод", TextOptions(yo="e")) == "Ежик елки, йод"
    assert normalise("Ёжик") == "Ёжик"


def test_options_are_plain_json() -> None:
    """Options written to a model as JSON come back the same; a wrong value is refused by name."""
    options = TextOptions(yo="e", urls="drop")

    assert TextOptions(**json.loads(json.dumps(asdict(options)))) == options
    with pytest.raises(ConfigError, match=r"text\.urls.*found 'delete'"):
        TextOptions(urls="delete")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece", ["&amp;", "&#38;", "amp;", "@", "http://", "a.", "\u200d", "🏴\U000e0067", "[id1|", "e\u0301"]
)
def test_hostile_repetition_ends(piece: str) -> None:
    """A hundred kilobytes of any awkward piece are normalised (quadratic work would take minutes)."""
    text = piece * (100_000 // len(piece))

    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Привет, мир!", "привет мир"),
        ("ПРИВЕТ", "привет"),
        ("и\u0306од", "йод"),
        ("好！", "好"),
        ("Ｎｏ１", "no1"),
    ],
)
def test_same_key(one: str, other: str) -> None:
    """Texts that differ in case, width, punctuation and spacing only have one key."""
    assert dedupe_key(one) == dedupe_key(other)


@pytest.mark.parametrize(("one", "other"), [("йод", "иод"), ("ёж", "еж"), ("👍", "👎"), (":)", ":("), ("👍", "")])
def test_different_keys(one: str, other: str) -> None:
    """й is not и, ё is not е, and texts without letters stay different from each other."""
    assert dedupe_key(one) != dedupe_key(other)


@given(text=TEXTS)
def test_key_is_of_letters_and_digits(text: str) -> None:
    """A key holds only letters, digits and underscores where the text has any."""
    key = dedupe_key(text)

    assert key.replace("_", "0").isalnum() or not any(character.isalnum() for character in key)
