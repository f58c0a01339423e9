from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbench.errors import SuiteError
from qbench.suite.document import dump, parse, parse_value

TEXT = """\
# a comment
seed: 3
codecs:
  jpeg:
    quality: [10, 50]
    subsampling: 4:2:0
"""


def test_remembers_where_values_and_keys_stand():
    document = parse(TEXT, "s.yaml")
    assert document.where(("seed",)) == "s.yaml:2:7"
    assert document.where(("codecs", "jpeg", "quality", 1)) == "s.yaml:5:19"
    assert document.where(("codecs", "jpeg", "quality"), key=True) == "s.yaml:5:5"


def test_an_unknown_path_is_placed_at_what_surrounds_it():
    document = parse(TEXT, "s.yaml")
    assert document.where(("codecs", "jpeg", "effort")) == document.where(("codecs", "jpeg"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4:2:0", "4:2:0"),  # YAML 1.1: 14520
        ("1e-4", 1e-4),  # YAML 1.1: text
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("no", "no"),  # YAML 1.1: false
        ("on", "on"),
        ("true", True),
        ("010", 10),  # YAML 1.1: 8
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("-7", -7),
        ("~", None),
        ("null", None),
        ("2022-06-01", "2022-06-01"),  # YAML 1.1: a date
        ("[10, 50]", [10, 50]),
        ("", None),
        ("'5'", "5"),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    assert parse_value(text, "--set") == value
    assert type(parse_value(text, "--set")) is type(value)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: [1\nb: 2", "s.yaml:2:2", "not valid YAML"),
        ("a: 1\nb: 2\na: 3", "s.yaml:3:1", "duplicate key; first defined at s.yaml:1:1"),
        ("? [1, 2]\n: 3", "s.yaml:1:3", "keys must be plain text"),
        ("a: &x [*x]", "s.yaml:1:", "contains itself"),
        ("a: !!python/object:os.system 1", "s.yaml:1:4", "not valid YAML"),
        ("", "s.yaml", "the file is empty"),
        ("a: \x00", "s.yaml", "not valid YAML"),
        ("a: *nowhere", "s.yaml:1:4", "undefined alias"),
    ],
)
def test_what_is_wrong_is_placed(text, where, what):
    with pytest.raises(SuiteError) as caught:
        parse(text, "s.yaml")
    assert str(caught.value).startswith(where)
    assert what in str(caught.value)


def test_aliases_of_aliases_do_not_exhaust_memory():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(SuiteError, match="expands to more than"):
        parse("\n".join(lines), "bomb.yaml")


def test_replace_makes_mappings_on_the_way_and_moves_positions():
    document = parse("codecs:\n  jpeg:\n", "s.yaml")
    document.replace(("codecs", "jpeg", "quality"), [1, 2], "--set q")
    assert document.data == {"codecs": {"jpeg": {"quality": [1, 2]}}}
    assert document.where(("codecs", "jpeg", "quality", 1)) == "--set q"
    document.replace(("codecs", "jpeg"), None, "--set none")
    assert document.data == {"codecs": {}}


@pytest.mark.parametrize("path", [("seed", "deep"), ("list", 7), ("list", "x"), ("list", 5, "x")])
def test_replace_refuses_what_has_no_place(path):
    document = parse("seed: 1\nlist: [1, 2]", "s.yaml")
    with pytest.raises(SuiteError, match="nothing can be set below"):
        document.replace(path, 1, "--set")


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@given(PLAIN.filter(lambda value: value is not None))
def test_what_is_written_is_read_back(value):
    found = parse(dump({"value": value}), "s.yaml").data["value"]
    assert found == value
    assert type(found) is type(value)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text):
    try:
        parse(text, "s.yaml")
    except SuiteError as error:
        assert str(error).startswith("s.yaml")


def test_python_data_becomes_plain():
    data = {
        "path": Path("a/b"),
        "number": np.float32(0.5),
        "count": np.int64(3),
        "range": range(3),
        "all": np.arange(2),
    }
    assert parse(dump(data), "s").data == {"path": "a/b", "number": 0.5, "count": 3, "range": [0, 1, 2], "all": [0, 1]}
    for text in ("1e3", "0E0", "089", "yes", "4:2:0", "null", "~", "2024-01-01", "0x1F"):
        assert parse(dump({text: text}), "s").data == {text: text}
    with pytest.raises(SuiteError, match="is not accepted; accepted: text, numbers"):
        dump({"images": object()})


@pytest.mark.parametrize(
    "text",
    [
        "!!float ''",
        "!!timestamp x",
        "!!int ''",
        "!!bool x",
        "!!binary '*'",
        "!!null x",
        "!!omap 3",
        "!!python/object:os.x y",
    ],
)
def test_tags_that_do_not_fit_are_refused(text):
    try:
        parse(f"a: {text}", "s.yaml")
    except SuiteError as error:
        assert "s.yaml:1:4" in str(error)


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "{b: " * 3000, "- " * 5000 + "x"])
def test_what_is_nested_without_end_is_refused(text):
    with pytest.raises(SuiteError, match=r"s\.yaml"):
        parse(text, "s.yaml")


def test_a_range_without_end_is_refused_before_it_is_counted():
    with pytest.raises(SuiteError, match=r"range\(0, 1000000000000\) has more than 200000 values"):
        dump({"seed": range(10**12)})
