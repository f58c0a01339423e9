"""People's votes: which of two reconstructions is nearer to the original. Reading files that reports export."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qbench.errors import StoreError
from qbench.store.imports import parse_json, read_given

FORMAT = 1
CHOICES = {"first": 1.0, "second": 0.0, "same": 0.5}
"""What a vote may say → the share of a win that the first has."""


@dataclass(frozen=True)
class Vote:
    """One choice of one person.

    Attributes:
        first, second: operating points.
        score: 1 where the first is nearer to the original, 0 where the second is, 0.5 where neither.
        voter: who; empty where nobody says.
    """

    image: str
    first: str
    second: str
    score: float
    voter: str
    at: str = ""


@dataclass(frozen=True)
class Ballots:
    """The votes of a file.

    Attributes:
        run, key: name of the run, and key of its plan; empty where the file doesn't say.
        codecs: operating point → codec, as far as the file says.
    """

    path: Path
    run: str
    key: str
    codecs: Mapping[str, str]
    votes: tuple[Vote, ...]


def read_votes(path: Path) -> Ballots:
    """Read a file that a report exported (JSON), or CSV with columns ``first``, ``second``, ``choice``.

    In CSV, ``choice`` is ``first``, ``second`` or ``same``; columns ``image`` and ``voter`` may be there.

    Raises:
        StoreError: it can't be read, or is no such file.
    """
    data = read_given(path)
    if path.suffix.lower() == ".csv":
        try:
            text = data.decode("utf-8-sig")
            first = text.partition("\n")[0]
            delimiter = max(",;\t", key=first.count)
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        except UnicodeDecodeError as error:
            raise StoreError(f"{path}: not UTF-8: {error.reason}") from error
        lacking = {"first", "second", "choice"} - set(reader.fieldnames or ())
        if lacking:
            there = ", ".join(reader.fieldnames or ()) or "none"
            told = f"no column {', '.join(sorted(lacking))} (has: {there}); votes have first, second and choice"
            raise StoreError(f"{path}: {told}")
        votes = tuple(_vote(path, f"row {number}", row, row.get("voter") or "") for number, row in enumerate(reader, 2))
        return Ballots(path, "", "", {}, votes)
    found = parse_json(path, data)
    if not isinstance(found, dict) or "qbench_votes" not in found:
        raise StoreError(f"{path}: no votes; a report's blind test exports them, or write CSV with first,second,choice")
    if found["qbench_votes"] != FORMAT:
        raise StoreError(f"{path}: votes of format {found['qbench_votes']!r}; this qbench reads {FORMAT}")
    listed, codecs = found.get("votes"), found.get("codecs")
    if not isinstance(listed, list) or not isinstance(codecs, dict):
        raise StoreError(f"{path}: damaged: `votes` is to be a list and `codecs` a mapping")
    voter = str(found.get("voter") or "")
    votes = tuple(_vote(path, f"vote {number}", each, voter) for number, each in enumerate(listed, 1))
    names = {str(point): str(codec) for point, codec in codecs.items()}
    return Ballots(path, str(found.get("run") or ""), str(found.get("key") or ""), names, votes)


def _vote(path: Path, where: str, found: Any, voter: str) -> Vote:
    if not isinstance(found, dict):
        raise StoreError(f"{path}: {where}: damaged: a vote is a mapping")
    first, second, choice = (found.get(name) for name in ("first", "second", "choice"))
    if not (isinstance(first, str) and isinstance(second, str) and first.strip() and second.strip()):
        raise StoreError(f"{path}: {where}: `first` and `second` are to name what was compared")
    if first == second:
        raise StoreError(f"{path}: {where}: {first} is compared with itself")
    if not isinstance(choice, str) or choice not in CHOICES:
        raise StoreError(f"{path}: {where}: choice {choice!r}; accepted: {', '.join(CHOICES)}")
    image, at = str(found.get("image") or ""), str(found.get("at") or "")
    return Vote(image, first, second, CHOICES[choice], voter, at)


def votes_of(ballots: Sequence[Ballots], *, mixed: bool = False) -> tuple[list[Vote], dict[str, str], list[str]]:
    """Return the votes of several files, their points' codecs, and what must be told.

    A vote that several files hold, as one was exported after the other, counts once.

    Args:
        mixed: take votes of different runs together.

    Raises:
        StoreError: files of different runs, or no votes.
    """
    known = next((each for each in ballots if each.key), None)
    for each in ballots:
        if known is not None and each.key and each.key != known.key and not mixed:
            raise StoreError(
                f"{each.path}: votes of another run ({each.run}) than {known.path} ({known.run}); "
                "rank them one by one, or together with --mixed"
            )
    votes: dict[object, Vote] = {}
    repeated = 0
    for file, each in enumerate(ballots):
        for number, vote in enumerate(each.votes):
            identity: object = (each.key, vote) if vote.voter and vote.at else (file, number)
            repeated += identity in votes
            votes.setdefault(identity, vote)
    if not votes:
        raise StoreError(f"{', '.join(str(each.path) for each in ballots)}: no votes")
    codecs = {point: codec for each in ballots for point, codec in each.codecs.items()}
    notes = [f"{repeated} of the votes are in several files, and count once"] if repeated else []
    return list(votes.values()), codecs, notes
