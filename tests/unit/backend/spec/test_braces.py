"""Braces, in patterns and in marks: one reading of them."""

from __future__ import annotations

import pytest

from stratos_jupyter.backend.inputs.pattern_words import words_of as pattern_words
from stratos_jupyter.backend.spec.braces import escape, expand_braces
from stratos_jupyter.backend.spec.input_marks import words_of as marked_words
from stratos_jupyter.errors import SpecError

BRACES = {
    "a": ["a"],
    "a{b,c}d": ["abd", "acd"],
    "{a,b{1..3}}": ["a", "b1", "b2", "b3"],
    "{08..11}": ["08", "09", "10", "11"],
    "{5..1..2}": ["5", "3", "1"],
    "{a..e..2}": ["a", "c", "e"],
    "x{a,b}{1,2}": ["xa1", "xa2", "xb1", "xb2"],
    "{a},b}": ["a}", "b"],
    "{a}": ["{a}"],
    "{}{a,b}": ["{}a", "{}b"],
    "{a,b": ["{a,b"],
}


@pytest.mark.parametrize("text", BRACES)
def test_braces_mean_the_same_in_a_pattern_and_in_a_mark(text: str) -> None:
    assert expand_braces(text, 100) == BRACES[text]
    assert pattern_words(text, {}, str) == BRACES[text]
    assert [word.name for word in marked_words(text)] == BRACES[text]


def test_what_is_quoted_makes_no_words() -> None:
    assert expand_braces(r"\{a,b\}", 100) == [r"\{a,b\}"]
    assert [word.name for word in marked_words("'{a,b}' \"{1..2}\" {a\\,b}")] == ["{a,b}", "{1..2}", "{a,b}"]
    assert [word.name for word in marked_words("''{~a,b}")] == ["~a", "b"], "a ~ behind a quote is no home"
    assert expand_braces(escape("{a,b}*"), 100) == [escape("{a,b}*")]


def test_too_many_words_are_refused_in_a_pattern_and_left_alone_in_a_mark() -> None:
    with pytest.raises(SpecError, match="makes more than 100 names"):
        expand_braces("{1..101}", 100)
    with pytest.raises(SpecError, match="makes more than 100 names"):
        expand_braces("{1..20}{1..20}", 100)
    assert [word.name for word in marked_words("{1..100000}")] == ["{1..100000}"]
