"""Run folders that were kept of every version of the format (tests/data/runs) stay readable."""

from __future__ import annotations

import json
import re
import shutil
import zlib

import jsonschema
import pytest
from conftest import REPOSITORY

import qbench
from qbench.errors import ImageError, StoreError
from qbench.results.run import Status
from qbench.store.journal import read_journal
from qbench.store.migrations import FORMAT_VERSION, STEPS

RUNS = REPOSITORY / "tests" / "data" / "runs"
KEPT = sorted(RUNS.glob("v*"))
SCHEMA = REPOSITORY / "docs" / "run-folder.schema.json"

# What `qbench show v1 --format json` of the version that wrote v1 said: bytes, then the metrics.
EXPECTED = {
    ("blob", "jpeg:quality=20"): (655, 13.645833333333334, 18.531888768701393, 0.6099265098704824),
    ("blob", "jpeg:quality=80"): (724, 15.083333333333334, 24.823531281013445, 0.9244042341671292),
    ("blob", "jpeg-near:target.psnr=23"): (694, 14.458333333333334, 22.87419300300414, 0.8747327838625226),
    ("stripes", "jpeg:quality=20"): (667, 13.895833333333334, 19.12978867360909, 0.8699941528694971),
    ("stripes", "jpeg:quality=80"): (746, 15.541666666666666, 19.977245986540897, 0.9189949378607766),
}
OUT_OF_REACH = ("stripes", "jpeg-near:target.psnr=23")
# Measured anew, so each folder has its own: seconds of encoding and decoding blob at quality 20.
SECONDS = {
    "v1": (0.00016912799947021995, 0.00017349600057059433),
    "v2": (0.0001050669998221565, 0.00015186499877017923),
}

every_version = pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)


def append(journal, record):
    """Append a record to a journal as any program could."""
    body = json.dumps(record, separators=(",", ":"))
    with journal.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"crc32":"{zlib.crc32(body.encode()):08x}","record":{body}}}\n')


def records(journal):
    """Return the records of a journal as they stand there."""
    return [line["record"] for line in map(json.loads, journal.read_text().splitlines()) if "record" in line]


def test_every_version_has_a_folder_and_a_step():
    """A new version needs both: see docs/run-folder.md."""
    versions = list(range(1, FORMAT_VERSION + 1))
    assert [path.name for path in KEPT] == [f"v{version}" for version in versions]
    assert sorted(STEPS) == versions[:-1]
    assert [read_journal(path / "journal.jsonl").version for path in KEPT] == versions


@every_version
def test_a_kept_run_is_complete_and_has_its_values(folder):
    run = qbench.load_run(folder)
    assert run.complete
    assert read_journal(folder / "journal.jsonl").damaged == ()
    rows = {(row.image, row.point): row for row in run.rows}
    assert rows.keys() == {*EXPECTED, OUT_OF_REACH}
    for place, expected in EXPECTED.items():
        row = rows[place]
        assert row.status is Status.OK
        assert (row.cell.bitstream_size, *(row.entries[name].value for name in ("bpp", "psnr", "ssim"))) == expected
        assert row.entries["ms-ssim"].status is Status.NOT_APPLICABLE
        assert row.entries["ms-ssim"].reason == "shorter side is 16 pixels; MS-SSIM needs 161"
    missing = rows[OUT_OF_REACH]
    assert missing.status is Status.NOT_APPLICABLE
    assert missing.reason == "psnr 23 is out of reach: quality 87 already gives 20.3"
    assert missing.entries["psnr"].status is Status.SKIPPED


@every_version
def test_a_kept_run_has_its_times_and_targets(folder):
    run = qbench.load_run(folder)
    coded = {(row.image, row.point): row.cell for row in run.rows if row.status is Status.OK}
    for (image, _), cell in coded.items():
        warmup = 1 if image == "blob" else 0  # a codec warms up at its first image
        assert 0 < cell.timing.encode.seconds < 1
        assert 0 < cell.timing.decode.seconds < 1
        assert (cell.timing.encode.repeats, cell.timing.encode.warmup, cell.timing.encode.batch) == (3, warmup, 1)
        assert (cell.timing.decode.repeats, cell.timing.decode.warmup) == (3, warmup)
        assert cell.timing.threads == 2
        assert cell.timing.concurrent_load == "scoring in the same process"
    first = coded["blob", "jpeg:quality=20"].timing
    assert (first.encode.seconds, first.decode.seconds) == SECONDS[folder.name]
    found = coded["blob", "jpeg-near:target.psnr=23"].found
    assert (found.parameter, found.value, found.wanted) == ("quality", 63, 23)
    assert found.reached == pytest.approx(22.87419300300414, abs=1e-12)
    target = run.plan.point("jpeg-near:target.psnr=23").target
    assert target.increasing
    assert target.integer
    assert run.plan.point("jpeg:quality=20").target is None


@every_version
def test_a_kept_run_has_its_files(folder):
    run = qbench.load_run(folder)
    for image, point in EXPECTED:
        label, _, setting = point.partition(":")
        bitstream = folder / "bitstreams" / label / setting / f"{image}.jpg"
        assert bitstream.stat().st_size == EXPECTED[image, point][0]
        assert (folder / "reconstructions" / label / setting / f"{image}.png").is_file()
    assert json.loads((folder / "provenance.json").read_text()) == run.sessions[-1].provenance
    assert (folder / "suite.yaml").read_text() == run.plan.suite_text


@every_version
def test_a_kept_run_names_no_machine(folder):
    for path in (folder / name for name in ("journal.jsonl", "suite.yaml", "provenance.json")):
        text = path.read_text()
        assert not re.search(r'"(/|~|[A-Za-z]:\\)', text)
        assert set(re.findall(r'"host":\s*"([^"]*)"', text)) <= {"example"}
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 60_000


@every_version
def test_a_kept_run_can_be_scored_further(folder, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    before = (copy / "journal.jsonl").read_bytes()
    monkeypatch.chdir(RUNS)  # scoring reads the originals, whose locations are relative
    scored = qbench.score(copy, ["mse"], cache=False, jobs=1)
    loaded = qbench.load_run(copy)
    for run in (scored, loaded):
        assert run.complete
        rows = {(row.image, row.point): row for row in run.rows}
        for place, (size, _, psnr, _) in EXPECTED.items():
            assert rows[place].cell.bitstream_size == size
            assert rows[place].entries["psnr"].value == psnr
            assert 10 ** (psnr / 10) * rows[place].entries["mse"].value == pytest.approx(255**2)
            assert rows[place].cell.timing.encode.seconds > 0
    after = (copy / "journal.jsonl").read_bytes()
    assert after.startswith(before)
    contents = read_journal(copy / "journal.jsonl")
    assert contents.damaged == ()
    assert contents.version == FORMAT_VERSION
    assert len(loaded.sessions) == 2


@every_version
def test_a_score_of_a_kept_run_needs_its_originals(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    with pytest.raises(ImageError, match=r"blob\.png: can't read the image"):
        qbench.score(copy, ["mse"], cache=False, jobs=1)
    assert qbench.load_run(copy).rows[0].entries["psnr"].value == EXPECTED["blob", "jpeg:quality=20"][2]


def test_fields_of_the_future_are_ignored(tmp_path):
    copy = shutil.copytree(RUNS / f"v{FORMAT_VERSION}", tmp_path / "run")
    journal = copy / "journal.jsonl"
    known = records(journal)
    for record in known:
        # Later rows replace earlier ones, so these are what the run then consists of.
        if record["kind"] == "cell" and record["timing"]:
            record["timing"]["encode"]["joules"] = 2.5
        if record["kind"] == "plan":
            record["plan"]["weather"] = "fair"
            record["plan"]["points"][0]["colour"] = {"of": "hope"}
        if record["kind"] == "score" and record["metric"] == "psnr":
            record["values"] = {"psnr": record["values"]["psnr"] + 1}
        append(journal, {**record, "invented_later": [1, {"two": None}]})
    contents = read_journal(journal)
    assert contents.damaged == ()
    assert len(contents.records) == 2 * len(known)
    run = qbench.load_run(copy)
    assert run.complete
    rows = {(row.image, row.point): row for row in run.rows}
    for place, (size, _, psnr, ssim) in EXPECTED.items():
        assert rows[place].cell.bitstream_size == size
        assert rows[place].cell.timing.encode.seconds > 0
        assert rows[place].entries["psnr"].value == psnr + 1
        assert rows[place].entries["ssim"].value == ssim


def test_a_wrong_checksum_is_not_a_field_of_the_future(tmp_path):
    copy = shutil.copytree(RUNS / f"v{FORMAT_VERSION}", tmp_path / "run")
    journal = copy / "journal.jsonl"
    text = journal.read_text()
    journal.write_text(text.replace('"bitstream_size":655', '"bitstream_size":656'))
    assert len(read_journal(journal).damaged) == 1
    assert not qbench.load_run(copy).complete


def test_a_newer_version_is_refused(tmp_path):
    copy = shutil.copytree(RUNS / f"v{FORMAT_VERSION}", tmp_path / "run")
    journal = copy / "journal.jsonl"
    newer = FORMAT_VERSION + 1
    with journal.open("a") as file:  # as if a newer qbench had gone on with the run
        file.write(f'{{"qbench-journal":{newer}}}\n')
    message = f"the run has format {newer}; this qbench reads formats 1 to {FORMAT_VERSION}. Use the qbench version"
    with pytest.raises(StoreError, match=message):
        qbench.load_run(copy)
    before = journal.read_bytes()
    with pytest.raises(StoreError, match=message):
        qbench.score(copy, ["mse"])
    assert journal.read_bytes() == before


def test_the_committed_schema_is_what_the_command_prints(qbench_command, tmp_path):
    printed = qbench_command("schema", "run-folder")
    assert printed.returncode == 0
    assert printed.stdout == SCHEMA.read_text(encoding="utf-8")  # else: qbench schema run-folder -o docs/run-folder…
    assert qbench_command("schema", "run-folder", "-o", tmp_path / "s.json").stdout == ""
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == printed.stdout


def test_schema_prints_that_of_suites_unless_told_otherwise(qbench_command):
    default = qbench_command("schema")
    assert json.loads(default.stdout)["title"] == "qbench suite"
    assert qbench_command("schema", "suite").stdout == default.stdout
    unknown = qbench_command("schema", "run-folders")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == (
        "error: no schema for `run-folders`; did you mean `run-folder`? (accepted: suite, run-folder)\n"
    )


def test_every_line_of_the_present_version_fits_the_schema():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert f"version {FORMAT_VERSION}" in schema["title"]
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    lines = [json.loads(line) for line in (RUNS / f"v{FORMAT_VERSION}" / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        validator.validate(line)
    assert {line["record"]["kind"] for line in lines[1:]} == {"plan", "session", "cell", "score"}
    cell = next(line for line in lines[1:] if line["record"]["kind"] == "cell")
    score = next(line for line in lines[1:] if line["record"]["kind"] == "score")
    infinite = {**score["record"], "values": {"psnr": "Infinity"}}
    assert validator.is_valid({**score, "record": infinite})
    assert validator.is_valid({**cell, "record": {**cell["record"], "invented_later": 1}})
    wrong = [
        {"qbench-journal": FORMAT_VERSION - 1},
        {"record": cell["record"]},
        {**cell, "record": {**cell["record"], "outcome": "good"}},
        {**cell, "record": {name: value for name, value in cell["record"].items() if name != "kind"}},
        {**score, "record": {**score["record"], "values": {"psnr": "much"}}},
    ]
    assert not any(validator.is_valid(line) for line in wrong)


def test_the_schema_describes_its_fields():
    definitions = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    assert definitions["CellRecord"]["properties"]["bitstream_size"]["description"] == "Bytes."
    assert "in seconds" in definitions["CallTiming"]["description"]
    assert not re.search("``|:class:", SCHEMA.read_text(encoding="utf-8"))


def test_runs_of_one_suite_have_one_key_whatever_their_version():
    """Else an older run could not be resumed."""
    assert len({qbench.load_run(folder).plan.key() for folder in KEPT}) == 1
