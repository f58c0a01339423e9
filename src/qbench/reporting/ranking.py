"""A ranking out of people's votes: which of two reconstructions is nearer to the original (Bradley & Terry 1952)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qbench.errors import QbenchError, did_you_mean
from qbench.store.votes import CHOICES, Vote

BY = ("codec", "point")
ELO = 400 / math.log(10)
"""Elo points of one unit of log-odds: 400 points are odds of 10 to 1."""
MEAN = 1500.0
NORMAL = 1.959963984540054
"""The 0.975 quantile of the normal distribution."""
MOST_NAMED = 6
MOST_STEPS = 100_000
FEWEST_VOTERS = 8
"""People below whom intervals are over votes, as if all were independent."""
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rating:
    """What votes say of a codec or an operating point.

    Attributes:
        elo: its strength; 400 points more are odds of 10 to 1. The mean of all is 1500.
        low, high: 95 % interval.
        votes: how many it was in.
        won: the share of them that it won; a tie is half a win.
    """

    name: str
    elo: float
    low: float
    high: float
    votes: int
    won: float


@dataclass(frozen=True)
class Ranking:
    """Ratings, the best first.

    Attributes:
        by: ``codec`` or ``point``.
        votes, voters, ties: how many there are.
        notes: what one must know to read it.
    """

    by: str
    ratings: tuple[Rating, ...]
    votes: int
    voters: int
    ties: int
    notes: tuple[str, ...] = ()


def rank(votes: Sequence[Vote], by: str, codecs: Mapping[str, str], notes: Sequence[str] = ()) -> Ranking:
    """Rank codecs, or operating points, by the strengths of Bradley and Terry that make votes likeliest.

    A tie is half a win of each. Intervals are of the maximum-likelihood estimate: with eight or more people of the
    cluster-robust covariance (White 1982) with Student's t, as one person's votes have much in common; else of the
    inverse information.

    Args:
        by: ``codec`` or ``point``.
        codecs: operating point → codec; of others it is what stands before the colon.

    Raises:
        QbenchError: ``by`` is neither, or fewer than two to compare.
    """
    if by not in BY:
        raise QbenchError(f"can't rank by `{by}`{did_you_mean(by, BY)}; accepted: {', '.join(BY)}")

    def named(point: str) -> str:
        return point if by == "point" else codecs.get(point, point.partition(":")[0])

    pairs = [(named(vote.first), named(vote.second), vote) for vote in votes]
    within = sum(first == second for first, second, _ in pairs)
    pairs = [each for each in pairs if each[0] != each[1]]
    names = list(dict.fromkeys(name for first, second, _ in pairs for name in (first, second)))
    if len(names) < 2:
        raise QbenchError(f"no votes between two {by}s")
    places = {name: place for place, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for first, second, vote in pairs:
        one, other = places[first], places[second]
        wins[one, other] += vote.score
        wins[other, one] += 1 - vote.score
    names, wins, apart = _connected(names, wins)
    places = {name: place for place, name in enumerate(names)}
    pairs = [each for each in pairs if each[0] in places and each[1] in places]
    unbeaten = [name for name, place in places.items() if not wins[:, place].any() or not wins[place].any()]
    finite = _strongly_connected(wins)
    strengths = _strengths(wins, finite=finite)
    told = list(notes)
    if apart:
        some = f"{', '.join(apart[:MOST_NAMED])}{' …' if len(apart) > MOST_NAMED else ''}"
        told.append(f"left out, as no votes connect them with the others: {some}")
    if within:
        told.append(f"{within} votes between points of one codec are left out")
    if not finite:
        whom = f"{', '.join(unbeaten)} won, or lost, all of its votes" if unbeaten else "some never won against others"
        told.append(f"{whom}, which has no finite rating: each has one tie with a codec of 1500 on top")
    voters = {vote.voter for _, _, vote in pairs if vote.voter}
    errors, clustered = _errors(pairs, places, wins, strengths, finite=finite)
    told.append("intervals are over " + (f"{len(voters)} people" if clustered else "votes, as if all were independent"))
    spread = _student(len(voters) - 1) if clustered else NORMAL
    totals = wins.sum(axis=1) + wins.sum(axis=0)
    elo = MEAN + ELO * (strengths - strengths.mean())
    ratings = [
        Rating(
            name,
            float(elo[place]),
            float(elo[place] - spread * ELO * errors[place]),
            float(elo[place] + spread * ELO * errors[place]),
            round(totals[place]),
            float(wins[place].sum() / totals[place]),
        )
        for name, place in places.items()
    ]
    ratings.sort(key=lambda each: (-each.elo, each.name))
    ties = sum(vote.score == CHOICES["same"] for _, _, vote in pairs)
    return Ranking(by, tuple(ratings), len(pairs), len(voters), ties, tuple(told))


def _connected(names: Sequence[str], wins: Array) -> tuple[list[str], Array, list[str]]:
    """Return the largest group that votes connect, its wins, and the others: nothing says how these compare."""
    left = np.ones(len(names), np.bool_)
    groups = []
    while left.any():
        edges = ((wins + wins.T) > 0) & left[None] & left[:, None]
        first = int(np.flatnonzero(left)[0])
        group = _reached(edges, first)
        groups.append(group)
        left &= ~group
    largest = max(groups, key=lambda group: float(wins[group].sum()))
    kept = [int(place) for place in np.flatnonzero(largest)]
    return (
        [names[place] for place in kept],
        wins[np.ix_(kept, kept)],
        [name for name, there in zip(names, largest, strict=True) if not there],
    )


def _student(degrees: int) -> float:
    """Return the 0.975 quantile of Student's t, by which few people's intervals hold what they say."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def _strongly_connected(wins: Array) -> bool:
    """Say whether each won against every other, directly or by a chain, without which strengths are infinite."""
    return bool(_reached(wins > 0).all() and _reached((wins > 0).T).all())


def _reached(edges: npt.NDArray[np.bool_], first: int = 0) -> npt.NDArray[np.bool_]:
    """Return what can be reached from one along edges."""
    found = np.zeros(len(edges), np.bool_)
    found[first] = True
    while True:
        further = found | edges[found].any(axis=0)
        if (further == found).all():
            return found
        found = further


def _strengths(wins: Array, *, finite: bool) -> Array:
    """Return log-strengths; where they would be infinite, with a tie of each with one of average strength."""
    import choix

    if finite:
        return np.array(choix.ilsr_pairwise_dense(wins, max_iter=MOST_STEPS), np.float64)
    found: Array = np.asarray(choix.ilsr_pairwise_dense(_with_average(wins), max_iter=MOST_STEPS), np.float64)
    relative: Array = found[:-1] - found[-1]
    return relative


def _with_average(wins: Array) -> Array:
    padded = np.zeros((len(wins) + 1, len(wins) + 1))
    padded[:-1, :-1] = wins
    padded[-1, :-1] = padded[:-1, -1] = 0.5
    return padded


def _errors(
    pairs: Sequence[tuple[str, str, Vote]], places: Mapping[str, int], wins: Array, strengths: Array, *, finite: bool
) -> tuple[Array, bool]:
    """Return standard errors of strengths about their mean, and whether they are over people."""
    count = len(strengths)
    chance = 1 / (1 + np.exp(strengths[None] - strengths[:, None]))  # of the row against the column
    numbers = wins + wins.T
    weights = numbers * chance * chance.T
    information = np.diag(weights.sum(axis=1)) - weights
    if not finite:
        average = 1 / (1 + np.exp(-strengths))
        information += np.diag(average * (1 - average))
    centred = np.eye(count) - 1 / count
    inverse: Array = centred @ np.linalg.pinv(information) @ centred
    gradients: dict[str, Array] = {}
    for first, second, vote in pairs:
        one, other = places[first], places[second]
        pull = vote.score - chance[one, other]
        gradient = gradients.setdefault(vote.voter, np.zeros(count))
        gradient[one] += pull
        gradient[other] -= pull
    voters = len(gradients)
    if "" in gradients or voters < FEWEST_VOTERS:
        return np.sqrt(np.diag(inverse)), False
    stacked = np.array(list(gradients.values()))
    meat = voters / (voters - 1) * stacked.T @ stacked
    return np.sqrt(np.diag(inverse @ meat @ inverse)), True
