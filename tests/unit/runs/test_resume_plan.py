"""Which tasks a cell that is run again finds done, new, changed and gone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratos_jupyter.runs.fingerprints import (
    NOTHING,
    Fingerprint,
)
from stratos_jupyter.runs.resume_plan import Known, Plan, Wanted, plan
from tests.support.fingerprints import fingerprint as key


def wanted(text: str, content: str = "k") -> Wanted:
    return Wanted(("/w", None, text), Fingerprint(key(content)))


def known(
    task: int, text: str, content: str = "k", env: str = "", submission: int = 0, gone: bool = False, free: bool = False
) -> Known:
    identity = ("/w", None, text)
    return Known(
        task, submission, identity, env, (Fingerprint(key(content)),) if content else (), free=free, superseded=gone
    )


CELLS = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("kl")), max_size=12)


@given(CELLS, st.randoms())
def test_another_order_is_no_news(cell: list[tuple[str, str]], dice: object) -> None:
    tasks = [known(task, text, content) for task, (text, content) in enumerate(cell)]
    shuffled = list(cell)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    found = plan([wanted(*one) for one in shuffled], "", tasks)
    assert sorted(found.kept) == list(range(len(cell)))
    assert found == Plan(kept=found.kept)


@given(CELLS, CELLS, st.lists(st.booleans(), min_size=12, max_size=12), st.randoms())
def test_each_command_and_each_task_is_counted_once(
    before: list[tuple[str, str]], after: list[tuple[str, str]], aside: list[bool], dice: object
) -> None:
    tasks = [known(task, text, content, gone=aside[task]) for task, (text, content) in enumerate(before)]
    cell = [wanted(*one) for one in after]
    found = plan(cell, "", tasks)
    assert len(found.kept) + len(found.restored) + len(found.new) + len(found.changed) == len(cell)
    assert sorted(found.kept + found.replaced + found.gone) == [task.task for task in tasks if not task.superseded]
    assert all(tasks[task].superseded for task in found.restored)
    assert len(found.changed) == len(found.replaced)
    assert not set(found.new) & set(found.changed)
    # What stays has the very commands and keys that the cell has.
    stays = Counter((tasks[task].identity, tasks[task].seen[0]) for task in found.kept + found.restored)
    assert not stays - Counter((one.identity, one.seen) for one in cell)
    # And its numbers depend on no order.
    dice.shuffle(cell)  # type: ignore[attr-defined]
    again = plan(cell, "", tasks)
    assert Counter(found.kept) == Counter(again.kept)
    assert sorted(found.gone) == sorted(again.gone)
    assert (len(found.new), len(found.changed)) == (len(again.new), len(again.changed))


def test_what_has_another_key_is_changed_and_what_nobody_has_is_new() -> None:
    tasks = [known(0, "a"), known(1, "b"), known(2, "c")]
    found = plan([wanted("d"), wanted("b", "other"), wanted("a")], "", tasks)
    assert found == Plan(new=[0], changed=[1], kept=[0], replaced=[1], gone=[2])


def test_other_variables_change_all() -> None:
    found = plan([wanted("a"), wanted("b")], "now", [known(0, "a", env="then"), known(1, "b", env="now")])
    assert found == Plan(changed=[0], kept=[1], replaced=[0])


def test_another_directory_or_file_makes_another_command() -> None:
    here, there = (
        Known(task, 0, (cwd, None, "a"), "", (Fingerprint(key("k")),)) for task, cwd in enumerate(("/x", "/w"))
    )
    assert plan([wanted("a")], "", [here, there]) == Plan(kept=[1], gone=[0])
    file = Wanted(("/w", "f", "a"), Fingerprint(key("k")))
    assert plan([file], "", [there]) == Plan(new=[0], gone=[1])


def test_what_has_not_ended_stays_whatever_its_inputs_are() -> None:
    assert plan([wanted("a", "now")], "", [known(0, "a", "then", free=True)]) == Plan(kept=[0], moved=[0])
    assert plan([wanted("a")], "", [known(0, "a", free=True)]) == Plan(kept=[0])
    assert plan([wanted("a")], "now", [known(0, "a", env="then", free=True)]) == Plan(changed=[0], replaced=[0])


def test_what_nobody_has_looked_at_counts_as_unchanged_and_is_told() -> None:
    assert plan([wanted("a")], "", [known(0, "a", "")]) == Plan(kept=[0], blind=[0])
    assert plan([Wanted(("/w", None, "a"), Fingerprint(NOTHING))], "", [known(0, "a", "")]) == Plan(kept=[0]), (
        "no inputs"
    )
    half = Known(0, 0, ("/w", None, "a"), "", (Fingerprint(NOTHING, ""),))
    assert plan([Wanted(half.identity, Fingerprint(NOTHING, key("on HDFS")))], "", [half]) == Plan(kept=[0], blind=[0])


def test_what_a_task_left_counts_and_not_what_was_submitted() -> None:
    left = Known(0, 0, ("/w", None, "a"), "", (Fingerprint(key("left")),))
    assert plan([wanted("a", "left")], "", [left]) == Plan(kept=[0])
    assert plan([wanted("a", "submitted")], "", [left]) == Plan(changed=[0], replaced=[0])
    moved = Wanted(left.identity, Fingerprint(key("left", status=9)))
    assert plan([moved], "", [left]) == Plan(changed=[0], replaced=[0])
    assert plan([moved], "", [left._replace(worked=True)]) == Plan(kept=[0], worked=[0])
    either = left._replace(seen=(Fingerprint(key("left")), Fingerprint(key("submitted"))))
    assert plan([wanted("a", "submitted")], "", [either]) == Plan(kept=[0])


def test_what_is_wanted_again_comes_back_unless_a_newer_version_ran() -> None:
    gone = known(0, "a", gone=True)
    assert plan([wanted("a")], "", [gone]) == Plan(restored=[0])
    assert plan([wanted("a")], "", [gone, known(1, "a", "l", submission=1, gone=True)]) == Plan(new=[0])


@pytest.mark.slow
def test_many_equal_commands_are_matched_quickly() -> None:
    count = 50_000
    found = plan([wanted("a")] * count, "", [known(task, "a") for task in range(count)])
    assert len(found.kept) == count
