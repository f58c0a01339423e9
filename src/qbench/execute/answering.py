"""Answering a request at a desk: whatever a plugin does, the answer is plain, and its surroundings are as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qbench.errors import NotApplicable, QbenchError
from qbench.execute.desks import Desk
from qbench.execute.surroundings import heard, restored
from qbench.records import Failure, cut

MOST_NOTES = 20
"""Of one call; who says more is heard no further."""
LONGEST_NOTE = 1000


@dataclass(frozen=True)
class Request:
    """What a station is asked for.

    Attributes:
        method: of the desk.
        arguments: its arguments, images among them.
        owner: component to blame for a failure: ``codec jpeg, plugin …``.
        about: what it is about, for the log: ``jpeg:quality=40 · kodim01 · encode``.
    """

    method: str
    arguments: tuple[Any, ...]
    owner: str
    about: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of a request; one of value, reason and failure counts.

    Attributes:
        value: what the method returned.
        reason: why it is not applicable.
        failure: what the plugin raised.
        refusal: the text of a failure that is the user's to mend.
        notes: what plugins told, warned of, or changed.
        last: whether nothing else can be done where it comes from: the device no longer answers that process.
    """

    value: Any = None
    reason: str | None = None
    failure: Failure | None = None
    refusal: str = ""
    notes: tuple[str, ...] = ()
    last: bool = False


@dataclass
class Notes:
    """Collects what plugins tell during a call."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: object) -> None:
        """Take a note."""
        if len(self.texts) < MOST_NOTES:
            self.texts.append(str(text)[:LONGEST_NOTE])

    def take(self) -> tuple[str, ...]:
        """Return the notes, each once, and begin anew."""
        found, self.texts = tuple(dict.fromkeys(self.texts)), []
        return found


def answer(desk: Desk, request: Request, notes: Notes, printed: Callable[[], str]) -> Answer:
    """Do what is asked for.

    Args:
        notes: what the desk's plugins tell through their context comes here, too.
        printed: returns the last lines that were printed since the call began.
    """
    made: dict[str, Any] = {}
    warned, changed = Notes(), Notes()
    try:
        with restored(changed.add), heard(warned.add):
            value = getattr(desk, request.method)(*request.arguments)
        made["value"] = _plain(value, request.owner)
    except NotApplicable as reason:
        made["reason"] = cut(f"{reason.reason}")
    except QbenchError as error:
        made["refusal"] = str(error)
        made["failure"] = Failure.of(request.owner, error, printed())
    except BaseException as error:  # SystemExit, KeyboardInterrupt, and what derives from nothing better
        made["failure"] = Failure.of(request.owner, error, printed())
    told = notes.take()
    blamed = [f"{request.owner}: {text}" for text in (*warned.take(), *changed.take())]
    return Answer(**made, notes=(*told, *blamed))


def _plain(value: Any, owner: str) -> Any:
    """Return an answer's value with descriptions in the place of exceptions."""
    if isinstance(value, NotApplicable):
        return NotApplicable(cut(f"{value.reason}"))
    if isinstance(value, BaseException):
        return Failure.of(owner, value)
    if isinstance(value, dict):
        return {name: _plain(each, owner) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, owner) for each in value]
    return value
