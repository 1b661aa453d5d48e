"""`voiced models recommend`, and the settings by which an engine uses a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from voiced.cli.options import print_json
from voiced.errors import UsageError
from voiced.models.naming import KEYS

if TYPE_CHECKING:
    import argparse


def show_setting(engine: str, name: str) -> str:
    """The lines of a settings file by which `engine` uses the model `name`, without a line's end.
    The name of a model needs no escape in them (`is_safe_name`)."""
    section, _, key = KEYS[engine].partition(".")
    return f'[{section}]\nengine = "{engine}"\n{key} = "{name}"'


def run_recommend(args: argparse.Namespace) -> int:
    """Print a set of models, how to get them, and the settings that use them. Asks nobody."""
    from voiced.engines.memory import free_memory, whole_memory
    from voiced.models.recommended import GB, MB, SERVICE_SHARE, set_for

    given = args.memory_gb
    if given is not None and not 0 < given < 10_000:
        raise UsageError("--memory-gb takes a number above 0")
    memory = int(given * GB) if given else whole_memory()
    chosen = set_for(memory)
    room = int(memory * SERVICE_SHARE)
    if not given:
        room = min(room, free_memory())
    fits = chosen.memory_bytes <= room
    if args.json:
        about = {"size_mb": chosen.size_mb, "memory_mb": chosen.memory_mb, "fits": fits}
        choices = [
            {**msgspec.to_builtins(choice), "memory_mb": choice.memory_mb}
            for choice in chosen.choices
        ]
        print_json({"memory_gb": chosen.memory_gb, "choices": choices, **about})
        return 0
    print(f"for a machine of {chosen.memory_gb} GB and more; memory is estimated\n")
    for choice in chosen.choices:
        print(f"{choice.engine}: {choice.name}")
        print(f"    {choice.size_mb} MB, memory {choice.memory_mb} MB, licence {choice.licence}")
        print(f"    voiced models add {choice.source}")
    print(
        f"\ntogether {chosen.size_mb} MB to fetch, {chosen.memory_mb} MB of memory at work, of "
        f"which {chosen.rest_mb} MB are for the daemon and the assistant"
    )
    if not fits:
        print(
            f"voiced may take {room // MB} MB here{'' if given else ' now'}, and would not start "
            "with all of them: use one or two, or end other programs"
        )
    settings = "\n\n".join(show_setting(choice.engine, choice.name) for choice in chosen.choices)
    print(f"\nthe settings that use them:\n\n{settings}")
    return 0
