"""Run folders of strangers: whatever is in them, commands that read say what is wrong or show them."""

from __future__ import annotations

import io
import json
import random
import shutil
import zlib
from pathlib import Path

import pytest

import qbench
from qbench.api.explaining import original
from qbench.errors import QbenchError
from qbench.reporting import costs, formats, story
from qbench.reporting.console import Console
from qbench.reporting.curves import curve_metrics
from qbench.reporting.page.writing import write_page
from qbench.reporting.runs import runs_table
from qbench.store.journal import read_journal

DEEP = "[" * 400 + "]" * 400
VALUES = (
    *("null", "-1", "0", "1e308", "-1e308", "1e999", "NaN", "-Infinity", "1" + "0" * 400, "1" + "0" * 5000),
    *("true", "[]", "{}", '""', '"x"', '"Infinity"', '"../../../../etc/passwd"', '"/dev/zero"', '"\\u0000"', DEEP),
    *('"\\u001b[31m\\n\\r"', '"=cmd|x"', '"\\ud800"', f'"{"y" * 100_000}"', '["a", 1, null]', '{"a": {"b": [1]}}'),
    *('"<script>alert(1)</script>"', '"\\\\input{/etc/passwd}"', "3.5", "9223372036854775808", '"coded"', '"1e3"'),
)
"""JSON texts, as some can't be written by a JSON library."""


AT_ONCE = 4
"""Commands that a damaged folder is tried with."""


def places(value, path=()):
    """Return the paths of all values in a document."""
    found = [path]
    if isinstance(value, dict):
        found += [place for key, each in value.items() for place in places(each, (*path, key))]
    elif isinstance(value, list):
        found += [place for index, each in enumerate(value) for place in places(each, (*path, index))]
    return found


def mutated_record(body: bytes, rng: random.Random) -> bytes:
    """Change a record at one to three places: a value replaced, a key removed or renamed."""
    document = json.loads(body)
    marks = {}
    for number in range(rng.randint(1, 3)):
        *way, last = rng.choice(places(document)[1:])
        holder = document
        for step in way:
            holder = holder[step]
        kind = rng.random()
        if kind < 0.15 and isinstance(holder, dict):
            del holder[last]
        elif kind < 0.25 and isinstance(holder, dict):
            holder[rng.choice(["", "kind", "key", f"{last}x"])] = holder.pop(last)
        elif kind < 0.35 and isinstance(holder, list):
            holder *= rng.choice([0, 2, 50])
        else:
            marks[f"mark-{number}-mark"] = rng.choice(VALUES)
            holder[last] = f"mark-{number}-mark"
    text = json.dumps(document)
    for mark, value in marks.items():
        text = text.replace(f'"{mark}"', value)
    return text.encode()


def checked_line(body: bytes) -> bytes:
    return b'{"crc32":"%08x","record":%s}' % (zlib.crc32(body), body)


def mutate(folder: Path, rng: random.Random) -> None:
    """Damage a run folder in one way: as chance does it, or as somebody does who knows the format."""
    journal = folder / "journal.jsonl"
    data = journal.read_bytes()
    kind = rng.random()
    if kind < 0.7:
        lines = data.split(b"\n")
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            index = rng.randrange(1, len(lines) - 1)
            body = lines[index].partition(b'"record":')[2][:-1]
            try:
                body = mutated_record(body, rng)
            except (ValueError, IndexError, RecursionError):  # of one that is mutated already
                continue
            lines[index] = checked_line(body)
        data = b"\n".join(lines)
    elif kind < 0.85:
        changed = bytearray(data)
        for _ in range(rng.choice([1, 3, 40])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        data = bytes(changed)
    elif kind < 0.95:
        lines = data.split(b"\n")
        rng.shuffle(lines) if rng.random() < 0.3 else lines.insert(rng.randrange(len(lines)), rng.randbytes(50))
        data = b"\n".join(lines)[: rng.randrange(1, len(data))] if rng.random() < 0.5 else b"\n".join(lines)
    else:
        victim = rng.choice([path for path in folder.rglob("*") if path.is_file()])
        victim.write_bytes(rng.choice([b"", b"\x89PNG\r\n\x1a\n", victim.read_bytes()[:-5]]))
        data = journal.read_bytes()
    journal.write_bytes(data)


def look_at(folder: Path, whole: qbench.Run, rng: random.Random) -> str:
    """Use a folder as every command that reads does; return how far it came."""
    try:
        run = qbench.load_run(folder)
    except QbenchError:
        return "refused"
    steps = [
        lambda: runs_table([run], 100),
        lambda: story.print_run(Console(file=io.StringIO()), run),
        lambda: run.failures,
        *(lambda form=form: formats.write_text(run, form, formats.View()) for form in formats.TEXT_FORMATS),
        lambda: formats.write_text(run, "latex", formats.View(by="codec")),
        lambda: formats.write_text(run, "csv", formats.View(sheet=costs.timings_sheet(run))),
        lambda: formats.write_text(run, "csv", formats.View(sheet=costs.complexity_sheet(run))),
        lambda: write_page(folder / "report.html", [run], original, [{}]),
        lambda: qbench.compare(run, whole),
        lambda: qbench.bd_rates(run, next(iter(curve_metrics(run)), "psnr"), "jpeg", intervals=False),
        lambda: qbench.verify(run),
        lambda: qbench.export(run, "codec-compare", folder / "exported"),
    ]
    steps = rng.sample(steps, AT_ONCE)  # all of them together try every one on hundreds of folders
    if rng.random() < 0.02:
        steps.append(lambda: qbench.plot(run, folder / "plot.svg"))
        steps.append(lambda: qbench.score(run, "mse", cache=False, output=folder / "copy"))
    came = "shown"
    for step in steps:
        try:
            step()
        except QbenchError:
            came = "partly"
    return came


def try_folders(count: int, seed: int, whole: qbench.Run) -> dict[str, int]:
    rng = random.Random(seed)
    came: dict[str, int] = {}
    for number in range(count):
        folder = Path("damaged") / str(number)
        shutil.copytree(whole.path, folder)
        mutate(folder, rng)
        try:
            how = look_at(folder, whole, rng)
        except BaseException as error:
            raise AssertionError(f"folder {number} of seed {seed}: {error!r:.300}") from error
        came[how] = came.get(how, 0) + 1
        shutil.rmtree(folder)
    return came


@pytest.fixture
def whole(photos):
    suite = {
        "name": "whole",
        "images": [{"folder": str(photos), "limit": 2}],
        "codecs": {"jpeg": {"quality": [10, 40, 70, 90]}, "png": None},
        "metrics": ["bpp", "psnr"],
    }
    return qbench.run(suite, output="whole")


def test_24_damaged_folders(whole):
    came = try_folders(24, 0, whole)
    assert came["shown"] > 3


@pytest.mark.parametrize("lost", ["libraries", "weights", "parameters", "version", "name"])
def test_a_run_whose_identities_say_less_is_still_shown_scored_and_exported(whole, lost):
    journal = whole.path / "journal.jsonl"
    head, line, *rest = journal.read_bytes().split(b"\n")
    record = json.loads(line)["record"]
    for each in (*record["plan"]["points"], *record["plan"]["metrics"]):
        del each["identity"][lost]
    body = json.dumps(record).encode()
    journal.write_bytes(b"\n".join([head, checked_line(body), *rest]))
    run = qbench.load_run(whole.path)
    for form in formats.TEXT_FORMATS:
        formats.write_text(run, form, formats.View())
    story.print_run(Console(file=io.StringIO()), run)
    qbench.export(run, "codec-compare", "exported")
    assert qbench.score(run, "mse", cache=False, output="copy").failures == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_5000_damaged_folders(whole, seed):
    came = try_folders(625, seed, whole)
    assert min(came.values()) > 5, came


def test_the_journal_of_the_tests_is_what_they_take_it_for(whole):
    contents = read_journal(whole.path / "journal.jsonl")
    assert len(contents.records) > 20
    assert not contents.damaged
