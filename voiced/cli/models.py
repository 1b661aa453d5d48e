"""`voiced models`: what models there are, and how they come and go."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from voiced.cli.options import add_config_option, add_json_option, print_json
from voiced.cli.progress import show_progress
from voiced.cli.recommend import run_recommend, show_setting
from voiced.cli.running import run_trio
from voiced.errors import ModelError, StorageError, UsageError
from voiced.models.directory import ModelsDirectory
from voiced.models.usage import uses_of
from voiced.settings_loader import load_settings, models_directory, state_directory

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from voiced.models.directory import Model
    from voiced.models.manifest import Manifest

SOURCES = """\
SOURCE is
  a path             a .gguf file, an .onnx file with its .onnx.json beside it, or a directory with
                     a CTranslate2 model of Whisper; it is copied
  https://…          one .gguf file, or one .onnx file with its .json beside it
  hf:OWNER/REPOSITORY[@REVISION][/FILE]
                     the model of a repository of the Hugging Face hub, or one of its files

What an interruption leaves is continued when the same source is added again."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    import argparse

    parser = subparsers.add_parser("models", help="list, add, check, remove and recommend models")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="tell which models there are")
    listing.set_defaults(run=run_list)
    add = actions.add_parser(
        "add",
        help="copy or fetch a model",
        description="Put a model into the models directory.",
        epilog=SOURCES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add.add_argument("source", metavar="SOURCE", help="where it is now; see below")
    add.add_argument("--name", default="", help="what to call it here (default: as it is there)")
    add.add_argument("--sha256", default="", metavar="HEX", help="what its main file must have")
    add.add_argument("--licence", default="", help="to be kept with it, where the source has none")
    add.set_defaults(run=run_add)
    verify = actions.add_parser("verify", help="compare models with what they were when added")
    verify.add_argument("names", nargs="*", metavar="NAME", help="which (default: all)")
    verify.set_defaults(run=run_verify)
    remove = actions.add_parser("remove", help="delete a model")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--force", action="store_true", help="even if the settings use it")
    remove.set_defaults(run=run_remove)
    recommend = actions.add_parser("recommend", help="name models that fit this machine")
    recommend.add_argument(
        "--memory-gb", type=float, metavar="GB", help="of another machine (default: this one's)"
    )
    recommend.set_defaults(run=run_recommend)
    for action in (listing, add, verify, remove, recommend):
        add_config_option(action)
        add_json_option(action)


def run_list(args: argparse.Namespace) -> int:
    """Print the models, and what is wrong in their directory; 1 where anything is."""
    settings = load_settings(args.config)
    directory = ModelsDirectory(models_directory(settings.store))
    listing = directory.look()
    rows = [_row(model, uses_of(settings, model, listing.models)) for model in listing.models]
    if args.json:
        print_json({"directory": str(directory.path), "models": rows, "faults": listing.faults})
    elif rows:
        for line in _table(rows):
            print(line)
    elif not listing.faults:
        print(f"no models in {directory.path}; `voiced models add --help` tells how to add one")
    for fault in () if args.json else listing.faults:
        print(f"voiced: {fault}", file=sys.stderr)
    return 1 if listing.faults else 0


def _row(model: Model, uses: tuple[str, ...]) -> dict[str, object]:
    manifest = model.manifest
    return {
        "name": model.name,
        "engine": model.engine,
        "size": model.size,
        "licence": manifest.licence if manifest else "",
        "source": manifest.source if manifest else "",
        "added": manifest.added if manifest else "",
        "used_by": uses,
        "path": model.path,
    }


def _table(rows: list[dict[str, object]]) -> list[str]:
    cells = [("NAME", "ENGINE", "SIZE", "LICENCE", "SOURCE")]
    for row in rows:
        name = f"{row['name']} *" if row["used_by"] else str(row["name"])
        size = show_size(int(str(row["size"])))
        source = str(row["source"]) or "(put here by hand)"
        cells.append((name, str(row["engine"]), size, str(row["licence"]) or "not known", source))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [
        "  ".join(
            [*(f"{cell:{width}}" for cell, width in zip(line, widths, strict=False)), line[4]]
        )
        for line in cells
    ]
    used = any(row["used_by"] for row in rows)
    return [*lines, "", "* in use by the settings"] if used else lines


def run_add(args: argparse.Namespace) -> int:
    """Install it and tell how to use it."""
    from voiced.models.install import Installer, Request
    from voiced.models.source import LocalSource, parse_source

    settings = load_settings(args.config)
    sha256 = args.sha256.strip().lower()
    if sha256 and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise UsageError("--sha256 takes 64 hexadecimal digits")
    source = parse_source(args.source)
    if not settings.store.models:
        # As the daemon makes it: what else is to be kept there is nobody else's business.
        _make_private(state_directory(settings.store))
    request = Request(source=source, name=args.name, licence=args.licence, sha256=sha256)
    installer = Installer(models_directory(settings.store))
    with show_progress("looking", unit="bytes") as bar:

        def advance(done: float, total: float | None, doing: str) -> None:
            bar(done, doing, total)

        if isinstance(source, LocalSource):
            manifest = installer.add_local(request, advance)
        else:
            manifest = run_trio(installer.add_remote, request, advance)
    _tell_added(args, manifest)
    return 0


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StorageError(
            f"the state directory {directory} cannot be made ({exc.strerror}); set "
            "store.directory, or give this user the right to write there"
        ) from exc


def _tell_added(args: argparse.Namespace, manifest: Manifest) -> None:
    if args.json:
        print_json(msgspec.to_builtins(manifest))
        return
    licence = manifest.licence or "not known"
    print(
        f"added {manifest.name} for {manifest.engine}: {show_size(manifest.size)}, "
        f"licence {licence}, from {manifest.source}"
    )
    print("to use it, put this into the settings, and start voiced:\n")
    print(show_setting(manifest.engine, manifest.name))


def run_verify(args: argparse.Namespace) -> int:
    """Read every file again; 1 where one is not what it was."""
    settings = load_settings(args.config)
    directory = ModelsDirectory(models_directory(settings.store))
    listing = directory.look()
    models = [_find(directory, name) for name in args.names] or listing.models
    total = sum(model.size for model in models if model.manifest)
    results = []
    done = 0
    with show_progress("reading", total, unit="bytes") as bar:
        for model in models:

            def advance(step: int, name: str = model.name) -> None:
                nonlocal done
                done += step
                bar(done, f"reading {name}")

            results.append((model, directory.verify(model, advance)))
    wrong = [] if args.names else list(listing.faults)
    wrong += [fault for _, faults in results for fault in faults]
    if args.json:
        states = {model.name: _state(model, faults) for model, faults in results}
        print_json({"ok": not wrong, "models": states, "faults": wrong})
        return 1 if wrong else 0
    for model, faults in results:
        print(f"{_state(model, faults):9}  {model.name}")
    for fault in wrong:
        print(f"voiced: {fault}; remove the model and add it again", file=sys.stderr)
    return 1 if wrong else 0


def _state(model: Model, faults: list[str]) -> str:
    if model.manifest is None:
        return "unknown"  # put there by hand: nobody knows what it was
    return "damaged" if faults else "ok"


def run_remove(args: argparse.Namespace) -> int:
    """Delete it, unless the settings use it."""
    settings = load_settings(args.config)
    directory = ModelsDirectory(models_directory(settings.store))
    model = _find(directory, args.name)
    uses = uses_of(settings, model, directory.look().models)
    if uses and not args.force:
        raise UsageError(
            f"{model.name} is in use ({', '.join(uses)}): the daemon would not start without it; "
            "change the settings first, or use --force"
        )
    freed = directory.remove(model)
    if args.json:
        print_json({"removed": model.name, "size": model.size, "freed": freed})
    else:
        print(f"removed {model.name}: {show_size(freed)} are free again")
    return 0


def _find(directory: ModelsDirectory, name: str) -> Model:
    model = directory.find(name)
    if model is None:
        have = ", ".join(model.name for model in directory.look().models) or "none"
        raise ModelError(f"there is no model {name!r} in {directory.path} (there: {have})")
    return model


def show_size(count: int) -> str:
    """Bytes as people read them, in the units in which downloads are told."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
