"""Reading files of votes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.errors import StoreError
from qbench.store.votes import read_votes, votes_of


def content(**changes):
    votes = [{"image": "cat", "first": "a:q=1", "second": "b:q=1", "choice": "first", "seconds": 1.2, "at": "t1"}]
    codecs = {"a:q=1": "a", "b:q=1": "b"}
    return {"qbench_votes": 1, "run": "run-1", "key": "k1", "voter": "v1", "codecs": codecs, "votes": votes, **changes}


@pytest.fixture
def written(tmp_path):
    def write(name="votes.json", **changes):
        path = tmp_path / name
        path.write_text(json.dumps(content(**changes)), encoding="utf-8")
        return path

    return write


def test_a_file_of_a_report(written):
    found = read_votes(written())
    assert (found.run, found.key, found.codecs) == ("run-1", "k1", {"a:q=1": "a", "b:q=1": "b"})
    (vote,) = found.votes
    assert (vote.image, vote.first, vote.second, vote.score, vote.voter) == ("cat", "a:q=1", "b:q=1", 1.0, "v1")


def test_csv(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,first,second,choice,voter\r\ncat,a:1,b:1,second,eve\r\ndog,a:2,b:1,same,\r\n")
    found = read_votes(path)
    assert [(vote.first, vote.score, vote.voter) for vote in found.votes] == [("a:1", 0.0, "eve"), ("a:2", 0.5, "")]
    path.write_text("first;second;choice\na:1;b:1;first\n")
    assert [(vote.first, vote.second) for vote in read_votes(path).votes] == [("a:1", "b:1")]
    path.write_text("first,choice\na,first\n")
    with pytest.raises(StoreError, match=r"no column second \(has: first, choice\); votes have"):
        read_votes(path)
    path.write_bytes(b"first,second,choice\n\xff,b,first\n")
    with pytest.raises(StoreError, match="not UTF-8"):
        read_votes(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"qbench_votes": 2}, "votes of format 2; this qbench reads 1"),
        ({"votes": 3}, "damaged: `votes` is to be a list"),
        ({"codecs": []}, "`codecs` a mapping"),
        ({"votes": [3]}, "vote 1: damaged: a vote is a mapping"),
        ({"votes": [{"first": "a", "second": "a", "choice": "same"}]}, "vote 1: a is compared with itself"),
        ({"votes": [{"first": "a", "second": "b", "choice": "left"}]}, "choice 'left'; accepted: first, second, same"),
        ({"votes": [{"first": "a", "second": "b", "choice": []}]}, "accepted: first, second, same"),
        ({"votes": [{"first": "a", "second": 1, "choice": "same"}]}, "`first` and `second` are to name"),
    ],
)
def test_damage_is_named(written, changes, message):
    with pytest.raises(StoreError) as found:
        read_votes(written(**changes))
    assert message in str(found.value)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "a.json"
    for text, message in (
        ("{", "not JSON"),
        ("[]", "no votes; a report's blind test exports them"),
        ('{"a": 1}', "no votes"),
    ):
        path.write_text(text)
        with pytest.raises(StoreError, match=message):
            read_votes(path)
    with pytest.raises(StoreError, match="can't read"):
        read_votes(tmp_path / "none.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_else_is_an_error_and_no_crash(tmp_path_factory, votes):
    path = tmp_path_factory.mktemp("votes") / "a.json"
    path.write_text(json.dumps(content(votes=[votes])), encoding="utf-8")
    with pytest.raises(StoreError):
        read_votes(path)


def test_what_was_exported_twice_counts_once(written):
    one = written("one.json")
    more = content()["votes"] + [{"first": "a:q=1", "second": "b:q=1", "choice": "same", "at": "t2"}]
    votes, codecs, notes = votes_of([read_votes(one), read_votes(written("two.json", votes=more))])
    assert len(votes) == 2
    assert codecs == {"a:q=1": "a", "b:q=1": "b"}
    assert notes == ["1 of the votes are in several files, and count once"]


def test_votes_of_other_runs_are_not_mixed(written):
    files = [read_votes(written("one.json")), read_votes(written("two.json", key="k2", run="run-2", voter="v2"))]
    with pytest.raises(StoreError, match=r"two\.json: votes of another run \(run-2\) than .*one\.json \(run-1\)"):
        votes_of(files)
    assert len(votes_of(files, mixed=True)[0]) == 2
    with pytest.raises(StoreError, match="no votes"):
        votes_of([read_votes(written("none.json", votes=[]))])
