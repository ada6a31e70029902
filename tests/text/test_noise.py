"""Noise: typos, speech recognition, ё, case, punctuation."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError
from ottenok.text.noise import NOISE_KINDS, NoiseKind, NoiseSpec, add_noise
from ottenok.text.sounds import homophone, neighbours

REVIEW = "Совсем не понравилось, ещё хуже чем в прошлый раз! Никогда больше не закажу у них за 3,5 тысячи"
HOTEL = "这个酒店的服务真的很差，不会再来了！房间太小。"
PIECES = st.sampled_from(
    [
        *"яЯёеßİ这的，。!?.,- 3",
        "Ёжик",
        "учится",
        "хлеб",
        "OK",
        "@user",
        "http",
        "https://a.ru/b",
        "😀",
        "3,5",
        "всё",
        "все",
    ]
)
TEXTS = st.text(max_size=40) | st.lists(PIECES, max_size=14).map(" ".join)
# Kinds that hit word after word, and those that change a text as a whole.
BY_WORDS: tuple[NoiseKind, ...] = ("typos", "asr", "yo", "case", "punctuation")
WHOLE = tuple(kind for kind in NOISE_KINDS if kind not in BY_WORDS)
KINDS = st.sampled_from(NOISE_KINDS)
RATES = st.floats(0.0, 1.0)


@given(text=TEXTS, kind=KINDS, seed=st.integers(0, 5))
def test_rate_0_changes_nothing(text: str, kind: NoiseKind, seed: int) -> None:
    """Without a rate there is no noise."""
    assert add_noise(text, kind, rate=0.0, seed=seed) == text


@given(text=TEXTS, kind=st.sampled_from(BY_WORDS), rate=RATES, seed=st.integers(0, 5))
def test_noise_is_bounded(text: str, kind: NoiseKind, rate: float, seed: int) -> None:
    """Noise repeats itself, empties no text, brings no control characters, and at most a letter or space a word."""
    noisy = add_noise(text, kind, rate=rate, seed=seed)

    def hidden(value: str) -> set[str]:
        return {letter for letter in value if unicodedata.category(letter).startswith("C")}

    assert noisy == add_noise(text, kind, rate=rate, seed=seed)
    assert bool(noisy.strip()) == bool(text.strip())
    assert hidden(noisy) <= hidden(text)
    assert len(noisy) <= 2 * len(text)


@given(text=TEXTS, kind=st.sampled_from(WHOLE), seed=st.integers(0, 5))
def test_a_text_is_changed_as_a_whole_or_not(text: str, kind: NoiseKind, seed: int) -> None:
    """The same change each time, nothing of an empty text, and what is put around a text leaves it whole."""
    noisy = add_noise(text, kind, rate=1.0, seed=seed)

    assert noisy == add_noise(text, kind, rate=1.0, seed=seed)
    assert bool(noisy.strip()) == bool(text.strip())
    if kind in {"date", "id", "quotes", "url", "hashtags"}:
        assert text in noisy
    assert add_noise(text, kind, rate=0.5, seed=seed) in {text, noisy}


def test_whole_changes_are_those_of_their_names() -> None:
    """Capitals, small letters, sentences, marks and scripts; about the rate of the texts are changed."""
    assert add_noise("Да, Но @Me", "upper", rate=1.0) == "ДА, НО @Me"
    assert add_noise("Да, НО", "lower", rate=1.0) == "да, но"
    assert add_noise("Да, НО", "sentence", rate=1.0) == "Да, но"
    assert add_noise("Да, НО!!", "unfinished", rate=1.0) == "Да, НО"
    changed = [add_noise(f"{REVIEW} {number}", "upper", rate=0.3) != f"{REVIEW} {number}" for number in range(300)]
    assert 60 < sum(changed) < 120
    pytest.importorskip("opencc")
    assert add_noise("这个酒店", "script", rate=1.0) == "這個酒店"
    assert add_noise("這個酒店", "script", rate=1.0) == "这个酒店"
    assert add_noise("Привет", "script", rate=1.0) == "Привет"


@pytest.mark.parametrize("kind", [kind for kind in BY_WORDS if kind != "yo"])
def test_seed_and_text_decide(kind: NoiseKind) -> None:
    """Other seeds give other noise, and so do other texts."""
    noisy = {add_noise(REVIEW, kind, rate=0.5, seed=seed) for seed in range(20)}

    assert len(noisy) > 3


@pytest.mark.parametrize("text", [REVIEW, HOTEL])
def test_the_rate_is_a_share(text: str) -> None:
    """Of ten times as high a rate comes several times as much noise."""

    def hit(rate: float) -> int:
        noisy = [add_noise(text, "typos", rate=rate, seed=seed) for seed in range(100)]
        return sum(
            len(set(text.split()) - set(one.split())) + sum(a != b for a, b in zip(text, one, strict=False))
            for one in noisy
        )

    assert hit(0.05) * 3 < hit(0.5)


def test_addresses_and_numbers_stay() -> None:
    """What is nobody's typing, and numbers, come through every kind as they are."""
    text = "привет @user_1 http и https://a.ru/Путь?x=Y за 3,5 в 12:30"

    for kind in NOISE_KINDS:
        for seed in range(20):
            noisy = add_noise(text, kind, rate=1.0, seed=seed)
            assert all(part in noisy for part in ("@user_1", "http", "https://a.ru/Путь?x=Y", "3,5", "12:30"))


def test_keys_beside_each_other() -> None:
    """Neighbours are those on the keyboard, both ways."""
    assert set(neighbours()["п"]) == set("аренми")
    assert set(neighbours()["s"]) == set("adwezx")
    assert all(one in neighbours()[other] for one, others in neighbours().items() for other in others)


def test_typos_of_a_word() -> None:
    """A word loses, doubles, swaps or misses one letter, and keeps its capitals where the letter stays."""
    slips = {add_noise("Да", "typos", rate=1.0, seed=seed) for seed in range(60)}

    assert {"аД", "Даа", "ДДа"} <= slips
    assert {len(slip) for slip in slips} == {2, 3}
    assert all(slip[0].isupper() for slip in slips if slip[0] not in "а")


def test_chinese_typos_sound_the_same() -> None:
    """A wrong character is another common one of the same pinyin; a character outside the table stays."""
    import random

    assert {homophone("的", random.Random(seed)) for seed in range(20)} == {"得", "德"}
    assert homophone("鱻", random.Random(0)) == "鱻"
    noisy = add_noise(HOTEL, "typos", rate=1.0)
    assert len(noisy) == len(HOTEL)
    assert [a for a in noisy if not a.isalpha()] == [a for a in HOTEL if not a.isalpha()]


def test_speech_has_no_case_and_no_marks() -> None:
    """A recogniser writes neither, however few words it mishears; Chinese has no spaces."""
    assert add_noise(REVIEW, "asr", rate=1e-9) == REVIEW.lower().replace(",", "", 1).replace("!", "")
    assert add_noise("Ну, кто-то пришёл? 😀", "asr", rate=1e-9) == "ну кто то пришёл"
    assert add_noise("好，真好！ 去了 iPhone", "asr", rate=1e-9) == "好真好去了 iphone"


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("учится", {"учиться"}),
        ("мыться", {"мытся"}),
        ("хлеб", {"хлеп"}),
        ("вода", {"вада"}),
        ("он не", {"онне", "он"}),
        ("旺", {"完", "万"}),
        ("好的", {"好"}),
    ],
)
def test_what_is_misheard(text: str, heard: set[str]) -> None:
    """Endings, final consonants, unstressed vowels, sounds of the south, short words lost or joined."""
    assert heard <= {add_noise(text, "asr", rate=1.0, seed=seed) for seed in range(300)}


def test_yo_both_ways() -> None:
    """ё becomes е in any word, е becomes ё in common words only, and case stays."""
    assert add_noise("Ёжик, ещё ЕЩЁ метро", "yo", rate=1.0) == "Ежик, еще ЕЩЕ метро"
    assert add_noise("Еще зеленый ВСЕ метро нет", "yo", rate=1.0) == "Ещё зелёный ВСЁ метро нет"


def test_case_and_marks() -> None:
    """Letters and marks are otherwise as they were; a hyphen leaves a space."""
    assert add_noise(REVIEW, "case", rate=1.0).lower() == REVIEW.lower()
    assert add_noise("Да, кто-то (я)... 好，好！", "punctuation", rate=1.0) == "Да кто то я 好好"
    assert add_noise("?!", "punctuation", rate=1.0) == "?!"


def test_specs_are_read() -> None:
    """`kind:rate`, with a rate of 0.1 by default."""
    assert NoiseSpec.parse("asr:0.3") == NoiseSpec(kind="asr", rate=0.3)
    assert str(NoiseSpec.parse("typos")) == "typos:0.1"


@pytest.mark.parametrize(
    ("given", "said"),
    [("tyops:0.1", "Did you mean 'typos'"), ("asr:2", "0 to 1"), ("asr:x", "0 to 1"), ("asr:nan", "0 to 1")],
)
def test_wrong_specs_are_refused(given: str, said: str) -> None:
    """An unknown kind is named with the nearest known one; a rate is a number from 0 to 1."""
    with pytest.raises(ConfigError, match=said):
        NoiseSpec.parse(given)


def test_wrong_calls_are_refused() -> None:
    """The function checks what it is given too."""
    with pytest.raises(ConfigError, match="there is no noise 'rain'"):
        add_noise("да", "rain", rate=0.1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"found 1\.5"):
        add_noise("да", "case", rate=1.5)
