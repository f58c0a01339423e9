"""codec-compare's batches: by the rules of its loader, there and back."""

from __future__ import annotations

import contextlib
import copy
import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import qbench
from qbench.plugin import QbenchError
from qbench_formats.codec_compare import CodecCompare
from qbench_formats.compressai import CompressAI

BATCH = {
    "constant_descriptions": [{"name": "Name"}, {"codec": "Codec"}, {"version": "V"}, {"time": "T"}],
    "constant_values": ["Some experiment", "some_codec", "1.0", "2023-05-22T13:02:15.137Z"],
    "field_descriptions": [
        {"original_name": "Original image file name"},
        {"encoded_name": "Encoded image file name"},
        {"effort": "Compression effort parameter"},
        {"quality": "Compression quality parameter"},
        {"Psnr": "PSNR"},
        {"msssim": "MS-SSIM"},
        {"encoding_time": "s"},
        {"decoding_time": "s"},
        {"width": "px"},
        {"height": "px"},
        {"encoded_size": "bytes"},
        {"mystery": "who knows"},
    ],
    "field_values": [
        ["almonds.png", "almonds.ext", -1, 50.0, 38.5, 0.98, 0.22, 0.07, 100, 80, 1000.0, 3],
        ["almonds.png", "almonds.ext", -1, 90.0, 42.5, 0.99, 0.32, 0.08, 100, 80, 2000.0, 3],
    ],
}


def loader_takes(document):
    """What codec-compare's loader checks of a batch, and that every number is one for its page."""
    for key in ("constant_descriptions", "field_descriptions"):
        for each in document[key]:
            assert len(each) == 1
            assert all(isinstance(described, str) for described in each.values())
    assert len(document["constant_values"]) == len(document["constant_descriptions"])
    assert all(isinstance(value, str) for value in document["constant_values"])
    fields = [next(iter(each)) for each in document["field_descriptions"]]
    assert len(set(fields)) == len(fields) >= 1
    for row in document["field_values"]:
        assert len(row) == len(fields)
        assert all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in row)
    constants = dict(
        zip([next(iter(each)) for each in document["constant_descriptions"]], document["constant_values"], strict=True)
    )
    datetime.fromisoformat(constants["time"])
    for index, field in enumerate(fields):
        if field in ("width", "height", "encoded_size"):
            assert all(isinstance(row[index], int) for row in document["field_values"])
    return fields


def imported(document, name="imported"):
    path = Path("batch.json")
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return qbench.import_results([path], name)


def test_reads_a_batch():
    run = imported(BATCH)
    assert [row.point for row in run.rows] == [
        "some_codec:effort=-1,quality=50",
        "some_codec:effort=-1,quality=90",
    ]
    assert [row.entries["psnr"].value for row in run.rows] == [38.5, 42.5]
    assert run.rows[0].entries["ms-ssim"].value == 0.98
    assert run.rows[0].rate == 8 * 1000 / 8000  # their page divides bytes, not bits
    assert run.rows[1].cell.timing.encode.seconds == 0.32
    assert run.sessions[0].provenance["notes"] == ["batch: `mystery` is omitted: of unknown meaning or direction"]


def test_what_is_written_is_taken_by_the_loader_and_comes_back(small_run):
    paths = qbench.export(small_run, "codec-compare", "out")
    assert [path.name for path in paths] == ["jpeg.json", "webp.json", "batches.json"]
    assert json.loads(paths[-1].read_text()) == [["jpeg.json"], ["webp.json"]]
    for path in paths[:-1]:
        fields = loader_takes(json.loads(path.read_text(), parse_constant=pytest.fail))
        assert {"original_name", "width", "height", "quality", "encoded_size", "psnr", "bpp"} <= set(fields)
    back = qbench.import_results(paths[:-1], "back")
    assert [row.point for row in sorted(back.rows, key=lambda row: (row.image, row.point))] == [
        row.point for row in sorted(small_run.rows, key=lambda row: (row.image, row.point))
    ]
    found = {(row.image, row.point): row for row in back.rows}
    for row in small_run.rows:
        other = found[row.image, row.point]
        for name in ("bpp", "psnr", "mse"):
            assert other.entries[name].value == row.entries[name].value
        assert other.cell.bitstream_size == row.cell.bitstream_size
        assert other.cell.timing.decode.seconds == row.cell.timing.decode.seconds


def test_rows_without_a_finite_value_are_left_out(photos):
    Image.new("RGB", (32, 32), (128, 128, 128)).save(photos / "grey.png")  # which JPEG codes without any error
    suite = {
        "name": "mixed",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": 90}},
        "metrics": ["psnr"],
    }
    run = qbench.run(suite, output="run")
    assert float("inf") in [row.entries["psnr"].value for row in run.rows]
    path, _ = qbench.export(run, "codec-compare", "out")
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    loader_takes(document)
    assert len(document["field_values"]) == sum(row.entries["psnr"].value != float("inf") for row in run.rows)


def broken(change):
    document = copy.deepcopy(BATCH)
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it["constant_values"].pop(), "3 constant_values for 4 constant_descriptions"),
        (lambda it: it["field_values"][1].pop(), "field_values[1]: has 11 values for 12 fields"),
        (lambda it: it["field_values"].clear(), "field_values is empty"),
        (lambda it: it["field_descriptions"].append({"a": "b", "c": "d"}), "field_descriptions[12]: a mapping of one"),
        (lambda it: it["field_descriptions"].append({"Psnr": "again"}), "`Psnr` is duplicated"),
        (lambda it: it["field_descriptions"][0].update({"original_name": 3}), "text is expected, not 3"),
        (lambda it: it["field_values"][0].__setitem__(4, "high"), "field_values[0], Psnr: a number is expected"),
        (lambda it: it["field_values"][1].__setitem__(3, 50.0), "almonds.png at some_codec:effort=-1,quality=50 is"),
        (lambda it: it["field_descriptions"].__setitem__(0, {"other": ""}), "no field `original_name`"),
    ],
)
def test_malformed_batches_are_refused_with_what_is_wrong(change, message):
    with pytest.raises(QbenchError) as refused:
        imported(broken(change))
    assert message in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "results", "bpp", "psnr", "field_values", "field_descriptions", "original_name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_refused(document):
    for form in (CompressAI(), CodecCompare()):
        if form.recognises(document):
            with contextlib.suppress(QbenchError):
                form.read(document, "file")


def test_an_index_means_the_batches_that_it_lists(small_run):
    *paths, index = qbench.export(small_run, "codec-compare", "out")
    one, other = qbench.import_results([index], "by-index"), qbench.import_results(paths, "by-files")
    assert [row.entries["psnr"].value for row in one.rows] == [row.entries["psnr"].value for row in other.rows]
    index.write_text('[["../elsewhere.json"]]')
    with pytest.raises(QbenchError, match="is not in its folder"):
        qbench.import_results([index], "outside")
    index.write_text('[["nothing.json"]]')
    with pytest.raises(QbenchError, match=r"nothing\.json: can't read"):
        qbench.import_results([index], "missing")
    index.write_text("[[1]]")
    with pytest.raises(QbenchError, match="no known format recognises it"):
        qbench.import_results([index], "odd")


def test_results_that_contradict_themselves_leave_no_folder():
    twice = copy.deepcopy(BATCH)
    twice["field_values"].append(twice["field_values"][0])
    with pytest.raises(QbenchError, match="is duplicated"):
        imported(twice, "twice")
    assert not Path("runs/twice").exists()
    assert imported(BATCH, "twice").complete  # the name is free


def batch(fields, rows):
    """A batch as codec-compare's generator describes its fields: without a word on which way is better."""
    return {
        "constant_descriptions": [{"name": "Name"}, {"codec": "Codec"}],
        "constant_values": ["animations", "webp2"],
        "field_descriptions": [{name: f"{name} of the image"} for name in ("original_name", *fields)],
        "field_values": rows,
    }


def test_the_rate_of_an_animation_is_per_frame():
    fields = ("quality", "width", "height", "frame_count", "encoded_size", "psnr")
    run = imported(batch(fields, [["a.gif", 50, 100, 80, 10, 20_000, 35.0], ["b.png", 50, 100, 80, 1, 2000, 36.0]]))
    assert [row.rate for row in run.rows] == [8 * 20_000 / (100 * 80 * 10), 8 * 2000 / (100 * 80)]
    with pytest.raises(QbenchError, match=r"a\.gif has another size or number of frames than before"):
        imported(batch(fields, [["a.gif", q, 100, 80, count, 20_000, 35.0] for q, count in ((5, 10), (9, 1))]), "odd")


def test_ssim_of_batches_is_libwebps_and_not_ours(small_run):
    run = imported(batch(("quality", "ssim", "p3norm"), [["a.png", 50, 15.7, 0.9], ["a.png", 90, 61.0, 0.4]]))
    assert run.columns["ssim-libwebp"].unit == "dB"
    assert [row.entries["ssim-libwebp"].value for row in run.rows] == [15.7, 61.0]
    assert [row.entries["butteraugli.norm3"].value for row in run.rows] == [0.9, 0.4]
    assert "ssim" not in run.columns
    ours = qbench.score(small_run, "ssim", cache=False)
    *paths, _ = qbench.export(ours, "codec-compare", "exported")
    fields = loader_takes(json.loads(paths[0].read_text()))
    assert "qbench_ssim" in fields
    assert "ssim" not in fields
    back = qbench.import_results(paths, "ours-again")
    assert {row.entries["ssim"].value for row in back.rows} == {row.entries["ssim"].value for row in ours.rows}


def test_rows_that_differ_by_chroma_subsampling_are_two_codecs():
    """One curve of both would go forth and back."""
    fields = ("effort", "chroma_subsampling", "quality", "encoded_size", "width", "height", "psnr")
    rows = [["a.png", 4, sampling, 50, 1000, 100, 80, 35.0] for sampling in ("420", "444")]
    run = imported(batch(fields, rows))
    assert [row.point for row in run.rows] == [
        "webp2 chroma_subsampling=420:effort=4,quality=50",
        "webp2 chroma_subsampling=444:effort=4,quality=50",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([50, 0, 100, 80, 35.0], "0 is no number of pixels, bytes or frames"),
        ([50, 1000, 0, 80, 35.0], "width: 0 is no number of pixels, bytes or frames"),
        ([50, 1000, 100, 80, 1e308], "has a `psnr` of 1e\\+308, outside of"),
        ([50, -5, 100, 80, 35.0], "is no number of pixels, bytes or frames"),
        ([50, 10.5, 100, 80, 35.0], "is no number of pixels, bytes or frames"),
        ([50, 1000, 1e300, 80, 35.0], "is no number of pixels, bytes or frames"),
        ([50, 1000, 100, 80, 10**400], "a number of 401 digits is too large"),
        ([50, 10**400, 100, 80, 35.0], "a number of 401 digits is too large"),
    ],
)
def test_what_no_codec_does_is_refused(values, message):
    with pytest.raises(QbenchError, match=message):
        imported(batch(("quality", "encoded_size", "width", "height", "psnr"), [["a.png", *values]]))
    assert not Path("runs/imported").exists()


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(QbenchError, match="not JSON: the key 'field_values' is there twice"):
        imported(json.dumps(BATCH)[:-1] + ', "field_values": []}')


def test_frames_come_back(small_run):
    fields = ("quality", "width", "height", "frame_count", "encoded_size", "psnr", "bpp")
    run = imported(
        batch(fields, [["a.gif", 50, 100, 80, 10, 20_000, 35.0, 2.0], ["b.png", 50, 100, 80, 1, 2000, 36.0, 2.0]])
    )
    path, _ = qbench.export(run, "codec-compare", "frames")
    back = qbench.import_results([path], "frames-back")
    assert [row.rate for row in back.rows] == [row.rate for row in run.rows] == [2.0, 2.0]
