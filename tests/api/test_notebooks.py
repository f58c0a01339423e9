"""Runs, plans and tables in a notebook."""

from __future__ import annotations

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from conftest import REPOSITORY
from nbclient import NotebookClient
from PIL import Image

import qbench
from qbench.errors import QbenchError
from qbench.execute.work import CellStarted, Notice, Progress


@pytest.fixture
def run(photos):
    suite = {
        "name": "notebook",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [10, 30, 60, 90]}, "webp": {"quality": [10, 30, 60, 90]}},
        "metrics": ["bpp", "psnr", "mse"],
    }
    return qbench.run(suite, output="run", jobs=1)


def test_what_functions_return_is_a_run_that_shows_itself(run):
    assert isinstance(run, qbench.Run)
    for each in (run, qbench.load_run("run"), qbench.score("run", "mse", jobs=1)):
        text = each._repr_html_()
        assert "run · 24 cells · complete" in text
        assert text.count("<tr>") == 9
        assert "jpeg:quality=10" in text


def test_a_run_is_asked_for_curves_and_savings(run):
    assert run.bd("jpeg").records() == qbench.savings(run, "jpeg").records()
    assert "BD-rate" in run.bd()._repr_html_()
    assert [axes.get_ylabel() for axes in run.plot(["psnr", "mse"]).figure.axes] == ["PSNR (dB) ↑", "MSE ↓"]
    with pytest.raises(QbenchError, match="no codec `jpg`; did you mean `jpeg`"):
        run.bd("jpg")
    with pytest.raises(QbenchError, match="no curve of `ssim`"):
        run.plot("ssim")


def test_tables(run):
    assert run.table("codec", "psnr").html.count("<tr>") == 3
    assert run.table(None, ["psnr"]).html.count("<tr>") == 25
    assert "| jpeg" in repr(run.table("codec"))
    with pytest.raises(QbenchError, match="no column `psn`; did you mean `psnr`"):
        run.table("codec", ["psn"])
    with pytest.raises(QbenchError, match="can't group by `codecs`"):
        run.table("codecs")


def test_images_beside_each_other_are_those_that_were_measured(run, photos):
    html = run.show("p0", "jpeg:quality=10", "webp:quality=90")._repr_html_()
    shown = [
        np.array(Image.open(io.BytesIO(base64.b64decode(data))))
        for data in re.findall(r"data:image/png;base64,([^\"]+)", html)
    ]
    assert len(shown) == 3
    assert np.array_equal(shown[0], np.array(Image.open(photos / "p0.png")))
    error = np.mean((shown[0].astype(float) - shown[1]) ** 2)
    row = next(row for row in run.rows if (row.image, row.point) == ("p0", "jpeg:quality=10"))
    assert row.entries["mse"].value == pytest.approx(error)
    assert f"{error:.2f}" in html


def test_images_that_cant_be_shown(run):
    with pytest.raises(QbenchError, match=r"no image `p9` .*has: p0, p1, p2"):
        run.show("p9")
    with pytest.raises(QbenchError, match="no operating point `jpeg:quality=11`; did you mean `jpeg:quality=10`"):
        run.show("p0", "jpeg:quality=11")
    for path in run.path.rglob("*.png"):
        path.unlink()
    with pytest.raises(QbenchError, match="no reconstruction of p0 at jpeg:quality=10: it was not kept"):
        run.show("p0", "jpeg:quality=10")


def test_names_are_shown_to_the_letter(photos):
    (photos / "p0.png").rename(photos / "<b>&.png")
    suite = {"images": [{"folder": str(photos)}], "codecs": {"jpeg": {}}, "metrics": ["bpp"], "name": "<script>"}
    plan = qbench.plan(suite)
    assert "&lt;script&gt;: 3 images" in plan._repr_html_()
    run = qbench.run(plan, output="odd", jobs=1)
    for html in (run.table("image").html, run.show("<b>&", "jpeg").html):
        assert "<b>&" not in html.replace("<b>&amp;", "")
        assert "&lt;b&gt;&amp;" in html


def test_the_example_notebook(tmp_path, monkeypatch):
    """Executed from beginning to end by a kernel, as a reader would."""
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(REPOSITORY / "docs" / "first-look.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert not [output for output in outputs if output["output_type"] in ("error", "stream")]
    html = "".join(output["data"].get("text/html", "") for output in outputs if "data" in output)
    assert "24/24 cells, 72/72 scores" in html
    assert "first-look: 3 images × 8 operating points = 24 cells" in html
    assert "BD-rate" in html
    assert kinds.count("image/png") == 1


class Handle:
    shown = ""

    def update(self, html):
        self.shown = html


def test_the_bar_says_how_far_it_is_and_what_happened(monkeypatch):
    from qbench.reporting import notebook

    handle = Handle()
    display = notebook.NotebookDisplay()
    ipython = type("IPython", (), {"HTML": staticmethod(str), "display": staticmethod(lambda html, display_id: handle)})
    monkeypatch.setattr(notebook.importlib, "import_module", lambda name: ipython)
    monkeypatch.setattr(notebook, "LEAST_SECONDS", -1.0)
    with display:
        display.on_event(Progress(4, 1, 8, 2))
        display.on_event(CellStarted("cat", "jpeg:<1>"))
        assert 'value="3" max="12"' in handle.shown
        assert "cat · jpeg:&lt;1&gt;" in handle.shown
        for number in range(30):
            display.on_event(Notice(f"line {number}"))
    assert "1 of 4 cells and 2 of 8 scores already done" in handle.shown
    assert "and 11 more lines" in handle.shown
    assert "cat" not in handle.shown
