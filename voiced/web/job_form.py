"""What a job is asked for with: JSON, or a form with a file in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Union

import msgspec
from msgspec import UNSET, UnsetType

from voiced.conversation.config import rejected_by
from voiced.web.openapi import UPLOAD
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voiced.jobs.kind import JobKind, JobRequest


class JobForms:
    """Reads the requests of these kinds."""

    def __init__(self, kinds: Iterable[JobKind]) -> None:
        kinds = sorted(kinds, key=lambda kind: kind.name)
        #: What JSON bodies are; the tag tells which.
        self.request: Any = _either([kind.request_type for kind in kinds])
        #: What forms are, to be described: the same, and a file.
        self.form: Any = _either([_form_of(kind) for kind in kinds if kind.takes_file != "never"])

    def read(self, fields: Sequence[tuple[str, str]]) -> JobRequest:
        """The request of a form's fields, all of them text. Raises `Refused` naming a bad one.

        Lists come as repeated `name[]`; an empty value is as good as none.
        """
        found: dict[str, Any] = {}
        for name, value in fields:
            if name.endswith("[]"):
                found.setdefault(name[:-2], []).append(value)
            elif name in found:
                raise _bad(name, f"Invalid value for '{name}': given twice.")
            elif value:
                found[name] = value
        try:
            request: JobRequest = msgspec.convert(found, self.request, strict=False)
        except msgspec.ValidationError as exc:
            why = rejected_by(str(exc), "")
            raise _bad(why.param, why.message, why.code) from exc
        return request


def _bad(param: str | None, message: str, code: str | None = None) -> Refused:
    return Refused(Refusal(400, code or "invalid_value", message, param=param or None))


def _form_of(kind: JobKind) -> type[msgspec.Struct]:
    file: Any = ("file", Annotated[bytes, UPLOAD])
    if kind.takes_file == "optional":
        file = ("file", Annotated[bytes, UPLOAD] | UnsetType, UNSET)
    return msgspec.defstruct(
        f"{kind.request_type.__name__}Form",
        [file],
        bases=(kind.request_type,),
        namespace={"__doc__": kind.request_type.__doc__},
        kw_only=True,
        frozen=True,
        tag=kind.name,
    )


def _either(types: Sequence[type]) -> Any:  # noqa: ANN401 - a type
    return Union[tuple(types)] if types else type(None)  # noqa: UP007 - not known before
