"""What the installed plugins offer: found through entry points, registered through pluggy.

A plugin that can't be imported, breaks while registering, misspells a hook or clashes with another does not stop
qbench: it is listed by ``qbench plugins`` with its traceback, and named when a suite asks for something that
only it could have brought.
"""

from __future__ import annotations

import contextlib
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, cast

import pluggy

from qbench.contracts.codec import Codec
from qbench.contracts.dataset import Dataset
from qbench.contracts.embedding import Embedding
from qbench.contracts.exchange import Format
from qbench.contracts.generator import Generator
from qbench.contracts.loss import Loss
from qbench.contracts.metric import MetricDeclaration
from qbench.contracts.recipe import Recipe
from qbench.contracts.weights import Weights
from qbench.errors import ModelError, PluginError, QbenchError, did_you_mean
from qbench.registry import hookspecs
from qbench.registry.catalogue import Catalogue, PluginInfo
from qbench.registry.files import has_hooks, import_file, own_classes, whole_path
from qbench.registry.forms import form_problem
from qbench.registry.installed import Installed, installed_entry_points


class Registry:
    """The catalogues of everything that plugins offer, and the hooks that observe a run."""

    def __init__(self) -> None:
        self.plugins: list[PluginInfo] = []
        self.codecs: Catalogue[type[Codec]] = Catalogue("codec", Codec, self.plugins)
        self.metrics: Catalogue[type[MetricDeclaration]] = Catalogue("metric", MetricDeclaration, self.plugins)
        self.datasets: Catalogue[type[Dataset]] = Catalogue("dataset", Dataset, self.plugins)
        self.models: Catalogue[Weights] = Catalogue("model", Weights, self.plugins)
        self.recipes: Catalogue[type[Recipe]] = Catalogue("recipe", Recipe, self.plugins)
        self.generators: Catalogue[type[Generator]] = Catalogue("generator", Generator, self.plugins)
        self.losses: Catalogue[type[Loss]] = Catalogue("loss", Loss, self.plugins)
        self.formats: Catalogue[type[Format]] = Catalogue("format", Format, self.plugins)
        self.classes: tuple[Catalogue[Any], ...] = (
            self.codecs,
            self.metrics,
            self.generators,
            self.losses,
            self.datasets,
            self.recipes,
            self.formats,
        )
        self.files: tuple[str, ...] = ()
        """Whole paths of plugins that are one file."""
        self.portable = False
        """Whether another process can make the same, as it has nothing but what is installed, and files."""
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)

    def load_file(self, path: str) -> None:
        """Load a plugin that is one file: by the hooks that it has, else every codec, metric, … that it defines.

        Raises:
            PluginError: it can't be imported, registers nothing, or clashes with what is there.
        """
        module = import_file(path)
        info = PluginInfo(Path(path).stem, Path(path).name, "file")
        if has_hooks(module, lambda name: self._manager.parse_hookimpl_opts(module, name) is not None):
            self.register(module, info)
        else:
            self.plugins.append(info)
            found = own_classes(module, [catalogue.base for catalogue in self.classes])
            for cls in found:
                catalogue = next(each for each in self.classes if issubclass(cls, each.base))
                try:
                    catalogue.add(cls, info)
                except PluginError as error:
                    raise PluginError(f"{path}: {error}") from error
            if not found:
                kinds = ", ".join(catalogue.base.__name__ for catalogue in self.classes)
                raise PluginError(f"{path}: registers nothing; accepted are classes of qbench.plugin's {kinds}")
        if not info.ok:
            raise PluginError(f"{path}: {info.problem}\n{info.trace}".rstrip())
        self.files = (*self.files, path)

    def load_entry_points(self, wanted: Callable[[Installed], bool] = lambda found: True) -> None:
        """Load every plugin that installed packages offer, in order of name; or those that are wanted.

        Raises:
            PluginError: none of qbench's own can be loaded, without which there is nothing to work with.
        """
        found = filter(wanted, installed_entry_points(hookspecs.PROJECT))
        for each in sorted(found, key=lambda each: each.point.name if each.point else ""):
            self._load(each)
        own = [info for info in self.plugins if info.distribution.lower() == hookspecs.PROJECT]
        if not any(info.ok for info in own):
            reasons = [f"{info}: {info.problem}" for info in self.plugins if not info.ok]
            reasons = reasons or ["no installed package registers them"]
            raise PluginError(
                "\n  ".join(
                    [
                        "qbench's own plugins can't be loaded; reinstall it: pip install --force-reinstall qbench",
                        *reasons,
                    ]
                )
            )

    def _load(self, found: Installed) -> None:
        point = found.point
        info = PluginInfo(
            point.name if point else "unknown", found.distribution, found.version, versioned=not found.editable
        )
        try:
            if point is None:
                raise PluginError(found.problem)
            plugin = point.load()
        # Whatever a stranger's import does, the others must go on; also when it tries to end the program.
        except BaseException as error:
            self.plugins.append(info)
            self._break(info, f"importing {point.value}: {_one_line(error)}" if point else found.problem)
            return
        self.register(plugin, info)

    def register(self, plugin: object, info: PluginInfo) -> PluginInfo:
        """Register a plugin object; returns ``info`` with what it brings, or why it is broken."""
        self.plugins.append(info)
        key = _key(info)
        try:
            hash(plugin)  # pluggy keeps plugins in sets
            if self._manager.register(plugin, name=key) is None:
                raise PluginError("blocked")
            misspelt = self._unknown_hooks(plugin)
            if misspelt:
                raise PluginError(misspelt)
        except BaseException as error:
            self._break(info, _one_line(error))
            if self._manager.has_plugin(key):
                self._manager.unregister(name=key)
            return info
        for hook, catalogue in (
            ("qbench_register_codecs", self.codecs),
            ("qbench_register_metrics", self.metrics),
            ("qbench_register_datasets", self.datasets),
            ("qbench_register_models", self.models),
            ("qbench_register_recipes", self.recipes),
            ("qbench_register_generators", self.generators),
            ("qbench_register_losses", self.losses),
            ("qbench_register_formats", self.formats),
        ):
            self._call_registering(plugin, info, hook, catalogue)
        return info

    def _unknown_hooks(self, plugin: object) -> str:
        known = {name for name in vars(hookspecs) if name.startswith("qbench_")}
        for name in dir(plugin):
            if self._manager.parse_hookimpl_opts(plugin, name) is not None and name not in known:
                return f"unknown hook `{name}`{did_you_mean(name, known)}"
        return ""

    def _call_registering(self, plugin: object, info: PluginInfo, hook: str, catalogue: Catalogue[Any]) -> None:
        # One plugin at a time, so that each registration and each failure has an owner.
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        caller = self._manager.subset_hook_caller(hook, others)
        try:
            caller(register=lambda cls: catalogue.add(cls, info))
        except BaseException as error:
            self._break(info, f"{hook}: {_one_line(error)}")

    @staticmethod
    def _break(info: PluginInfo, problem: str) -> None:
        info.problem = problem
        with contextlib.suppress(BaseException):
            info.trace = traceback.format_exc()

    def model(self, name: str) -> Weights:
        """Return weights by name: registered ones, or out of a family that a plugin knows.

        Raises:
            QbenchError: nobody knows the name, or the plugin that should know it fails.
        """
        if name not in self.models:
            for owner, found in self._ask("qbench_find_model", name):
                problem = form_problem(Weights, found)
                if problem:
                    raise PluginError(f"plugin {owner}, qbench_find_model: {problem}")
                return cast(Weights, found)
        return self.models[name]

    def embedding(self, name: str) -> Embedding:
        """Return an image embedding.

        Raises:
            ModelError: nobody knows the name.
            QbenchError: the plugin that should know it fails.
        """
        for owner, found in self._ask("qbench_find_embedding", name):
            if not isinstance(found, Embedding):
                raise PluginError(
                    f"plugin {owner}, qbench_find_embedding: gave {type(found).__name__}, not an Embedding"
                )
            return found
        raise ModelError(f"no installed plugin has an image embedding `{name}`")

    def _ask(self, hook: str, name: str) -> Iterator[tuple[str, Any]]:
        """Yield what plugins have of a name, and which plugin it is."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                found = implementation.function(name)
            except QbenchError:
                raise
            except Exception as error:
                raise PluginError(f"plugin {implementation.plugin_name}, {hook}:\n{traceback.format_exc()}") from error
            if found is not None:
                yield implementation.plugin_name, found

    def observers(self, hook: str) -> list[PluginInfo]:
        """Return the plugins that implement an observing hook."""
        names = [implementation.plugin_name for implementation in getattr(self._manager.hook, hook).get_hookimpls()]
        return [next(info for info in self.plugins if _key(info) == name) for name in names]

    def observe(self, hook: str, observer: str, **arguments: Any) -> None:
        """Call an observing hook of a plugin, which is named as :func:`str` writes its :class:`PluginInfo`.

        Raises:
            Exception: whatever it raises.
        """
        for info, implementation in zip(
            self.observers(hook), getattr(self._manager.hook, hook).get_hookimpls(), strict=True
        ):
            if str(info) == observer:
                function: Callable[..., object] = implementation.function
                function(**{name: arguments[name] for name in implementation.argnames})


def _key(info: PluginInfo) -> str:
    return f"{info.distribution}:{info.name}"


def _one_line(error: BaseException) -> str:
    try:
        text = " ".join(str(error).split()) or "no message"
    except BaseException as trouble:  # whatever the exception's own code raises
        text = f"whose text can't be had: {type(trouble).__name__}"
    return f"{type(error).__name__}: {textwrap.shorten(text, 300)}"


_loading: set[int] = set()
"""Threads that are loading the plugins."""


def registry_with(files: Iterable[str | Path] = (), registry: Registry | None = None) -> Registry:
    """Return what is installed together with plugins that are one file each.

    Args:
        files: their paths.
        registry: instead of what is installed.

    Raises:
        PluginError: one can't be loaded, or clashes with what is there.
    """
    registry = registry or default_registry()
    places = dict.fromkeys(str(whole_path(path)) for path in files)
    missing = [place for place in places if place not in registry.files]
    if not missing:
        return registry
    if not registry.portable:  # somebody's own, of this process alone
        for place in missing:
            registry.load_file(place)
        return registry
    known = (*registry.files, *missing)
    return _with_files(tuple((place, import_file(place).__name__) for place in known))


@lru_cache(maxsize=16)
def _with_files(known: tuple[tuple[str, str], ...]) -> Registry:
    """Return a registry of what is installed and of files; the names of their modules tell their contents."""
    registry = Registry()
    registry.load_entry_points()
    for place, _ in known:
        registry.load_file(place)
    registry.portable = True
    return registry


@cache
def default_registry() -> Registry:
    """Return the registry of everything installed, loaded once per process.

    Raises:
        PluginError: a plugin asks for it while it is imported or registers.
    """
    thread = threading.get_ident()
    if thread in _loading:
        raise PluginError("not all plugins are registered yet; look others up when a suite is planned, or later")
    _loading.add(thread)
    try:
        registry = Registry()
        registry.load_entry_points()
        registry.portable = True
    finally:
        _loading.remove(thread)
    return registry


def find_generator(name: str) -> type[Generator]:
    """Return an installed generator's class.

    Raises:
        PluginError: there is none of that name; with the nearest.
    """
    return default_registry().generators[name]


def find_loss(name: str) -> type[Loss]:
    """Return an installed loss's class.

    Raises:
        PluginError: there is none of that name; with the nearest.
    """
    return default_registry().losses[name]


def find_embedding(name: str) -> Embedding:
    """Return an image embedding of an installed plugin.

    Raises:
        ModelError: none has that name.
    """
    return default_registry().embedding(name)
