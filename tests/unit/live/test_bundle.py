"""The browser half as one module."""

from __future__ import annotations

import re
from collections import Counter

from stratos_jupyter.live.bundle import STATIC, bundled

_NAME = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let)\s+([A-Za-z_$][\w$]*)", re.MULTILINE)


def test_it_holds_every_module_once_and_imports_nothing() -> None:
    text = bundled()
    names = sorted(path.name for path in STATIC.glob("*.js"))
    assert sorted(re.findall(r"^// --- ([\w-]+\.js) ---$", text, re.MULTILINE)) == names
    assert not re.findall(r"^import\b", text, re.MULTILINE)
    assert re.findall(r"^export\b.*", text, re.MULTILINE) == ["export default { initialize, render };"]


def test_no_two_modules_have_a_name_in_common() -> None:
    twice = [name for name, count in Counter(_NAME.findall(bundled())).items() if count > 1]
    assert twice == []


def test_what_is_imported_is_exported_and_used() -> None:
    for path in STATIC.glob("*.js"):
        text = path.read_text("utf-8")
        for names, other in re.findall(r'^import \{ ([^}]*) \} from "\./([\w-]+\.js)";$', text, re.MULTILINE):
            there = (STATIC / other).read_text("utf-8")
            for name in names.split(", "):
                assert re.search(rf"^export (?:async )?(?:function|class|const|let) {name}\b", there, re.MULTILINE), (
                    name
                )
                assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{path.name} does not use {name}"


def test_no_html_is_made_of_text_and_no_other_host_is_named() -> None:
    text = bundled() + (STATIC / "job.css").read_text("utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "@import"):
        assert word not in text
    assert set(re.findall(r"https?://[^\"'\s)]+", text)) <= {"http://www.w3.org/2000/svg"}
