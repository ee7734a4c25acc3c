"""Take the pictures of docs/report.md: a real job on this machine, its report and its snapshot.

python docs/images/take_reports.py [FOLDER]     needs the test extra and Chromium
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
PROGRAM = """#!/bin/sh
# gsnap FILE: stands for a program that takes a while, and cannot read every file
number=${1#snap_}; number=${number%.dat}
sleep "$2"
case $number in
    *13 | *77) echo "gsnap: cannot open header of $1" >&2; exit 3 ;;
    031) kill -SEGV $$ ;;
    07[0-4]) echo "gsnap: no mass in $1" >&2; exit 1 ;;
esac
echo "$number	$(( (1$number * 7919) % 400 )).$(( 1$number % 10 ))"
"""
NOTEBOOK = (
    '<!doctype html><meta charset="utf-8"><style>body {{ margin: 0; padding: 14px 18px; color: #1c1e21;'
    ' font-family: system-ui, "DejaVu Sans", sans-serif; }}</style>{html}'
)


def main() -> None:
    """Run the job and take the pictures."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    with tempfile.TemporaryDirectory() as name:
        os.environ["STRATOS_HOME"] = f"{name}/state"
        report, snapshot = pages(Path(name))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
            for scheme in ("light", "dark"):
                page = browser.new_page(viewport={"width": 1064, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
                page.goto(report.as_uri())
                top = page.locator("h2", has_text="Slowest tasks").bounding_box()
                assert top is not None
                clip = {"x": 0, "y": 0, "width": 1064, "height": top["y"] - 8}
                page.screenshot(path=target / f"report-{scheme}.png", full_page=True, clip=clip)  # type: ignore[arg-type]
            page = browser.new_page(viewport={"width": 900, "height": 400})
            page.goto(snapshot.as_uri())
            page.evaluate("document.querySelector('details').open = true")
            page.screenshot(path=target / "snapshot.png", full_page=True)
            browser.close()


def pages(folder: Path) -> tuple[Path, Path]:
    """Run a job; return its report and its snapshot."""
    from stratos_jupyter import session
    from stratos_jupyter.backend.spec.commands import template_commands
    from stratos_jupyter.backend.spec.job_spec import JobSpec
    from stratos_jupyter.report.collect import full_summary_of, summary_of
    from stratos_jupyter.report.page import write_report
    from stratos_jupyter.report.snapshot import static_html

    program = folder / "gsnap"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    chance = random.Random(7)
    files = [f"snap_{n:03d}.dat" for n in range(240)]
    waits = [f"{chance.lognormvariate(-2.2, 0.6):.3f}" for _ in files]
    spec = JobSpec("velocity-dispersion", master="local[6]", cwd=str(folder))
    commands = template_commands("./gsnap %file% %wait%", {"file": files, "wait": waits})
    job = session.current().submit(spec, commands)
    job.wait()
    report, _ = write_report(full_summary_of(job), str(folder), time.time())
    snapshot = folder / "snapshot.html"
    snapshot.write_text(NOTEBOOK.format(html=static_html(summary_of(job))), "utf-8")
    session.close()
    return report, snapshot


if __name__ == "__main__":
    main()
