"""Whether a text contains a fact, per script, and where."""

from unicodedata import normalize

import pytest

from stillknows.texts.fact_matching import find_fact, mentions_fact


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("art", "It is art."),
        ("UK", "a UK-based firm"),
        ("Brien", "by O'Brien"),
        ("O'Brien", "O'Brien's boat"),
        ("well-known", "a well-known boat"),
        ("1945", "in 1945."),
        ("$5", "for US$5"),
        ("C++", "in C++11"),
        ("東京", "日本の首都は東京です。"),
        ("1945", "戦争は1945年に終わった。"),
        ("東京", "JR東京駅"),
        ("コーヒー", "これはコーヒーです"),
        ("北京", "中国的首都是北京。"),
        ("กรุงเทพ", "เมืองหลวงคือกรุงเทพมหานคร"),
        ("ວຽງຈັນ", "ນະຄອນຫຼວງວຽງຈັນແມ່ນ"),
        ("ភ្នំពេញ", "រាជធានីភ្នំពេញគឺ"),
        ("ရန်ကုန်", "မြို့ရန်ကုန်ဖြစ်သည်"),
        ("서울", "수도는 서울입니다."),
        ("दिल्ली", "राजधानी दिल्ली है"),
    ],
)
def test_a_fact_that_the_text_contains(fact: str, text: str) -> None:
    assert find_fact(text, fact) == text.index(fact)
    assert mentions_fact(text, fact)


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("art", "It starts."),
        ("well", "route_well"),
        ("1945", "in 19451"),
        ("$5", "for $50"),
        ("cafe", normalize("NFD", "a café")),
        ("हिन्द", "भाषा हिन्दी है"),
        ("น", "ชื่อนี้"),  # its vowel is a combining mark
        ("x", ""),
    ],
)
def test_a_fact_inside_a_longer_word_or_letter(fact: str, text: str) -> None:
    assert find_fact(text, fact) == -1
    assert not mentions_fact(text, fact)


def test_the_first_match_is_found_behind_other_occurrences() -> None:
    assert find_fact("It starts as art, and is art.", "art") == len("It starts as ")
    assert find_fact("xa a a", "a a") == len("xa ")  # the first occurrence overlaps the match


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        ("Ombrey", "OMBREY"),
        ("Ombrey ", "in Ombrey."),
        ("café", normalize("NFD", "the Café")),
        (normalize("NFD", "café"), "the café"),
        ("1945", "１９４５年"),
    ],
)
def test_spelling_that_makes_no_difference_in_free_answers(fact: str, text: str) -> None:
    assert mentions_fact(text, fact)
