"""The commands of a run under one numbering."""

from __future__ import annotations

from stratos_jupyter.backend.spec.commands import (
    explicit_commands,
)
from stratos_jupyter.backend.spec.workload import CommandEnv, Fingerprints, Workload


def test_keys_stay_with_their_commands() -> None:
    workload = Workload()
    around = CommandEnv("/w", {})
    workload.add(explicit_commands(["a"]), around)
    workload.add(
        explicit_commands(["b", "c"]), CommandEnv("/x", {}), None, Fingerprints("e", "1" * 32 + "2" * 32, "3" * 64)
    )
    (_, _, _, none), (first, _, _, keys) = workload.submissions()
    assert (none.env, none.of(0)) == ("", ("", "", ""))
    assert (first, keys.env, keys.of(1)) == (1, "e", ("2" * 32, "3" * 32, ""))
    assert (workload.fingerprint(0), workload.fingerprint(2)) == ("", "2" * 32)
    assert workload.record(0, "/w") == {"kind": "explicit", "commands": ["a"], "marks": "words"}
    assert workload.record(1, "/w") == {
        "kind": "explicit", "commands": ["b", "c"], "marks": "words",
        "cwd": "/x", "env": "e", "here": "1" * 32 + "2" * 32, "there": "3" * 64,
    }  # fmt: skip
