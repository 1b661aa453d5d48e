"""What the routes of the HTTP application work with."""

from __future__ import annotations

import msgspec

from voiced.engines.ports import Llm, Stt, Tts
from voiced.inspector import Inspector
from voiced.jobs.desk import Desk
from voiced.realtime.secrets import ClientSecrets
from voiced.settings import Settings
from voiced.telemetry.insights import Insights
from voiced.telemetry.metrics import Metrics
from voiced.telemetry.tally import Tally
from voiced.tools.toolbox import Toolbox


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The running parts of the daemon that HTTP requests use.

    An engine works for whoever `voiced.engines.owner.request_owner` names; the application sets
    that for each request to the address of its client, so that a batch of uploads takes turns
    with the conversations that go on.
    """

    settings: Settings
    stt: Stt
    llm: Llm
    tts: Tts
    toolbox: Toolbox
    client_secrets: ClientSecrets
    inspector: Inspector
    tally: Tally
    insights: Insights
    metrics: Metrics
    jobs: Desk
    began: int = 0
    """When the daemon started, in seconds since 1970."""
