"""What keeps the daemon from starting, found before it starts: for serve, config check, doctor."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.engines.http.keys import check_servers
from voiced.engines.registry import NO_ENGINE, SERVED_KINDS, configured
from voiced.errors import SettingsError
from voiced.settings_loader import Loaded, find_mistakes, load
from voiced.thermal.governor import check_rules
from voiced.web.auth import require_token
from voiced.web.tls import find_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voiced.settings import Settings


def load_faultless(config: Path | None) -> Loaded:
    """The settings, with which the daemon can start as far as can be told without starting it.

    Raises `SettingsError`, in an `ExceptionGroup` where there are several faults: all of them.
    """
    faults = find_all_faults(config)
    if len(faults) > 1:
        raise ExceptionGroup("the settings are wrong", faults)
    if faults:
        raise faults[0]
    return load(config)


def find_all_faults(config: Path | None) -> list[SettingsError]:
    """Everything that is wrong with the settings. Those that are not well-formed come alone, since
    what goes with a value that is wrong cannot be judged."""
    mistakes = find_mistakes(config)
    return mistakes or find_faults(load(config).settings)


def find_faults(settings: Settings, *, engines: bool = True) -> list[SettingsError]:
    """What is wrong with well-formed settings: the token, the certificate and other files, and,
    where wanted, the names of engines."""
    return list(_faults(settings, engines=engines))


def _faults(settings: Settings, *, engines: bool) -> Iterator[SettingsError]:
    checks: list[Callable[[], object]] = [
        lambda: require_token(settings),
        lambda: find_certificate(settings.server),
        lambda: check_rules(settings.thermal),
        lambda: check_readable("llm.sentences", settings.llm.sentences),
        lambda: check_readable("llm.home", settings.llm.home),
    ]
    if engines:
        kinds = [kind for kind in SERVED_KINDS if getattr(settings, kind).engine != NO_ENGINE]
        checks += [partial(configured, settings, kind) for kind in kinds]
    checks += [partial(check_servers, settings, kind) for kind in SERVED_KINDS]
    for check in checks:
        try:
            check()
        except SettingsError as error:
            yield error


def check_readable(setting: str, name: str) -> None:
    """Raise `SettingsError` where the file that a setting names cannot be read."""
    if name:
        path = Path(name).expanduser()
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            raise SettingsError(f"{setting}: {path} cannot be read: {error.strerror}") from error
