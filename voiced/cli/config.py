"""`voiced config check` and `voiced config show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.cli.options import add_config_option, add_json_option
from voiced.errors import SettingsError
from voiced.faults import find_all_faults
from voiced.settings_loader import Loaded, load
from voiced.settings_text import toml_of

if TYPE_CHECKING:
    import argparse

HIDDEN = "(set, not shown)"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its two sub-commands."""
    parser = subparsers.add_parser("config", help="check the settings, or show them")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check = actions.add_parser(
        "check", help="exit 0 where voiced serve can start with the settings, 2 otherwise"
    )
    show = actions.add_parser("show", help="print every effective setting and where it comes from")
    for action in (check, show):
        add_config_option(action)
        add_json_option(action)
    check.set_defaults(run=run_check)
    show.set_defaults(run=run)


def run_check(args: argparse.Namespace) -> int:
    """Tell every mistake, a line each, and end with 2; or say that there is none."""
    mistakes = [str(fault) for fault in find_all_faults(args.config)]
    if mistakes:
        if args.json:
            _print_json({"ok": False, "mistakes": mistakes})
        for mistake in () if args.json else mistakes:
            print(f"voiced: {mistake}", file=sys.stderr)
        return SettingsError.exit_code
    loaded = load(args.config)
    if args.json:
        _print_json({"ok": True, "sources": sorted(set(loaded.sources.values()))})
    else:
        places = ", ".join(sorted(set(loaded.sources.values()))) or "defaults only"
        print(f"the settings are in order ({places}); voiced doctor tries the engines too")
    return 0


def run(args: argparse.Namespace) -> int:
    """Print the effective settings: as TOML with comments, or as JSON."""
    loaded = load(args.config)
    values = shown(loaded)
    if args.json:
        _print_json({"settings": values, "sources": loaded.sources})
        return 0
    for number, (section, keys) in enumerate(values.items()):
        print(f"{chr(10) if number else ''}[{section}]")
        for key, value in keys.items():
            source = loaded.sources.get(f"{section}.{key}", "default")
            print(f"{key} = {toml_of(value)}  # {source}")
    return 0


def shown(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """The settings as plain data, without the token."""
    values: dict[str, dict[str, Any]] = msgspec.to_builtins(loaded.settings)
    if values["auth"]["token"]:
        values["auth"]["token"] = HIDDEN
    return values


def _print_json(data: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")
