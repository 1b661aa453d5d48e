"""Where a model is to come from, as a person writes it."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

import msgspec

from voiced.errors import UsageError
from voiced.models.manifest import is_safe_path

if TYPE_CHECKING:
    from collections.abc import Mapping

HUB = "https://huggingface.co"
HUB_VARIABLE = "HF_ENDPOINT"
"""The environment variable by which the hub's own tools are told of a mirror."""

REPOSITORY = re.compile(r"[\w][\w.-]{0,95}/[\w][\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"[\w][\w./-]{0,199}", re.ASCII)


class LocalSource(msgspec.Struct, frozen=True):
    """A file or directory on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


class WebSource(msgspec.Struct, frozen=True):
    """One file at an address."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def public(self) -> str:
        """The address without its query, which may be a key that is nobody else's business."""
        return urlsplit(self.url)._replace(query="", fragment="").geturl()

    @property
    def file_name(self) -> str:
        """What the file is called there."""
        return PurePosixPath(unquote(urlsplit(self.url).path)).name

    def beside(self, suffix: str) -> str:
        """The address of the file whose name has `suffix` added."""
        parts = urlsplit(self.url)
        return parts._replace(path=parts.path + suffix).geturl()


class HubSource(msgspec.Struct, frozen=True):
    """A repository of the Hugging Face hub, or one file of it."""

    endpoint: str
    repository: str
    revision: str
    file: str = ""

    def __str__(self) -> str:
        return f"hf:{self.repository}@{self.revision}" + (f"/{self.file}" if self.file else "")

    @property
    def api(self) -> str:
        """Where the hub tells what is in the repository."""
        revision = quote(self.revision, safe="")
        return f"{self.endpoint}/api/models/{self.repository}/revision/{revision}?blobs=true"

    def url(self, path: str, commit: str) -> str:
        """Where a file of it is, as it was in that commit."""
        return f"{self.endpoint}/{self.repository}/resolve/{commit}/{quote(path)}"


Source = LocalSource | WebSource | HubSource


def parse_source(text: str, environ: Mapping[str, str] = os.environ) -> Source:
    """A path, `https://…`, or `hf:owner/repo[@revision][/file]`. Raises `UsageError`."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme.lower() == "hf":
        return _hub(rest, environ)
    if colon and rest.startswith("//"):
        check_url(text)
        source = WebSource(text)
        if not is_safe_path(source.file_name):
            raise UsageError(f"{text} names no file")
        return source
    if not text or "\0" in text:
        raise UsageError("name a file, a directory, or an address")
    return LocalSource(Path(text).expanduser())


def check_url(url: str) -> None:
    """Only https, and http on this machine. Raises `UsageError`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port  # looked at only now
    except ValueError as exc:
        raise UsageError(f"{url[:200]} is no address: {exc}") from exc
    if parts.username is not None or parts.password is not None:
        raise UsageError("an address with a password in it would be kept in clear; leave it out")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise UsageError(f"{url[:200]}: models come by https:, hf: or from a path")


def is_secure(url: str) -> bool:
    """Whether nobody on the way can read or change what comes from there."""
    return urlsplit(url).scheme == "https"


def is_loopback(host: str) -> bool:
    """Whether that is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hub(text: str, environ: Mapping[str, str]) -> HubSource:
    form = "hf:owner/repository[@revision][/file]"
    owner, _, rest = text.partition("/")
    name, _, file = rest.partition("/")
    name, at, revision = name.partition("@")
    repository = f"{owner}/{name}"
    if not REPOSITORY.fullmatch(repository) or ".." in repository:
        raise UsageError(f"hf:{text[:200]} is not of the form {form}")
    if (at and not REVISION.fullmatch(revision)) or ".." in revision:
        raise UsageError(f"hf:{text[:200]}: the revision is a branch, a tag or a commit, in {form}")
    if file and not is_safe_path(file):
        raise UsageError(f"hf:{text[:200]} names a file that no model may have")
    endpoint = environ.get(HUB_VARIABLE, "").rstrip("/") or HUB
    check_url(endpoint)
    return HubSource(endpoint, repository, revision or "main", file)
