"""Parts of a run, put together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import results_of

import qbench
from qbench.errors import QbenchError, StoreError
from qbench.records import JOURNAL, AnyRecord, Failure
from qbench.store.folder import RunFolder


@pytest.fixture
def suite(suite, registry):
    suite["codecs"]["shift"]["bits"] = [1, 3]
    suite["metrics"] = ["difference", "bpp", "mean-shift"]
    return suite


def shards(suite, registry, count, **options):
    return [
        qbench.run(suite, output=f"part-{number}", shard=f"{number}/{count}", registry=registry, cache=False, **options)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shards_make_up_the_run(suite, registry, count):
    whole = qbench.run(suite, output="whole", registry=registry, cache=False)
    parts = shards(suite, registry, count)
    assert not any(part.complete for part in parts)
    merged = qbench.merge(parts, "merged", registry=registry, cache=False)
    assert merged.complete
    assert results_of(merged) == results_of(whole)
    assert {row.status for row in merged.rows} == {qbench.Status.OK}
    for part in parts:  # as they were
        assert not qbench.load_run(part).complete
    again = qbench.run(suite, output="merged", registry=registry, cache=False)
    assert results_of(again) == results_of(whole)
    for kind in ("bitstreams", "reconstructions"):
        files = {path.relative_to("whole"): path.read_bytes() for path in Path("whole", kind).rglob("*.*")}
        assert files == {path.relative_to("merged"): path.read_bytes() for path in Path("merged", kind).rglob("*.*")}


def test_what_is_missing_is_told_and_can_follow(suite, registry):
    parts = shards(suite, registry, 3)
    merged = qbench.merge(parts[:2], "merged", registry=registry)
    assert not merged.complete
    assert {row.status for row in merged.rows} == {qbench.Status.OK, qbench.Status.PENDING}
    whole = qbench.merge([merged, parts[2]], "all", registry=registry)
    assert whole.complete


def test_parts_that_overlap_have_to_be_equal(suite, registry):
    parts = shards(suite, registry, 2)
    both = qbench.run(suite, output="both", registry=registry, cache=False)
    assert qbench.merge([*parts, both], "merged", registry=registry).complete
    journal = Path(both.path, JOURNAL)
    lines = journal.read_text().splitlines()
    changed = next(line for line in lines if '"kind":"score"' in line and '"metric":"difference"' in line)
    record = json.loads(changed)["record"]
    record["values"]["difference"] += 1
    state = RunFolder(both.path)
    with state.writing() as writer:
        writer.append([AnyRecord.validate_python(record)])
    with pytest.raises(StoreError, match=r"difference: values is .* in part-\d, and .* in both"):
        qbench.merge([*parts, both], "differs", registry=registry)
    assert not Path("differs").exists()


def test_of_what_failed_in_one_the_others_is_taken(suite, registry):
    one = qbench.run(suite, output="one", registry=registry, cache=False)
    shutil.copytree(one.path, "failed")
    failure = Failure(plugin="codec shift", error="StationDied", message="its process died")
    record = one.rows[0].cell.model_copy(update={"outcome": "failed", "failure": failure, "reason": failure.message})
    with RunFolder(Path("failed")).writing() as writer:
        writer.append([record])
    assert len(qbench.load_run("failed").failures) == 1
    assert len(qbench.merge(["failed"], "alone", registry=registry).failures) == 1
    for order in (["failed", one], [one, "failed"]):
        merged = qbench.merge(order, "merged", registry=registry)
        assert results_of(merged) == results_of(one)
        shutil.rmtree(merged.path)


def test_runs_of_something_else_are_refused(suite, registry):
    one = qbench.run(suite, output="one", registry=registry, cache=False)
    suite["codecs"]["shift"]["bits"] = [1, 4]
    other = qbench.run(suite, output="other", registry=registry, cache=False)
    with pytest.raises(StoreError, match="other is no part of the run in one"):
        qbench.merge([one, other], "merged", registry=registry)
    with pytest.raises(StoreError, match="exists already"):
        qbench.merge([one], "other", registry=registry)
    with pytest.raises(QbenchError, match="no runs"):
        qbench.merge([], "merged", registry=registry)
    assert not Path("merged").exists()


def test_links_are_not_followed(suite, registry, tmp_path):
    one = qbench.run(suite, output="one", registry=registry, cache=False)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    stream = next(Path(one.path, "bitstreams").rglob("*.*"))
    stream.unlink()
    stream.symlink_to(secret)
    with pytest.raises(StoreError, match="leads out of the run folder"):
        qbench.merge([one], "merged", registry=registry)
    elsewhere = tmp_path / "elsewhere"
    other = qbench.run(suite, output="other", registry=registry, cache=False)
    shutil.move(other.path / "bitstreams", elsewhere)
    (other.path / "bitstreams").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="leads out of the run folder"):
        qbench.merge([other], "merged", registry=registry)


def test_files_are_taken_from_whichever_part_has_them(suite, registry):
    one = qbench.run(suite, output="one", registry=registry, cache=False)
    shutil.copytree(one.path, "without")
    for kind in ("bitstreams", "reconstructions"):
        shutil.rmtree(Path("without", kind))
    merged = qbench.merge(["without", one], "merged", registry=registry)
    for kind in ("bitstreams", "reconstructions"):
        assert len([*Path(merged.path, kind).rglob("*.*")]) == len(one.rows)
    altered = next(Path(one.path, "bitstreams").rglob("*.*"))
    altered.write_bytes(b"XX")
    with pytest.raises(StoreError, match="is not the bitstream that was measured"):
        qbench.merge(["without", one], "again", registry=registry)
    whole = qbench.merge([one, merged], "whole", registry=registry)  # which has it as it was
    assert (whole.path / altered.relative_to(one.path)).read_bytes() != b"XX"
    with pytest.raises(StoreError, match="is inside of one"):
        qbench.merge([one, merged], "one/inside", registry=registry)


def test_what_is_damaged_is_told(suite, registry):
    one = qbench.run(suite, output="one", registry=registry, cache=False)
    lines = Path(one.path, JOURNAL).read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b"0", b"1")
    Path(one.path, JOURNAL).write_bytes(b"".join(lines))
    told = []
    qbench.merge(["one"], "merged", registry=registry, on_event=lambda event: told.append(str(event)))
    assert any("damaged in line 6; what it had there is not merged" in text for text in told)
