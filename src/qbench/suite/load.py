"""Reading a suite: YAML, profile and overrides in; a validated :class:`Suite` out, or every problem found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from qbench.errors import PluginError, Problem, SuiteError, did_you_mean
from qbench.registry.forms import NAME
from qbench.registry.registry import Registry, registry_with
from qbench.suite import document as yaml_document
from qbench.suite.document import Document
from qbench.suite.expand import MAX_POINTS, Expander
from qbench.suite.findings import Findings
from qbench.suite.model import ImagesEntry, LimitOptions, MetricSpec, PointSpec, Settings, Suite

PROFILES = ("bundled", "hub")
M = TypeVar("M", bound=BaseModel)
SECTIONS = ("images", "codecs", "metrics", "profiles")


def load_suite(
    source: str | Path | Mapping[str, Any],
    registry: Registry,
    *,
    overrides: Sequence[str] = (),
    profile: str | None = None,
    seed: int | None = None,
) -> Suite:
    """Read and validate a suite.

    Args:
        source: path of a YAML file, or the same structure as a mapping.
        registry: what codecs, metrics and datasets there are.
        overrides: ``path=value`` with a dotted path and a YAML value: ``codecs.jpeg.quality=[10,50]``.
        profile, seed: replace the suite's own.

    Raises:
        SuiteError: with every problem found, each with its place and what is accepted.
    """
    if isinstance(source, Mapping):
        text, name, folder, stem = yaml_document.dump(source), "suite", Path.cwd(), "suite"
    else:
        path = Path(source)
        name, folder, stem = str(source), path.resolve().parent, path.stem
        if path.is_dir():
            told = (
                f"a folder; `qbench try {source}` compares codecs on its images, `qbench init {source}` writes a suite"
            )
            raise SuiteError([Problem(name, "", told)])
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SuiteError([Problem(name, "", f"can't read the suite: {reason}")]) from error
    document = yaml_document.parse(text, name)
    if not isinstance(document.data, dict):
        problem = "a suite is a mapping with `images`, `codecs` and `metrics`"
        raise SuiteError([document.problem((), problem)])
    return _Loader(document, registry, folder).load(text, stem, overrides, profile, seed)


def load_metrics(metrics: Sequence[Any], registry: Registry, name: str = "--metrics") -> tuple[MetricSpec, ...]:
    """Validate a list of metrics as it would stand in a suite; ``name`` is what problems call the list.

    Raises:
        SuiteError: with every problem found.
    """
    document = yaml_document.parse(yaml_document.dump({"metrics": list(metrics)}), name)
    return _Loader(document, registry, Path.cwd()).load_metrics()


def load_settings(model: type[M], settings: Sequence[str]) -> M:
    """Validate ``name=value`` settings of a parameter model, as ``--set`` gives them.

    Raises:
        SuiteError: with every problem found.
    """
    document = Document({}, "--set")
    findings = Findings(document)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise SuiteError([Problem(f"--set {setting}", "", "write name=value, for example epochs=10")])
        where = f"--set {setting}"
        document.replace((name.strip(),), yaml_document.parse_value(text, where), where)
    made = findings.validate(model, document.data, ())
    findings.raise_if_any()
    assert made is not None  # or there would have been a finding
    return made


def load_values(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """Validate the settings of a parameter model, as Python code or a command line gives them.

    Args:
        where: what they are of, for problems.

    Raises:
        SuiteError: with every problem found.
    """
    findings = Findings(Document(dict(values), where))
    made = findings.validate(model, dict(values), ())
    findings.raise_if_any()
    assert made is not None  # or there would have been a finding
    return made


class _Loader:
    def __init__(self, document: Document, registry: Registry, folder: Path) -> None:
        self._folder = folder
        self._document = document
        self._registry = registry
        self._findings = Findings(document)

    def load(
        self,
        text: str,
        stem: str,
        overrides: Sequence[str],
        profile: str | None,
        seed: int | None,
    ) -> Suite:
        self._name_listed_metrics(("metrics",))
        self._apply_profile(profile, overrides)
        for override in overrides:
            self._override(override)
        if seed is not None:
            self._document.replace(("seed",), seed, "--seed")
        data = self._document.data
        plain = {key: value for key, value in data.items() if key not in SECTIONS}
        if isinstance(plain.get("plugins"), list):
            plain["plugins"] = tuple(plain["plugins"])
        settings = self._findings.validate(Settings, plain, (), extra_keys=SECTIONS)
        for index, path in enumerate(settings.plugins if settings is not None else ()):
            self._plugin(path, ("plugins", index))
        images = self._images(data.get("images"))
        codecs = self._section("codecs")
        metrics = self._metrics(self._section("metrics"))
        points = self._points(codecs, metrics)
        self._findings.raise_if_any()
        assert settings is not None  # or there would have been a finding
        return Suite(
            settings.name or stem,
            text,
            tuple(overrides),
            self._folder,
            settings,
            tuple(images),
            tuple(points),
            tuple(metrics),
            self._registry.files,
        )

    def _plugin(self, path: str, at: yaml_document.Path) -> None:
        """Load a plugin that is one file."""
        try:
            self._registry = registry_with([self._folder / Path(path).expanduser()], self._registry)
        except PluginError as error:
            self._findings.say(at, str(error))

    def load_metrics(self) -> tuple[MetricSpec, ...]:
        """Validate the metrics only."""
        self._name_listed_metrics(("metrics",))
        metrics = self._metrics(self._section("metrics"))
        self._findings.raise_if_any()
        return tuple(metrics)

    # -- profile and overrides ------------------------------------------------------------------------------------

    def _apply_profile(self, chosen: str | None, overrides: Sequence[str]) -> None:
        data = self._document.data
        sections = data.get("profiles") or {}
        if not isinstance(sections, dict) or not all(isinstance(part, dict) for part in sections.values()):
            self._findings.say(("profiles",), "profiles is a mapping: profile name → parts of a suite that it changes")
            return
        where = "--profile" if chosen is not None else None
        for override in overrides:  # a profile set by --set must act before the others do
            if override.startswith("profile="):
                chosen, where = override.removeprefix("profile="), f"--set {override}"
        if chosen is not None and where is not None:
            self._document.replace(("profile",), chosen, where)
        name = data.get("profile", "bundled")
        known = (*PROFILES, *(key for key in sections if key not in PROFILES))
        if name not in known:
            self._findings.say(
                ("profile",), f"unknown profile `{name}`{did_you_mean(name, known)} (known: {', '.join(known)})"
            )
            return
        if name in sections:
            self._name_listed_metrics(("profiles", name, "metrics"))
            self._merge(sections[name], ("profiles", name), ())

    def _merge(self, part: dict[str, Any], source: yaml_document.Path, target: yaml_document.Path) -> None:
        for key, value in part.items():
            here, there = (*source, key), (*target, key)
            existing = self._at(there)
            if isinstance(value, dict) and isinstance(existing, dict):
                self._merge(value, here, there)
            else:
                self._document.replace(there, value, self._document.where(here))

    def _at(self, path: yaml_document.Path) -> Any:
        value = self._document.data
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def _override(self, override: str) -> None:
        path, equals, text = override.partition("=")
        where = f"--set {override}"
        if not equals or not path.strip():
            self._findings.problems.append(
                Problem(where, "", "write path=value, for example codecs.jpeg.quality=[10,50]")
            )
            return
        steps = tuple(int(step) if step.isascii() and step.isdigit() else step for step in path.strip().split("."))
        try:
            self._document.replace(steps, yaml_document.parse_value(text, where), where)
            self._name_listed_metrics(("metrics",))
        except SuiteError as error:
            self._findings.problems.extend(error.problems)

    # -- sections -------------------------------------------------------------------------------------------------

    def _section(self, name: str) -> dict[str, Any]:
        example = {"codecs": "jpeg: {quality: [10, 50, 90]}", "metrics": "[psnr, ssim]"}[name]
        value = self._document.data.get(name)
        if not value:
            self._findings.say(
                (name,) if name in self._document.data else (),
                f"`{name}` is missing or empty; write e.g. {name}: {example}",
            )
            return {}
        if not isinstance(value, dict):
            self._findings.say((name,), f"`{name}` is a mapping: label → settings, e.g. {name}: {example}")
            return {}
        return value

    def _images(self, value: Any) -> list[ImagesEntry]:
        path: yaml_document.Path = ("images",)
        if isinstance(value, dict):
            entries = [(path, value)]
        elif isinstance(value, list) and value:
            entries = [((*path, index), entry) for index, entry in enumerate(value)]
        else:
            problem = "`images` is missing or empty; write e.g. images: [{folder: photos}] or [{dataset: samples}]"
            self._findings.say(path if "images" in self._document.data else (), problem)
            return []
        found = []
        for at, entry in entries:
            if not isinstance(entry, dict):
                self._findings.say(
                    at, f"{entry!r} is not accepted; write one of dataset, folder, glob, files, e.g. {{folder: photos}}"
                )
                continue
            model = self._findings.validate(ImagesEntry, entry, at)
            if model is not None:
                if model.dataset is not None:
                    self._known(self._registry.datasets, model.dataset, (*at, "dataset"))
                found.append(model)
        return found

    def _points(self, section: dict[str, Any], metrics: Sequence[MetricSpec]) -> list[PointSpec]:
        points: list[PointSpec] = []
        expander = Expander(self._registry, self._findings, metrics, self._folder)
        for label, settings in section.items():
            path = ("codecs", label)
            settings = self._entry(settings, path)
            if settings is None or not self._label(path):
                continue
            name = str(settings.pop("codec", label))
            limits = self._limits(settings.pop("limits", {}), (*path, "limits"))
            if self._known(self._registry.codecs, name, (*path, "codec")):
                points.extend(replace(point, limits=limits) for point in expander.expand(label, name, settings, path))
        if len(points) > MAX_POINTS:
            self._findings.say(("codecs",), f"{len(points)} operating points; at most {MAX_POINTS} are accepted")
        return points

    def _limits(self, given: Any, path: yaml_document.Path) -> Mapping[str, float]:
        if not isinstance(given, dict):
            self._findings.say(path, f"{given!r} is not accepted; write {{seconds: 600}}, {{memory: 8 GB}} or both")
            return {}
        limits = self._findings.validate(LimitOptions, given, path)
        return {} if limits is None else limits.given

    def _metrics(self, section: dict[str, Any]) -> list[MetricSpec]:
        metrics = []
        for label, settings in section.items():
            path = ("metrics", label)
            settings = self._entry(settings, path)
            if settings is None or not self._label(path):
                continue
            name = str(settings.pop("metric", label))
            if self._known(self._registry.metrics, name, (*path, "metric")):
                model = self._registry.metrics[name].Parameters
                parameters = self._findings.validate(model, settings, path)
                if parameters is not None:
                    plain = parameters.model_dump(mode="json")
                    files = self._findings.files(model, plain, self._folder, path)
                    metrics.append(MetricSpec(label, name, plain, files))
        return metrics

    def _name_listed_metrics(self, path: yaml_document.Path) -> None:
        """Turn ``[psnr, {ssim-y: {metric: ssim}}]`` into the mapping it is short for."""
        listed = self._at(path)
        if not isinstance(listed, list):
            return
        named: dict[str, Any] = {}
        indices: dict[str, int] = {}
        for index, item in enumerate(listed):
            at = (*path, index)
            settings: Any
            if isinstance(item, str):
                label, settings = item, {}
            elif isinstance(item, dict) and len(item) == 1:
                ((label, settings),) = item.items()
            else:
                self._findings.say(at, "write a metric's name, or label: {metric: name, …}")
                continue
            if label in named:
                first = self._document.where((*path, indices[label]))
                self._findings.say(
                    at, f"duplicate metric `{label}`; first defined at {first}. Give one a label of its own"
                )
                continue
            named[label], indices[label] = settings, index
        tables = (self._document.positions, self._document.keys)
        moved = [
            {
                (*path, label, *known[len(path) + (2 if isinstance(listed[index], dict) else 1) :]): where
                for label, index in indices.items()
                for known, where in table.items()
                if known[: len(path) + 1] == (*path, index)
            }
            for table in tables
        ]
        self._document.replace(path, named, self._document.where(path))
        for table, places in zip(tables, moved, strict=True):
            table.update({**moved[0], **places})  # a bare name is its own key

    # -- small steps ----------------------------------------------------------------------------------------------

    def _entry(self, settings: Any, path: yaml_document.Path) -> dict[str, Any] | None:
        if settings is None:
            return {}
        if not isinstance(settings, dict):
            self._findings.say(
                path, f"{settings!r} is not accepted; write settings as a mapping, e.g. {path[-1]}: {{…}}"
            )
            return None
        return dict(settings)

    def _label(self, path: yaml_document.Path) -> bool:
        if NAME.fullmatch(str(path[-1])):
            return True
        self._findings.say(
            path, "a label has letters, digits, `-`, `_` and `+` only, and begins with a letter or digit", key=True
        )
        return False

    def _known(self, catalogue: Any, name: str, path: yaml_document.Path) -> bool:
        try:
            catalogue.offer(name)
        except PluginError as error:
            explicit = path in self._document.positions
            self._findings.say(path if explicit else path[:-1], str(error), key=not explicit)
            return False
        return True
