"""The demo notebooks, executed in a real kernel from top to bottom."""

from __future__ import annotations

import base64
import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from tests.clusters.mesos.cluster import Cluster

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Executed:
    """A notebook after Run All, in a folder of its own."""

    def __init__(self, name: str, folder: Path, master: str = "local") -> None:
        self.master = master
        self.folder = folder / "notebooks"
        self.notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
        self._home = folder
        shutil.copytree(NOTEBOOKS, self.folder, ignore=shutil.ignore_patterns("work", ".ipynb_checkpoints"))
        self.run()

    def run(self) -> None:
        # A cell that fails ends the run with nbclient's CellExecutionError, which shows the cell.
        client = NotebookClient(
            self.notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(self.folder)}}
        )
        own = {
            "STRATOS_HOME": str(self._home / "stratos"),
            "STRATOS_MASTER": self.master,
            "IPYTHONDIR": str(self._home / "ipython"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(NOTEBOOKS.parent), os.environ.get("PYTHONPATH")])),
        }
        client.execute(env=os.environ | own)

    def outputs(self, cell: str) -> list[NotebookNode]:
        return next(found.outputs for found in self.notebook.cells if found.id == cell)

    def text(self, cell: str) -> str:
        """What a cell printed, and the text of what it returned or displayed."""
        return "".join(
            output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
            for output in self.outputs(cell)
        )

    def html(self) -> str:
        body, _ = HTMLExporter().from_notebook_node(self.notebook)
        return str(body)

    def snapshots(self) -> list[str]:
        """The job summaries that the saved notebook shows without a kernel."""
        return re.findall(r"<summary[^>]*>([^<]*)</summary>", self.html())

    def pictures(self, cell: str) -> list[bytes]:
        shown = (output.get("data", {}).get("image/png") for output in self.outputs(cell))
        return [base64.b64decode(picture) for picture in shown if picture]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return Executed("01_quickstart.ipynb", tmp_path_factory.mktemp("quickstart"))


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return Executed("02_snapshots.ipynb", tmp_path_factory.mktemp("snapshots"))


@pytest.fixture(scope="module")
def monitors(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return Executed("03_monitors.ipynb", tmp_path_factory.mktemp("monitors"))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return Executed("04_mesos.ipynb", tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, mesos: Cluster) -> Executed:
    return Executed("04_mesos.ipynb", tmp_path_factory.mktemp("there"), mesos.master)


@pytest.fixture(params=["quickstart", "snapshots", "monitors", "here", pytest.param("there", marks=pytest.mark.mesos)])
def executed(request: pytest.FixtureRequest) -> Executed:
    notebook: Executed = request.getfixturevalue(request.param)
    return notebook


def picture_shows_something(picture: bytes, folder: Path) -> bool:
    path = folder / "picture.png"
    path.write_bytes(picture)
    pixels = imread(path)
    return min(pixels.shape[:2]) > 200 and float(pixels[:, :, :3].std()) > 0.02


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_run_all_meets_no_error_and_no_warning(executed: Executed) -> None:
    outputs = [output for cell in executed.notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


def test_saved_as_html_every_job_is_shown_as_it_ended(executed: Executed) -> None:
    html = executed.html()
    assert "Error displaying widget" not in html
    shown = executed.snapshots()
    for cell in executed.notebook.cells:
        job = re.match(r"%%stratos .*--job (\w+)(?!.*--dry-run)", cell.source)
        if not job:
            continue
        of_job = [text for text in shown if f"{job[1]} run 1 on {executed.master}" in text]
        assert of_job, (job[1], shown)
        for text in of_job:
            counts = re.search(r"([\d,]+)/([\d,]+) done", text)
            assert counts, text
            assert counts[1] == counts[2], text


def test_wc_counts_the_standard_library(quickstart: Executed) -> None:
    (count,) = re.findall(r"wc on local\S*: ([\d,]+) tasks", quickstart.text("dry-run"))
    total = int(count.replace(",", ""))
    assert total == sum(path.suffix == ".py" for path in standard_library())
    assert total > 400
    assert any(f"{count}/{count} done" in text for text in quickstart.snapshots())
    topics = next(path for path in standard_library() if path.parts[-2:] == ("pydoc_data", "topics.py"))
    content = topics.read_bytes()
    (table,) = [output.data["text/html"] for output in quickstart.outputs("rows")]
    cells = re.findall(r"<td>(.*?)</td>", table[table.index("pydoc_data/topics.py") - len("<td>work/stdlib/") :])
    # The number of words is left out: what separates words depends on the language of the machine.
    assert (cells[1], cells[3]) == (str(content.count(b"\n")), str(len(content)))


def standard_library() -> list[Path]:
    """Files as the shell's ** sees them: nothing hidden."""
    root = Path(os.__file__).parent
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("site-packages", "dist-packages") and name[0] != "."]
        found += [Path(folder, name) for name in files if name[0] != "."]
    return found


def test_the_failing_task_is_found_looked_at_and_run_again(quickstart: Executed) -> None:
    assert "10/10 done (1 failed)" in quickstart.text("status")
    failed = quickstart.text("failed")
    assert "inspect.gz" in failed
    assert "FAILED" in failed
    assert "datetime.gz" not in failed
    log = quickstart.text("log")
    assert "gzip -t work/archives/inspect.gz" in log
    assert "unexpected end" in log
    repaired = quickstart.text("repaired")
    assert "FAILED" not in repaired
    assert re.search(r"^5 .*FINISHED.* 2 +0$", repaired, re.MULTILINE)
    assert re.search(r"^4 .*FINISHED.* 1 +0$", repaired, re.MULTILINE)


def test_statistics_of_the_simulation_are_what_they_must_be(snapshots: Executed) -> None:
    printed = re.findall(r"^(\S.*?) {2,}(\S+)$", snapshots.text("statistics"), re.MULTILINE)
    value = {name: float(number) for name, number in printed}
    assert list(value) == [
        "minimum", "mean", "maximum", "median", "standard deviation", "mode", "skewness", "kurtosis", "fifth moment"
    ]  # fmt: skip
    assert value["minimum"] < value["mode"] < value["median"] < value["mean"] < value["maximum"]
    assert value["minimum"] > 0.3
    assert 0.5 < value["maximum"] < 0.8
    assert 0.03 < value["standard deviation"] < 0.1
    assert value["skewness"] > 1
    assert value["kurtosis"] > 3
    assert value["fifth moment"] > 0
    (drift,) = re.findall(r"at most ([\d.]+)%", snapshots.text("drift"))
    assert float(drift) < 1


def test_the_column_holds_one_value_for_each_snapshot_in_order_of_time(snapshots: Executed) -> None:
    assert len(list((snapshots.folder / "work" / "snapshots").iterdir())) == 200
    rows = re.findall(r"snapshot_00(\d)\.nbody +([\d.]+) ", snapshots.text("rows"))
    assert [(int(number), float(time)) for number, time in rows] == [
        (n, pytest.approx(n / 10)) for n in range(len(rows))
    ]
    assert rows
    assert "200" in snapshots.text("jobs")


def test_a_frame_is_drawn_for_each_angle(snapshots: Executed) -> None:
    frames = sorted(path.stem for path in (snapshots.folder / "work" / "frames").iterdir())
    assert frames == sorted(f"{up}_{around}" for up in (80, 45, 10) for around in range(0, 192, 24))


def test_what_diverges_is_stopped_and_run_with_a_smaller_step(monitors: Executed) -> None:
    assert monitors.text("nonsense").count("FINISHED") == 3
    found = re.findall(r"decay.py (\S+) +(\S+) +(\S+)", monitors.text("results"))
    assert {step: (state, reason) for step, state, reason in found} == {
        **dict.fromkeys(("0.5", "0.3", "0.25"), ("KILLED", "monitor")),
        **dict.fromkeys(("0.1", "0.15", "0.125"), ("FINISHED", "exit")),
    }
    assert "instead of it:" in monitors.text("log")
    by_function = monitors.text("results2")
    assert by_function.count("KILLED") == 2
    assert by_function.count("FINISHED") == 3
    assert "2 stopped by the monitor" in monitors.text("status")


@pytest.mark.parametrize(
    ("notebook", "cell"),
    [("quickstart", "plot"), ("snapshots", "plot"), ("snapshots", "strip"), ("monitors", "plot")],
)
def test_plots_are_there(request: pytest.FixtureRequest, tmp_path: Path, notebook: str, cell: str) -> None:
    (picture,) = request.getfixturevalue(notebook).pictures(cell)
    assert picture_shows_something(picture, tmp_path)


def test_a_notebook_can_be_run_again_where_it_has_been_run(quickstart: Executed) -> None:
    before = quickstart.text("dry-run")
    quickstart.run()
    assert quickstart.text("dry-run") == before
    assert "unexpected end" in quickstart.text("log")


@pytest.mark.mesos
def test_on_a_cluster_commands_run_in_their_sandboxes(there: Executed) -> None:
    table = there.text("around-df")
    assert "M31, on" in table
    assert "a folder of its own: yes" in table
    assert re.search(r"^127\.0\.0\.1 +\d+", there.text("nodes"), re.MULTILINE)
    assert f"on the cluster: http://{there.master}/#/frameworks/" in there.text("status-line")
    assert there.text("processor") == "['0\\n', '1\\n', '4\\n', '9\\n', '16\\n']"
    assert there.text("mean")[:4] == "'3.1"
