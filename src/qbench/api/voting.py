"""Rankings out of people's votes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qbench.api.finding import AnyRun, read_run
from qbench.errors import QbenchError, did_you_mean
from qbench.reporting.ranking import Ranking, rank
from qbench.store.votes import read_votes, votes_of


def votes(
    paths: str | Path | Sequence[str | Path], *, run: AnyRun | None = None, by: str = "codec", mixed: bool = False
) -> Ranking:
    """Rank codecs by the votes that people gave in the blind test of a report.

    Args:
        paths: files that reports exported; or CSV with columns ``first``, ``second`` and ``choice``.
        run: which the votes must be of.
        by: ``"codec"`` or ``"point"``.
        mixed: take votes of different runs together.

    Returns:
        Ratings on Elo's scale with 95 % intervals, the best first.

    Raises:
        QbenchError: a file can't be read, or is of another run; no votes, or some that nothing connects.
    """
    ballots = [read_votes(Path(path)) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    if not ballots:
        raise QbenchError("no files are given")
    places = [each.path.resolve() for each in ballots]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise QbenchError(f"{ballots[index].path}: is given twice")
    codecs: dict[str, str] = {}
    if run is not None:
        found = read_run(run)
        codecs = {point.id: point.label for point in found.plan.points}
        key = found.plan.key()
        for each in ballots:
            if each.key and each.key != key:
                raise QbenchError(f"{each.path}: votes of another run ({each.run}) than {found.name}")
            for vote in each.votes:
                for point in (vote.first, vote.second):
                    if point not in codecs:
                        raise QbenchError(
                            f"{each.path}: no operating point `{point}` in {found.name}{did_you_mean(point, codecs)}"
                        )
    given, named, notes = votes_of(ballots, mixed=mixed)
    return rank(given, by, {**named, **codecs}, notes)
