"""Write README.md's tables of options and columns from those that the program reads: python docs/readme_tables.py."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from stratos_jupyter.backend.spec.option import Option, Section
from stratos_jupyter.backend.spec.options import ARGUMENTS, OPTIONS, SETTINGS
from stratos_jupyter.backend.store.columns import FRAME

README = Path(__file__).parent.parent / "README.md"
#: what the StratOS documentation has, in its order; the README shows these as a call
DOCUMENTED = (
    *("role", "threads_per_task", "mem_per_task", "disk_per_task", "monitor", "relauncher", "update_interval"),
    *("output", "log_directory", "job_id"),
)


def table(head: str, options: Iterable[Option]) -> str:
    """Return a table, a row for each option."""
    lines = [f"| {head} | meaning | default |", "| --- | --- | --- |"]
    for option in options:
        plain = f"`{option.flag} {option.metavar}`" if option.metavar else f"`{option.flag or option.name}`"
        default = option.otherwise or (
            f"`{option.setting.default}`" if not option.flag and option.setting and option.setting.default else ""
        )
        lines.append(
            f"| {option.manual_flags or plain} | {option.manual or option.help} | {default} |".replace("  ", " ")
        )
    return "\n".join(lines)


def names(words: Iterable[str]) -> str:
    """Return names in code, with commas between."""
    return ", ".join(f"`{word}`" for word in words)


def parts() -> dict[str, str]:
    """Return what stands between each pair of marks."""
    found = {
        section.value: table("option", (one for one in OPTIONS if one.flag and one.section is section))
        for section in Section
    }
    found["settings"] = table("setting", (one for one in SETTINGS.values() if not one.flag))
    found["setting names"] = names(name for name, option in SETTINGS.items() if option.flag)
    found["arguments"] = names(name for name in ARGUMENTS if name not in DOCUMENTED)
    rows = [f"| `{column.name}` | `{column.dtype}` | {column.meaning} |" for column in FRAME]
    found["columns"] = "\n".join(["| column | dtype | meaning |", "| --- | --- | --- |", *rows])
    return found


def rendered(text: str) -> str:
    """Return a README with its tables as they are to be."""
    made = parts()

    def put(found: re.Match[str]) -> str:
        space = "\n" if "\n" in found[2] else ""
        return f"<!-- table: {found[1]} -->{space}{made.pop(found[1])}{space}<!-- end -->"

    text = re.sub(r"<!-- table: ([a-z ]+) -->(.*?)<!-- end -->", put, text, flags=re.DOTALL)
    if made:
        raise ValueError(f"README.md has no marks for: {', '.join(made)}")
    return text


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
    sys.exit(0)
