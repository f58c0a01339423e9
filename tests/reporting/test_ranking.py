"""Rankings by votes: strengths, intervals, and what can't be ranked."""

from __future__ import annotations

import math

import choix
import numpy as np
import pytest

from qbench.errors import QbenchError
from qbench.reporting.ranking import ELO, rank
from qbench.reporting.ranking_table import ranking_sheet
from qbench.store.votes import Vote

STRENGTHS = {"avif": 0.9, "webp": 0.3, "jpeg": -0.4, "mine": -0.8}


def made_up(rng, count, strengths=STRENGTHS, ties=0.1, voters=0, spread=0.0):
    """Return votes of people who see the strengths, and now and then no difference."""
    names = list(strengths)
    own = [{name: strengths[name] + rng.normal(0, spread) for name in names} for _ in range(voters or 1)]
    votes = []
    for number in range(count):
        voter = number % voters if voters else 0
        first, second = rng.choice(names, 2, replace=False)
        chance = 1 / (1 + math.exp(own[voter][second] - own[voter][first]))
        score = 0.5 if rng.random() < ties else float(rng.random() < chance)
        votes.append(Vote("i", f"{first}:q=1", f"{second}:q=2", score, f"v{voter}" if voters else ""))
    return votes


def test_two_codecs_have_the_odds_of_their_votes():
    votes = [Vote("i", "a:q=1", "b:q=1", 1.0, "")] * 30 + [Vote("i", "b:q=1", "a:q=1", 1.0, "")] * 10
    first, second = rank(votes, "codec", {}).ratings
    assert (first.name, second.name) == ("a", "b")
    assert first.elo - second.elo == pytest.approx(400 * math.log10(3))
    assert first.elo + second.elo == pytest.approx(3000)
    # Of the log-odds of 30 to 10 the variance is 1/30 + 1/10; each rating has half of them.
    assert (first.high - first.low) / 2 == pytest.approx(1.959964 * ELO * math.sqrt(1 / 30 + 1 / 10) / 2, rel=1e-6)
    assert (first.votes, first.won) == (40, 0.75)


def test_strengths_are_the_likeliest():
    votes = made_up(np.random.default_rng(1), 600, ties=0)
    places = {name: place for place, name in enumerate(STRENGTHS)}
    data = []
    for vote in votes:
        first, second = (places[name.partition(":")[0]] for name in (vote.first, vote.second))
        data.append((first, second) if vote.score else (second, first))
    expected = choix.opt_pairwise(4, data, alpha=0)
    found = {each.name: each.elo for each in rank(votes, "codec", {}).ratings}
    for name, place in places.items():
        assert found[name] == pytest.approx(1500 + ELO * (expected[place] - expected.mean()), abs=0.05)


def truth(spread):
    """Return what very many votes say; people whose tastes differ choose nearer to even than each one's own odds."""
    if not spread:
        middle = np.mean(list(STRENGTHS.values()))
        return {name: 1500 + ELO * (strength - middle) for name, strength in STRENGTHS.items()}
    votes = made_up(np.random.default_rng(9), 40_000, ties=0.0, voters=2000, spread=spread)
    return {each.name: each.elo for each in rank(votes, "codec", {}).ratings}


@pytest.mark.parametrize(("voters", "spread"), [(0, 0.0), (20, 0.0), (20, 0.8)])
def test_intervals_hold_what_they_say(voters, spread):
    """Over people whose tastes differ, too; with twenty of them a little less, as sandwiches do."""
    rng, expected = np.random.default_rng(0), truth(spread)
    held = []
    for _ in range(150):
        found = rank(made_up(rng, 400, ties=0.0, voters=voters, spread=spread), "codec", {})
        held += [each.low <= expected[each.name] <= each.high for each in found.ratings]
    assert 0.90 <= np.mean(held) <= 0.98


def test_ties_are_half_a_win():
    votes = [Vote("i", "a:q=1", "b:q=1", 0.5, "x")] * 10
    found = rank(votes, "codec", {})
    assert [each.elo for each in found.ratings] == pytest.approx([1500, 1500])
    assert found.ties == 10
    assert "10 without a difference" in ranking_sheet(found).notes[0]


def test_who_won_everything_has_a_finite_rating_and_that_is_said():
    votes = [Vote("i", "a:q=1", "b:q=1", 1.0, "")] * 5 + [Vote("i", "b:q=1", "c:q=1", 1.0, "")] * 5
    found = rank(votes, "codec", {})
    assert [each.name for each in found.ratings] == ["a", "b", "c"]
    assert all(math.isfinite(each.low) and math.isfinite(each.high) for each in found.ratings)
    assert any("a, c won, or lost, all of its votes" in note for note in found.notes)


def test_what_nothing_connects_is_not_ranked():
    votes = [Vote("i", "a:q=1", "b:q=1", 1.0, "")] * 3 + [Vote("i", "c:q=1", "d:q=1", 1.0, "")]
    found = rank(votes, "codec", {})
    assert [each.name for each in found.ratings] == ["a", "b"]
    assert found.votes == 3
    assert "left out, as no votes connect them with the others: c, d" in found.notes


def test_by_operating_point_and_votes_within_a_codec():
    votes = [
        Vote("i", "a:q=1", "a:q=2", 0.0, ""),
        Vote("i", "a:q=2", "a:q=1", 0.0, ""),
        Vote("i", "a:q=1", "b", 1.0, ""),
        Vote("i", "b", "a:q=2", 1.0, ""),
    ]
    assert {each.name for each in rank(votes, "point", {}).ratings} == {"a:q=1", "a:q=2", "b"}
    by_codec = rank(votes, "codec", {"b": "B"})
    assert {each.name for each in by_codec.ratings} == {"a", "B"}
    assert "2 votes between points of one codec are left out" in by_codec.notes
    with pytest.raises(QbenchError, match="no votes between two codecs"):
        rank(votes[:2], "codec", {})
    with pytest.raises(QbenchError, match="can't rank by `codecs`; did you mean `codec`"):
        rank(votes, "codecs", {})


def test_people_or_votes():
    rng = np.random.default_rng(2)
    assert "intervals are over 12 people" in rank(made_up(rng, 300, voters=12), "codec", {}).notes
    assert any("over votes" in note for note in rank(made_up(rng, 300, voters=3), "codec", {}).notes)


def test_the_table():
    sheet = ranking_sheet(rank(made_up(np.random.default_rng(3), 300, voters=2), "codec", {}))
    assert sheet.headings == ("codec", "Elo", "95 % interval", "votes", "won")
    assert sheet.lines[0][0] == "avif"
    assert [record["rank"] for record in sheet.records] == [1, 2, 3, 4]
    assert sheet.notes[0].startswith("300 votes of 2 people")
