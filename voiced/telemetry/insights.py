"""The hub between the parts of the daemon, which tell what they do, and those who watch it.

A part calls the method for what it has to tell; nothing here waits or raises, and without an
observer next to nothing is done. What a newcomer has to know of the state of things comes from the
sources: each is asked when an observer connects. docs/insights.md has the messages.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from voiced.telemetry.backlog import MOST
from voiced.telemetry.messages import Invalid, encode, type_of, utc_now, wrap
from voiced.telemetry.observer import GOODBYE, Observer, Parcel, complain, merged, stands_for
from voiced.telemetry.payloads import (
    Fault,
    Frame,
    Metadata,
    PartialResult,
    PluginStatus,
    Progress,
    Report,
    Timing,
    Warning_,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
    from datetime import datetime

    from voiced.telemetry.messages import Message

__all__ = [
    "Fault",
    "Frame",
    "Insights",
    "Metadata",
    "Observer",
    "PartialResult",
    "PluginStatus",
    "Progress",
    "Report",
    "Timing",
    "Warning_",
]

log = structlog.get_logger(__name__)

LASTING: Final = (Warning_, Fault)

REMEMBERED = 32
"""Warnings and errors that whoever comes later is told of: who looks has a reason."""

INVALID = "invalid_message"


class Insights:
    """Takes what the parts tell and hands it to every observer. See the module.

    `transcripts` is whether observers get to read what people say and are told; without it the
    text of every `partial_result` is dropped here, whoever sent it.
    """

    def __init__(
        self,
        *,
        transcripts: bool = False,
        most: int = MOST,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.transcripts = transcripts
        self._most = most
        self._now = now
        self._observers: list[Observer] = []
        self._sources: list[Callable[[], Iterable[Report]]] = []
        self._recent: OrderedDict[Hashable, Message] = OrderedDict()
        self._goodbye = False

    @property
    def observers(self) -> int:
        """How many watch."""
        return len(self._observers)

    def wanted(self, kind: str) -> bool:
        """Whether anybody would get a message of that type: for what is dear to put together."""
        return any(observer.wants(kind) for observer in self._observers)

    def add_source(self, source: Callable[[], Iterable[Report]]) -> None:
        """Ask `source` how things are, whenever an observer comes. It must not wait; where it
        fails, the observer lacks what it would have told."""
        self._sources.append(source)

    # -- what the parts tell

    def frame(self, payload: Frame) -> None:
        """A job has a segment more."""
        if self._observers:
            self._publish(payload, ("frame", payload.job_id))

    def partial_result(self, payload: PartialResult) -> None:
        """A session goes on."""
        if self._observers:
            self._publish(self._discreet(payload), ("partial_result", payload.session_id))

    def progress(self, payload: Progress) -> None:
        """A job goes on, or stops."""
        if self._observers:
            self._publish(payload, ("progress", payload.job_id))

    def plugin_status(self, payload: PluginStatus) -> None:
        """A part is in another state."""
        if self._observers:
            self._publish(payload, ("plugin_status", payload.kind, payload.name))

    def warning(self, payload: Warning_) -> None:
        """Something that a person should know of; later observers are told, too."""
        self._publish(payload, ("warning", payload.code, payload.message, payload.subject))

    def error(self, payload: Fault) -> None:
        """Something failed; later observers are told, too."""
        self._publish(payload, ("error", payload.code, payload.message, payload.subject))

    def metadata(self, payload: Metadata) -> None:
        """The daemon itself has changed."""
        if self._observers:
            self._publish(payload, ("metadata",))

    # -- who watches

    @contextmanager
    def watch(self, types: Collection[str] | None = None) -> Iterator[Observer]:
        """An observer of these types of messages, or of all, for the time of the context."""
        observer = Observer(types, self._most)
        self._observers.append(observer)
        try:
            observer.begin(self._snapshot(types))
            if self._goodbye:
                observer.finish(GOODBYE)
            yield observer
        finally:
            self._observers.remove(observer)

    def say_goodbye(self) -> None:
        """The daemon shuts down: what waits is the last that anybody gets. Idempotent."""
        self._goodbye = True
        for observer in self._observers:
            observer.finish(GOODBYE)

    # -- inside

    def _publish(self, report: Report, key: Hashable) -> None:
        message = wrap(report, self._now())
        try:
            text = encode(message)
        except Invalid as error:
            complain(message, error)
            # Made of constants, so that this cannot come here again.
            about = f"A message of type {type_of(message)} was wrong in itself and left out."
            self.error(Fault(code=INVALID, message=about))
            return
        lasting = isinstance(report, LASTING)
        if lasting:
            self._remember(key, message)
        parcel = Parcel(message, text)
        for observer in self._observers:
            if observer.wants(type_of(message)):
                observer.put(key, parcel, lasting=lasting)

    def _remember(self, key: Hashable, message: Message) -> None:
        same = self._recent.pop(key, None)
        if same is not None:
            message = merged(message, 1 + stands_for(same))
        self._recent[key] = message
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _discreet(self, payload: PartialResult) -> PartialResult:
        if payload.text is None or self.transcripts:
            return payload
        return msgspec.structs.replace(payload, text=None)

    def _snapshot(self, types: Collection[str] | None) -> list[Message]:
        """How everything is, the metadata first, and the last that went wrong."""
        now = self._now()
        reports: list[Report] = []
        for source in self._sources:
            try:
                reports += source()
            except Exception:
                log.exception("source of insights failed")
        told = [self._discreet(r) if isinstance(r, PartialResult) else r for r in reports]
        rest = [wrap(report, now) for report in told if not isinstance(report, Metadata)]
        rest += self._recent.values()
        if types is not None:
            rest = [message for message in rest if type_of(message) in types]
        first = [report for report in reports if isinstance(report, Metadata)]
        if types is not None and "metadata" not in types:
            return rest
        counted = [msgspec.structs.replace(one, snapshot=len(rest)) for one in first]
        return [*(wrap(one, now) for one in counted), *rest]
