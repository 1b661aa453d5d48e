"""What the Hugging Face hub tells of a repository: its files, their checksums, its licence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from voiced.errors import DownloadError
from voiced.models.download import WAITS_S, Wanted, get_list
from voiced.models.manifest import is_safe_path
from voiced.models.shape import ONNX, Shape, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx2

    from voiced.models.source import HubSource


class _Lfs(msgspec.Struct):
    size: int
    sha256: str


class _Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    blob_id: str = msgspec.field(name="blobId", default="")
    lfs: _Lfs | None = None


class _Answer(msgspec.Struct):
    """`GET /api/models/…`, as far as it is of use. `card` is what the repository's README says."""

    sha: str
    siblings: list[_Sibling]
    card: dict[str, object] | None = msgspec.field(name="cardData", default=None)


class Repository(msgspec.Struct, frozen=True):
    """What is to be fetched, as it is in one commit."""

    commit: str
    licence: str
    shape: Shape
    wanted: tuple[Wanted, ...]


async def look_up(
    client: httpx2.AsyncClient, source: HubSource, waits: Sequence[float] = WAITS_S
) -> Repository:
    """Ask the hub. Raises `DownloadError`, and `ModelError` where there is no one model in it."""
    data = await get_list(client, source.api, str(source), waits)
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except msgspec.MsgspecError as exc:
        raise DownloadError(f"{source.endpoint} does not answer as the hub does: {exc}") from exc
    if not answer.sha.isalnum():
        raise DownloadError(f"{source.endpoint} names no commit of {source.repository}")
    there = {entry.rfilename: entry for entry in answer.siblings if is_safe_path(entry.rfilename)}
    shape = _choose(source, there)
    card = answer.card or {}
    licence = card.get("license")
    return Repository(
        commit=answer.sha,
        licence=licence if isinstance(licence, str) else "",
        shape=shape,
        wanted=tuple(_wanted(source, there[path], answer.sha) for path in shape.files),
    )


def _wanted(source: HubSource, entry: _Sibling, commit: str) -> Wanted:
    path = entry.rfilename
    url = source.url(path, commit)
    if entry.lfs is None:
        return Wanted(path=path, url=url, size=entry.size, git_sha1=entry.blob_id)
    return Wanted(path=path, url=url, size=entry.lfs.size, sha256=entry.lfs.sha256)


def _choose(source: HubSource, there: dict[str, _Sibling]) -> Shape:
    if not source.file:
        return choose(there, str(source))
    inside = [path for path in there if path.startswith(f"{source.file}/")]
    if inside:
        return choose(inside, str(source))
    if source.file not in there:
        raise DownloadError(f"{source.repository} has no file {source.file} at {source.revision}")
    beside = f"{source.file}.json"
    also = [beside] if source.file.endswith(ONNX) and beside in there else []
    return choose([source.file, *also], str(source))
