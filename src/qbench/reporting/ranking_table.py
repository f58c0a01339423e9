"""A ranking as people and programs read it."""

from __future__ import annotations

from dataclasses import asdict

from qbench.reporting.costs import Sheet
from qbench.reporting.ranking import Ranking


def ranking_sheet(found: Ranking) -> Sheet:
    """Return the table: a line for each codec or operating point, the best first."""
    lines: list[tuple[str, ...]] = [
        (each.name, f"{each.elo:.0f}", f"{each.low:.0f} to {each.high:.0f}", str(each.votes), f"{100 * each.won:.0f} %")
        for each in found.ratings
    ]
    headings = ({"point": "operating point"}.get(found.by, found.by), "Elo", "95 % interval", "votes", "won")
    people = f" of {found.voters} {'person' if found.voters == 1 else 'people'}" if found.voters else ""
    ties = f", {found.ties} without a difference" if found.ties else ""
    given = f"{found.votes} vote{'s' * (found.votes != 1)}"
    notes = (
        f"{given}{people}{ties}; 400 points more are odds of 10 to 1 (Bradley & Terry 1952)",
        *found.notes,
    )
    records = [{"rank": place, **asdict(each)} for place, each in enumerate(found.ratings, 1)]
    return Sheet("Ranking by votes", headings, lines, records, notes)
