"""The notebook of HDFS, executed where there is one and where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters.hdfs.cluster import Hdfs
from tests.integration.test_notebooks import Executed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def errors_of(executed: Executed) -> list[str]:
    outputs = [output for cell in executed.notebook.cells for output in cell.get("outputs", [])]
    told = [str(output) for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    return [text for text in told if "it is tried again for" not in text]  # of the HDFS that is down, as it shall be


@pytest.mark.hdfs
def test_run_all_on_an_hdfs(hdfs: Hdfs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRATOS_HDFS", hdfs.url)
    executed = Executed("05_hdfs.ipynb", tmp_path)
    assert errors_of(executed) == []
    assert "12 results" in executed.text("measure")
    results = executed.text("results")
    assert results.count("FINISHED") == 12
    assert "day_11.tsv" in results
    assert executed.text("marked").count("hdfs:/") == 6
    assert "cannot be reached" in executed.text("wrong")


def test_run_all_without_one_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRATOS_HDFS", raising=False)
    executed = Executed("05_hdfs.ipynb", tmp_path)
    assert errors_of(executed) == []
    assert "no HDFS is configured" in executed.text("which")
