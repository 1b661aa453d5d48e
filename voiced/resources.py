"""Where voiced finds the files it ships with: the sentences, the home, the commented settings."""

from __future__ import annotations

from pathlib import Path

from voiced.errors import StartupError


def default_config(name: str) -> Path:
    """The shipped file `name`, such as `voiced.toml` or `assistant/en.yaml`.

    A wheel carries `config/` beside the code as `voiced/_config`; a checkout, also when it is
    installed editable, has it beside the package. Raises `StartupError` where neither has it.
    """
    package = Path(__file__).resolve().parent
    for directory in (package / "_config", package.parent / "config"):
        path = directory / name
        if path.is_file():
            return path
    raise StartupError(
        f"the shipped file {name} is missing from {package}: voiced is not installed completely",
        public="voiced is not installed completely",
    )


def checkout_script(name: str) -> Path | None:
    """The script `name` of the checkout that this runs from; None where it runs from none."""
    path = Path(__file__).resolve().parents[1] / "scripts" / name
    return path if path.is_file() else None
