"""What verifying a run found, for a terminal or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.errors import shown
from qbench.execute.verifying import Finding, Verdict

WORDS = {
    Verdict.SAME: "decode to the pixels that were measured",
    Verdict.DIFFERS: "decode to other pixels here",
    Verdict.ALTERED: "are not those that were measured",
    Verdict.UNDECODABLE: "can't be decoded here",
    Verdict.NOT_KEPT: "are not kept",
}


def print_verification(
    console: Console, findings: Sequence[Finding], other_versions: Sequence[str], device: str
) -> None:
    """Print the counts, then every cell that is not as it was measured."""

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    counts = Counter(finding.bitstream for finding in findings)
    say(f"{len(findings)} coded cells, decoded on {device}")
    for verdict, words in WORDS.items():
        if counts[verdict]:
            say(f"{counts[verdict]} bitstreams {words}", "" if verdict in (Verdict.SAME, Verdict.NOT_KEPT) else "red")
    altered = sum(finding.reconstruction is Verdict.ALTERED for finding in findings)
    if altered:
        say(f"{altered} kept reconstructions {WORDS[Verdict.ALTERED]}", "red")
    for text in other_versions:
        say(shown(text), "yellow")
    bad = [finding for finding in findings if not finding.good]
    if bad:
        table = Table("image", "operating point", "bitstream", "reconstruction", "what", box=box.SIMPLE_HEAD)
        for finding in bad:
            cells = (finding.image, finding.point, finding.bitstream, finding.reconstruction, _what(finding))
            table.add_row(*(Text(shown(cell)) for cell in cells))
        console.print(table)


def _what(finding: Finding) -> str:
    if finding.bitstream is not Verdict.DIFFERS:
        return finding.reason
    if finding.rms is None:
        return "how much is unknown, as no reconstruction is kept"
    return f"{finding.differing} samples, by at most {finding.largest} levels (root mean square {finding.rms:.4f})"


def verification_json(findings: Sequence[Finding], other_versions: Sequence[str], device: str) -> str:
    """Return the same as JSON."""
    content: dict[str, Any] = {
        "device": device,
        "other_versions": list(other_versions),
        "counts": {str(verdict): sum(finding.bitstream is verdict for finding in findings) for verdict in Verdict},
        "cells": [
            {
                "image": finding.image,
                "point": finding.point,
                "bitstream": str(finding.bitstream),
                "reconstruction": str(finding.reconstruction),
                "reason": finding.reason,
                "differing_samples": finding.differing,
                "largest": finding.largest,
                "rms": finding.rms,
            }
            for finding in findings
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
