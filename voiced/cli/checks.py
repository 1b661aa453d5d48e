"""What `voiced doctor` looks at that is the machine's: each check gives one `Finding`.

A finding is a failure only where voiced cannot do its work; what is merely worth knowing is a
note. Each failure says what to do.
"""

from __future__ import annotations

import ctypes
import errno
import http.client
import importlib.metadata
import json
import re
import shutil
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import psutil

from voiced.settings import Thermal
from voiced.thermal.governor import is_plausible, level_at
from voiced.thermal.level import Level
from voiced.thermal.sensors import read_temperature
from voiced.web.tls import RENEW, find_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiced.settings import Server

NEEDED_DISK_BYTES = 100 * 2**20
# The daemon and its engines use some 180 MB together; below this the kernel begins to kill.
NEEDED_MEMORY_BYTES = 256 * 2**20
# A board without a battery clock wakes up in 1970, or at the date of its image.
FIRST_SANE_YEAR = 2025
ANSWER_S = 2.0
RENEWAL_DAYS = 14


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check: `remedy` says what to do about a failure."""

    check: str
    state: Literal["ok", "note", "failed"]
    detail: str
    remedy: str = ""


def check_python(version: tuple[int, int, int] | None = None) -> Finding:
    """CPython 3.11 to 3.13."""
    version = version or sys.version_info[:3]
    detail = f"{sys.implementation.name} {'.'.join(map(str, version))}"
    if (3, 11) <= version[:2] <= (3, 13):
        return Finding(check="python", state="ok", detail=detail)
    return Finding(
        check="python",
        state="failed",
        detail=f"{detail} is not supported",
        remedy="install Python 3.11, 3.12 or 3.13, remove .venv, and run scripts/run again",
    )


def check_packages(requirements: Sequence[str] | None = None) -> Finding:
    """Every required package is there, in a version of its range."""
    if requirements is None:
        try:
            requirements = importlib.metadata.requires("voiced") or ()
        except importlib.metadata.PackageNotFoundError:
            return Finding(
                check="packages",
                state="note",
                detail="voiced runs from its source and is not installed",
            )
    needed = [requirement for requirement in requirements if "extra ==" not in requirement]
    wrong = [fault for requirement in needed if (fault := _fault_of(requirement))]
    if wrong:
        return Finding(
            check="packages",
            state="failed",
            detail="; ".join(wrong),
            remedy="run scripts/run, which installs what is pinned, or reinstall voiced",
        )
    return Finding(check="packages", state="ok", detail=f"all {len(needed)} are there")


def _fault_of(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    name = match[0] if match else requirement
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is missing"
    have = _numbers(version)
    for operator, bound in re.findall(r"(>=|<)\s*([\d.]+)", requirement):
        if (have >= _numbers(bound)) != (operator == ">="):
            return f"{name} is {version}, but {operator}{bound} is needed"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def check_state_directory(directory: Path) -> Finding:
    """It can be written to, or made, and has room. Makes nothing but a file it removes again."""
    check = "state directory"
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing, prefix=".voiced-doctor-"):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(
            check=check,
            state="failed",
            detail=f"{existing} cannot be written to: {error.strerror}",
            remedy="set store.directory, or give this user the right to write there",
        )
    detail = f"{directory}, {_size(free)} free"
    if free < NEEDED_DISK_BYTES:
        return Finding(
            check=check,
            state="failed",
            detail=detail,
            remedy=f"free some space: voiced needs {_size(NEEDED_DISK_BYTES)}",
        )
    return Finding(check=check, state="ok", detail=detail)


def check_port(server: Server, key: Literal["port", "tls_port"] = "port") -> Finding:
    """The address can be listened on, or voiced already does."""
    port, check = getattr(server, key), key.replace("_", " ")
    where = f"{server.host} port {port}"
    try:
        found = socket.getaddrinfo(
            server.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_voiced(server):
            return Finding(check=check, state="ok", detail=f"voiced answers at {where}")
        return Finding(
            check=check,
            state="failed",
            detail=f"{where} cannot be listened on: {error.strerror}",
            remedy=_port_remedy(error.errno, f"server.{key}"),
        )
    return Finding(check=check, state="ok", detail=f"{where} is free")


def _port_remedy(number: int | None, setting: str) -> str:
    if number == errno.EADDRINUSE:
        return f"stop the other program (`ss -ltnp` names it), or set {setting}"
    if number in {errno.EACCES, errno.EPERM}:
        return f"set {setting} to 1024 or more"
    return "set server.host to an address of this machine, or 127.0.0.1"


def is_voiced(server: Server) -> bool:
    """Whether it is voiced that answers at the port of these settings."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(server.host, server.host)
    connection = http.client.HTTPConnection(host, server.port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/health")
        answer = json.loads(connection.getresponse().read(65_536))
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(answer, dict) and {"status", "version", "sessions"} <= answer.keys()


def check_certificate(server: Server, now: datetime | None = None) -> Finding:
    """Clients accept it today, and will for another two weeks."""
    check, now = "certificate", now or datetime.now(UTC)
    certificate = find_certificate(server)
    validity = None if certificate is None else certificate.validity
    if validity is None:
        detail = f"{server.tls_cert}: from when until when it is valid cannot be told"
        return Finding(check=check, state="note", detail=detail)
    if fault := validity.fault(now):
        return Finding(
            check=check, state="failed", detail=f"{fault}: clients refuse it", remedy=RENEW
        )
    detail = f"valid until {validity.ends:%Y-%m-%d %H:%M} UTC"
    left = validity.ends - now
    if left < timedelta(days=RENEWAL_DAYS):
        detail = f"{detail}, which is in {left.days} days: {RENEW}"
        return Finding(check=check, state="note", detail=detail)
    return Finding(check=check, state="ok", detail=detail)


def check_temperature(rules: Thermal | None = None) -> Finding:
    """The processor's sensor, and what its temperature means. A machine without one does
    without."""
    rules = rules or Thermal()
    check = "temperature"
    if not rules.enabled:
        return Finding(
            check=check,
            state="note",
            detail="thermal.enabled is off: voiced does not react to heat",
        )
    reading = read_temperature(source=rules.source)
    if reading is None or not is_plausible(reading.celsius):
        where = rules.source or "the processor"
        told = "no sensor" if reading is None else f"{reading.celsius:g} °C, which cannot be"
        return Finding(
            check=check,
            state="failed" if rules.source else "note",
            detail=f"{where}: {told}: voiced will not react to heat",
            remedy="set thermal.source to a file with a temperature, or leave it empty"
            if rules.source
            else "",
        )
    level = level_at(rules, reading.celsius)
    detail = f"{reading.celsius:.0f} °C, which is {level.word} ({reading.source})"
    if level >= Level.HOT:
        return Finding(
            check=check,
            state="note",
            detail=f"{detail}: so hot that the processor is slowed down; a fan or heat sink helps",
        )
    return Finding(check=check, state="ok", detail=detail)


def check_clock(now: float | None = None, *, synchronised: bool | None = None) -> Finding:
    """Its year makes sense, and somebody sets it."""
    year = time.gmtime(time.time() if now is None else now).tm_year
    if year < FIRST_SANE_YEAR:
        return Finding(
            check="clock",
            state="note",
            detail=f"the clock says {year}: the assistant will tell a wrong time, and "
            "certificates fail; connect to a network with NTP, or set it",
        )
    if not (is_synchronised() if synchronised is None else synchronised):
        return Finding(
            check="clock", state="note", detail="not synchronised by NTP: the time may drift"
        )
    return Finding(check="clock", state="ok", detail="synchronised")


def is_synchronised() -> bool:
    """True where systemd-timesyncd or the kernel says so; asks no other program."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    # adjtimex(2) with no mode set only reads. `struct timex` has 208 bytes on 64-bit Linux; its
    # answer is TIME_ERROR (5) while nobody keeps the clock.
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return False
    return 0 <= state < 5


def check_memory(available: int | None = None) -> Finding:
    """Enough is available for the daemon and its engines."""
    if available is None:
        available = psutil.virtual_memory().available
    detail = f"{_size(available)} available"
    if available < NEEDED_MEMORY_BYTES:
        return Finding(
            check="memory",
            state="failed",
            detail=detail,
            remedy=f"end other programs, or add swap: {_size(NEEDED_MEMORY_BYTES)} are needed",
        )
    return Finding(check="memory", state="ok", detail=detail)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
