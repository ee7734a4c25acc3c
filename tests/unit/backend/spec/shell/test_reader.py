"""What the reader of scripts takes for a mark, and for a complete command, is what bash does."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stratos_jupyter.backend.spec.command_checks import why_incomplete
from stratos_jupyter.backend.spec.input_marks import words_of
from stratos_jupyter.backend.spec.shell.reader import Reader, is_bash, marks_of, shell_of
from stratos_jupyter.errors import SpecError

BASH = shutil.which("bash")


def marked(text: str) -> list[str]:
    return [text[begin + 2 : end] for begin, end in marks_of(text)]


# -- marks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("cat <[a]>", ["a"]),
        ("<[./prog]> x", ["./prog"]),
        ("cat <[a]> <[b c]> d", ["a", "b c"]),
        ("cat <['two words']>|wc", ["'two words'"]),
        ("wc -c < <[a]>; cat <[b]>&& true", ["a", "b"]),
        ("(cat <[a]>)", ["a"]),
        ('echo "$(cat <[a]>)"', ["a"]),
        ("echo `cat <[a]>` <[b]>", ["a", "b"]),
        ("diff <(sort <[a]>) <(sort <[b]>)", ["a", "b"]),
        ("files=(<[a]> <[b]>)", ["a", "b"]),
        ("[[ -s <[a]> && <[b]> -nt c ]]", ["a", "b"]),
        ("if true; then cat <[a]>; fi", ["a"]),
        ("cat \\\n<[a]>\n", ["a"]),
        ("cat <[data/*.dat]> <[{a,b}.txt]> <[~/x]> <[$D/x]>", ["data/*.dat", "{a,b}.txt", "~/x", "$D/x"]),
        ("echo it\\'s <[a]>", ["a"]),
        ('echo "it\'s" <[a]>', ["a"]),
        ("cat <[ a ]>", [" a "]),
        ("tee <[a]> >(cat > <[b]>)", ["a", "b"]),
        ("cat <[[ab].dat]>", ["[ab].dat"]),
    ],
)
def test_a_mark_is_a_word_of_its_own(text: str, held: list[str]) -> None:
    assert marked(text) == held


@pytest.mark.parametrize(
    "text",
    [
        "grep -c '<[0-9]>' f",
        'grep -c "<[0-9]>" f',
        "sed 's/<[a-z]>//' f",
        "awk '/<[^>]*]>/' f",
        "[[ $a =~ <[0-9]> ]]",
        "[[ $a == <[0-9]> ]]",
        "cat <[a-z]*",
        "cat <[0-9]>out",
        "prog --in=<[a]>",
        "prog 2<[a]>",
        "prog x<[a]>",
        "prog <[a]>x",
        "prog <[a]>>x",
        "prog <<[a]>",
        "# cat <[a]>",
        "true # cat <[a]>",
        "cat <<E\n<[a]>\nE",
        "cat <<'E'\n <[a]> \nE",
        "echo \\<[a]>",
        "echo $'<[a]>'",
        "echo ${x:-<[a]>}",
        "echo $((1 <[a]> 2))",
        "(( a <[b]> c ))",
        "cat <[a; rm b]>",
        "cat <[a | b]>",
        "cat <[$(ls)]>",
        "cat <[`ls`]>",
        "cat <[]>",
        "cat <[ ]>",
        "cat <[a\nb]>",
        "cat <['a]> b",
        "echo a<b]> <c",
    ],
)
def test_whatever_else_looks_like_a_mark_is_left(text: str) -> None:
    try:
        assert marked(text) == []
    except SpecError:
        assert "'a" in text  # the quote is open


PIECES = [
    *(
        "a",
        "b.c",
        "$x",
        "'<[a]>'",
        '"<[a]>"',
        "<[a]>",
        "<[a b]>",
        "<['a b']>",
        "<[*]>",
        "<[]>",
        "<[ ]>",
        "|",
        ";",
        "&&",
    ),
    *(">f", "> f", "2>&1", "# x", "x=1", "[[", "]]", "(", ")", "`", "${x}", "{", "}", "\n", "\\", "!", "<<E", "=~"),
]


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " "])), max_size=8))
@example([("<[a]>", " "), ("|", ""), ("<[a]>", "")])
def test_a_quick_look_finds_the_same_marks(pieces: list[tuple[str, str]]) -> None:
    text = "".join(piece + blank for piece, blank in pieces)
    reader = Reader(text)
    try:
        reader.read()
    except SpecError:
        return
    assert marks_of(text) == reader.marks


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    "held",
    ["a", "a b", "'a b'", '"a b"', "a\\ b", "x/'*'", "*", "x/*", "[ab]", "{a,b}", "'{a,b}'", "x{1..3}",
     "x{03..1}", "{1..10..3}", "{9..1..-4}", "{a..g..2}", "{1..3", "{5..5}",
     "{c..a}", "a'b'\"c\"", "{a,b{c,d}}", "'it'\\''s'", "a]b", "\"a\\\"b\"", "{a}", "{a,}x", "{,a}", "-x", "é"],
)  # fmt: skip
def test_words_of_a_mark_are_those_that_bash_reads(held: str) -> None:
    made = subprocess.run(
        [str(BASH), "-c", f"set -f; printf '%s\\n' {held}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    # a pattern is shown with its quoted characters in brackets of their own
    assert [word.name or word.pattern.replace("[*]", "*") for word in words_of(held)] == made


def test_a_quoted_star_is_none() -> None:
    assert words_of("x/'*'.d")[0].name == "x/*.d"
    assert words_of("x/'*'.*")[0].pattern == "x/[*].*"
    assert words_of("{a}'{b,c}'*")[0].pattern == "\\{a\\}\\{b,c\\}*"
    assert [word.variable for word in words_of("$D/x '$D' \"${D}\"")] == ["$D", "", "${D}"]


# -- complete commands --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("for d in a b; do", "for without its done"),
        ("for ((i=0; i<3; i++)); do", "for without its done"),
        ("while read x; do echo", "while without its done"),
        ("until true; do", "until without its done"),
        ("if true; then", "if without its fi"),
        ("case $x in", "case without its esac"),
        ("case $x in a) echo;;", "case without its esac"),
        ("{ echo a;", "{ without its }"),
        ("f() {", "{ without its }"),
        ("f()", "a function without its body"),
        ("function f", "a function without its body"),
        ("( echo a", "a ( is not closed"),
        ("echo $(ls", "a ( is not closed"),
        ("echo `ls", "a backtick is not closed"),
        ("echo 'a", "a quote is not closed"),
        ('echo "a', "a quote is not closed"),
        ("x=(1 2", "a ( is not closed"),
        ("[[ a == b", "[[ without its ]]"),
        ("ls |", "nothing follows |"),
        ("ls &&", "nothing follows &&"),
        ("ls || # or", "nothing follows ||"),
        ("cat <<EOF", "a here-document without its EOF"),
        ("done", "done without its for, while or until"),
        ("do rm -r $d", "do without its for, while or until"),
        ("fi", "fi without its if"),
        ("then echo", "then without its if"),
        ("esac", "esac without its case"),
        ("}", "} without its {"),
        (")", ") without its ("),
        ("| wc", "nothing stands before |"),
        ("&& wc", "nothing stands before &&"),
        ("prog >", "nothing follows < or >"),
        ("prog 2> && ls", "nothing follows < or >"),
    ],
)
def test_what_is_no_complete_command_says_why(text: str, why: str) -> None:
    assert why_incomplete(text) == why


TOKENS = [
    *(
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "for x in a b",
        "for x",
        "for ((i=0;i<2;i++))",
        "while",
        "until",
        "do",
        "done",
    ),
    *("case $x in", "case x", "in", "a)", "(a|b)", "*)", "esac", ";;", ";&", ";;&", "{", "}", "(", ")", "function f"),
    *("f()", "f ()", "select y in a", "!", "time -p", "true", "echo a", "x=1", "x=(1 2)", "a=(", "[[ a == b ]]"),
    *("[[ -e f && x =~ (a|b) ]]", "((1+2))", "((", "))", "$(echo a)", "$(", "`echo a`", "`", "'if'", '"a b"', "'", '"'),
    *('"$(case a in a) echo;; esac)"', "&&", "||", "|", "|&", "&", ";", ";", ";", "\n", "\n", "\n", "# c", "#", "a#b"),
    *(">f", "2>&1", "&>f", ">&2", "<<<x", "<(a)", ">(b)", "<f", "$((1+2))", "${x:-a}", "${#x}", "$'a\\'b'", "\\\n"),
    *("<<E\nx\nE\n", "echo if", "do_it", "a[1]=2", "$#", "$$", "{a,b}", "if true; then a; fi", "while a; do b; done"),
    *("case a in a) b;; esac", "{ a; }", "(a)", "export a=b"),
]


@pytest.mark.skipif(BASH is None, reason="needs bash")
@settings(max_examples=300)
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=8).map(" ".join))
@example("for ((i=0;i<2;i++)); do a; done")
@example("for ((;;)) ; do a; done")
@example("if [[ a ]] then b; fi")
@example("case x in (a) b;; esac")
@example("coproc n { a; }")
def test_bash_agrees_on_what_is_complete(text: str) -> None:
    done = subprocess.run([str(BASH), "-n", "-c", text], capture_output=True, timeout=30, env={"LC_ALL": "C"})
    if b"end of file" in done.stderr or b"unexpected EOF" in done.stderr or b"here-document" in done.stderr:
        assert why_incomplete(text)
    elif done.returncode == 0 and not done.stderr and "[[ ]]" not in text and not ("|" in text and "time" in text):
        assert why_incomplete(text) == ""


@pytest.mark.parametrize(
    ("text", "shell", "name"),
    [
        ("echo", "", "bash"),
        ("echo", "bash -euo pipefail", "bash"),
        ("echo", "/bin/sh", "sh"),
        ("#!/bin/bash -e\necho", "sh", "bash"),
        ("#!/usr/bin/env python3\nprint()", "", "python3"),
        ("#! /usr/bin/env -S A=1 perl -w\n", "", "perl"),
        ("# !/bin/sh", "", "bash"),
    ],
)
def test_the_first_line_says_what_reads_a_text(text: str, shell: str, name: str) -> None:
    assert shell_of(text, shell) == name


@pytest.mark.parametrize("text", ["echo $(" * 5000, "( " * 5000, '"${x:-' * 5000, "echo `" * 5001, "{ " * 50_000])
def test_a_text_without_end_is_refused_in_time(text: str) -> None:
    assert why_incomplete(text)
    assert marks_of("<[" * 50_000) == []
    with pytest.raises(SpecError, match="of the command"):
        Reader("echo " + "$(" * 101).read()


def test_some_shells_are_known() -> None:
    assert [is_bash(name) for name in ("bash", "dash", "zsh", "python3", "fish")] == [True, False, False, None, None]
