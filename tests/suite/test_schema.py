from __future__ import annotations

import jsonschema
import pytest
import yaml
from conftest import REPOSITORY

from qbench.suite.schema import suite_schema


@pytest.fixture(scope="module")
def validator(registry):
    schema = suite_schema(registry)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "suites").glob("*.yaml")), ids=lambda path: path.name)
def test_our_suites_are_valid(path, validator):
    validator.validate(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    "codecs",
    [
        {"jpeg": {"quality": 5}},
        {"jpeg": None},
        {"jpeg": {"quality": [5, 10], "subsampling": ["4:2:0"]}},
        {"mine": {"codec": "jpeg", "quality": 5}},
    ],
)
def test_accepts(codecs, validator):
    validator.validate(
        {"images": [{"dataset": "samples"}], "codecs": codecs, "metrics": ["psnr", {"x": {"metric": "ssim"}}]}
    )


@pytest.mark.parametrize(
    "change",
    [
        {"codecs": {"jpeg": {"quality": 500}}},
        {"codecs": {"jpeg": {"qualty": 5}}},
        {"codecs": {"mine": {"quality": 5}}},
        {"codecs": {"mine": {"codec": "nothing"}}},
        {"metrics": ["nothing"]},
        {"images": [{"dataset": "nothing"}]},
        {"images": [{"folder": "a", "glob": "b"}]},
        {"extra": 1},
        {"seed": "x"},
    ],
)
def test_refuses(change, validator):
    good = {"images": [{"dataset": "samples"}], "codecs": {"jpeg": None}, "metrics": ["psnr"]}
    assert not validator.is_valid({**good, **change})
