"""docs/api.md lists exactly what is public."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

import pytest
from conftest import REPOSITORY

import qbench.toolkit

MODULES = ["qbench", "qbench.plugin", "qbench.testing", "qbench.testing.accelerator"] + [
    f"qbench.toolkit.{module.name}"
    for module in pkgutil.iter_modules(qbench.toolkit.__path__)
    if not module.name.startswith("_")
]


def listed():
    text = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
    parts = re.split(r"^## `([\w.]+)`.*$", text, flags=re.MULTILINE)[1:]
    return {
        module: [
            name for line in re.findall(r"^- (`.+`):", body, re.MULTILINE) for name in re.findall(r"`(\w+)`", line)
        ]
        for module, body in zip(parts[::2], parts[1::2], strict=True)
    }


def test_every_public_module_is_listed():
    assert sorted(listed()) == sorted(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_listed_and_there(module):
    imported = import_module(module)
    assert sorted(listed()[module]) == sorted(imported.__all__)
    for name in imported.__all__:
        assert getattr(imported, name) is not None


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("qbench.toolkit.")])
def test_tools_say_how_stable_they_are(module):
    assert re.search(r"\b(Stable|May change)\b", import_module(module).__doc__)
