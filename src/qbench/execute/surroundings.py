"""What a plugin must leave as it found it: what belongs to the whole process, and so to every other plugin in it."""

from __future__ import annotations

import contextlib
import decimal
import locale
import os
import random
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qbench.toolkit._precision import precision, set_precision

OWN = ("TORCHINDUCTOR_", "TRITON_")
"""How variables begin that torch sets for itself where its compiler is loaded."""
LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}


@contextlib.contextmanager
def restored(tell: Callable[[str], None]) -> Iterator[None]:
    """Restore, after a plugin's call, whatever it changed; say what that was.

    Warnings are not told here; see :func:`heard`.
    """
    before = _state()
    try:
        yield
    finally:
        for name, value in _state().items():
            known = before.get(name, _fresh(name))  # torch may just have been loaded
            if known is not None and not _same(known, value):
                difference = _change(name, known, value)
                if difference is not None:
                    _SETTERS[name](known)
                    tell(f"changed {_NAMES[name]}{difference}; it was set back")


@contextlib.contextmanager
def heard(tell: Callable[[str], None]) -> Iterator[None]:
    """Pass warnings on as text, and undo what a plugin does to their filters."""
    with warnings.catch_warnings():
        filters = list(warnings.filters)

        def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
            tell(f"{category.__name__}: {message}")

        warnings.showwarning = show  # type: ignore[assignment]
        try:
            yield
        finally:
            if any(each[0] == "error" for each in warnings.filters if each not in filters):
                tell("turned warnings into errors; it was set back")


def _torch() -> Any:
    return sys.modules.get("torch")


def _state() -> dict[str, Any]:
    state: dict[str, Any] = {
        "directory": _directory(),
        "environment": dict(os.environb),
        "numpy_errors": np.geterr(),
        "numpy_random": _numpy_random(),
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion": sys.getrecursionlimit(),
        "decimal": decimal.getcontext().prec,
        "umask": umask(),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "path": list(sys.path),
        "random": random.getstate(),
        "limits": {name: resource.getrlimit(number) for name, number in LIMITS.items()},
    }
    torch = _torch()
    if torch is not None and hasattr(torch, "get_default_dtype"):
        state["torch_dtype"] = torch.get_default_dtype()
        state["torch_grad"] = torch.is_grad_enabled()
        state["torch_threads"] = torch.get_num_threads()
        state["torch_deterministic"] = torch.are_deterministic_algorithms_enabled()
        state["torch_precision"] = precision()
    return state


def _fresh(name: str) -> Any:
    """Return a setting of torch as it is when torch has just been loaded; None of those that depend on the machine."""
    if name == "torch_dtype":
        return _torch().float32
    return {"torch_grad": True, "torch_deterministic": False}.get(name)


def _directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def umask() -> int:
    """Return the mask of the permissions of new files, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _numpy_random() -> tuple[Any, ...]:
    generator, state = np.random.get_bit_generator(), np.random.get_state()  # type: ignore[attr-defined]
    if isinstance(state, dict):  # of a generator that a plugin has put in the usual one's place
        return generator, repr(state)
    rest: tuple[Any, ...] = state
    return generator, rest[0], rest[1].tobytes(), *rest[2:]


def _set_numpy_random(value: tuple[Any, ...]) -> None:
    generator, kind, *rest = value
    np.random.set_bit_generator(generator)  # type: ignore[attr-defined]
    if rest:
        np.random.set_state((kind, np.frombuffer(rest[0], np.uint32), *rest[1:]))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and any(hasattr(each, "write") or hasattr(each, "read") for each in one):
        return all(mine is its for mine, its in zip(one, other, strict=True))
    return bool(one == other)


def _change(name: str, before: Any, after: Any) -> str | None:
    """Return what to say of a change; None where it is nobody's."""
    if name in ("numpy_random", "streams", "path", "random"):
        return ""
    if isinstance(before, dict):
        changed = sorted(os.fsdecode(key) for key in {*before, *after} if before.get(key) != after.get(key))
        changed = [each for each in changed if not each.startswith(OWN)]
        return f" ({', '.join(changed[:5])})" if changed else None
    return f" ({before} → {after})"


def _set_environment(value: dict[bytes, bytes]) -> None:
    for name in [name for name in os.environb if name not in value and not os.fsdecode(name).startswith(OWN)]:
        del os.environb[name]
    for name, text in value.items():
        if os.environb.get(name) != text and not os.fsdecode(name).startswith(OWN):
            os.environb[name] = text


def _set_directory(value: str) -> None:
    with contextlib.suppress(OSError):
        os.chdir(value)


def _set_streams(value: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = value


def _set_limits(value: dict[str, tuple[int, int]]) -> None:
    for name, limits in value.items():
        with contextlib.suppress(OSError, ValueError):  # what was lowered for good
            resource.setrlimit(LIMITS[name], limits)


def _set_precision(value: int) -> None:
    decimal.getcontext().prec = value


_SETTERS: dict[str, Callable[[Any], Any]] = {
    "directory": _set_directory,
    "environment": _set_environment,
    "numpy_errors": lambda value: np.seterr(**value),
    "numpy_random": _set_numpy_random,
    "locale": lambda value: locale.setlocale(locale.LC_ALL, value),
    "recursion": sys.setrecursionlimit,
    "decimal": _set_precision,
    "umask": os.umask,
    "streams": _set_streams,
    "path": lambda value: sys.path.__setitem__(slice(None), value),
    "random": lambda value: random.setstate(value),
    "limits": _set_limits,
    "torch_dtype": lambda value: _torch().set_default_dtype(value),
    "torch_grad": lambda value: _torch().set_grad_enabled(value),
    "torch_threads": lambda value: _torch().set_num_threads(value),
    "torch_deterministic": lambda value: _torch().use_deterministic_algorithms(value, warn_only=value),
    "torch_precision": set_precision,
}
_NAMES = {
    "directory": "the working directory",
    "environment": "environment variables",
    "numpy_errors": "NumPy's handling of errors",
    "numpy_random": "NumPy's global random state",
    "locale": "the locale",
    "recursion": "the recursion limit",
    "decimal": "the decimal precision",
    "umask": "the umask",
    "streams": "sys.stdin, sys.stdout or sys.stderr",
    "path": "sys.path",
    "random": "random's global state",
    "limits": "limits of the process",
    "torch_dtype": "torch's default dtype",
    "torch_grad": "torch's grad mode",
    "torch_threads": "torch's number of threads",
    "torch_deterministic": "torch's deterministic mode",
    "torch_precision": "torch's precision on accelerators",
}
