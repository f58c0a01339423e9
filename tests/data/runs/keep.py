"""Make the run folder of the present version: ``python tests/data/runs/keep.py``; docs/run-folder.md says when.

What would tell whose machine it was (paths, the host's name) is replaced, with the lines' checksums to match. The
locations of the originals become relative to this folder.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

from qbench.store.migrations import FORMAT_VERSION

HERE = Path(__file__).resolve().parent
LINE = re.compile(r'\{"crc32":"[0-9a-f]{8}","record":(.*)\}')


def neutral(text: str) -> str:
    """Return JSON without the names of this machine."""
    text = text.replace(json.dumps(str(HERE / "images"))[:-1], '"images')
    for name, stand_in in (("host", "example"), ("system", "Linux")):
        text = re.sub(rf'("{name}":\s*)"[^"]*"', rf'\1"{stand_in}"', text)
    return re.sub(r'("command":\s*\[\s*)"[^"]*"', r'\1"qbench"', text)


def line(text: str) -> str:
    """Return a line of a journal without the names of this machine."""
    match = LINE.fullmatch(text)
    if match is None:
        return text
    body = neutral(match[1])
    return f'{{"crc32":"{zlib.crc32(body.encode()):08x}","record":{body}}}'


def main() -> None:
    """Run the suite, and name the folder after its version."""
    kept = HERE / f"v{FORMAT_VERSION}"
    if kept.exists():
        sys.exit(f"{kept} exists: a kept folder is never made anew; raise FORMAT_VERSION first (docs/run-folder.md)")
    folder = HERE / "new"
    options = ["--output", folder.name, "--no-cache", "--no-report", "--quiet", "--jobs", "1", "--device", "cpu"]
    subprocess.run([sys.executable, "-m", "qbench", "run", "suite.yaml", *options], cwd=HERE, check=True)
    journal, provenance = folder / "journal.jsonl", folder / "provenance.json"
    lines = journal.read_text(encoding="utf-8").splitlines()
    journal.write_text("".join(f"{line(text)}\n" for text in lines), encoding="utf-8", newline="\n")
    provenance.write_text(neutral(provenance.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    (folder / "lock").unlink(missing_ok=True)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.rename(kept)


if __name__ == "__main__":
    main()
