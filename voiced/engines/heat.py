"""What engines do about heat: when it is critical, they work for conversations alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from voiced.thermal.level import Level
from voiced.thermal.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voiced.engines.host import EngineHost
    from voiced.thermal.heat import Heat
    from voiced.thermal.level import HeatChange

log = structlog.get_logger(__name__)


def follow_heat(heat: Heat, hosts: Iterable[EngineHost]) -> None:
    """Have the hosts hold off what is no conversation for as long as the level is critical."""
    hosts = tuple(hosts)

    def hold_off() -> None:
        reason = words_of(heat) if heat.level is Level.CRITICAL else None
        ended = {
            f"{host.spec.kind}.{host.spec.name}": count
            for host in hosts
            if (count := host.hold_off(reason))
        }
        if ended:
            log.warning("cancelled work for the heat", requests=ended)

    def told(change: HeatChange) -> None:
        if Level.CRITICAL in (change.before, change.after):
            hold_off()

    heat.subscribe(told)
    hold_off()
