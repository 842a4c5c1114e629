"""What the dashboard remembers of a person: the theme. It is nobody's configuration, so it is kept with other state."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from batchwasm.results import state_dir


def theme() -> str | None:
    """That was chosen last, on this machine."""
    file = _file()
    if file is None:
        return None
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    name = found.get("theme") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None


def keep_theme(name: str) -> None:
    """For the next time; where that can't be written it is forgotten."""
    file = _file()
    if file is None or theme() == name:
        return
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = file.with_name(f".{file.name}.part")
        beside.write_text(json.dumps({"theme": name}) + "\n", encoding="utf-8")
        beside.replace(file)


def _file() -> Path | None:
    folder = state_dir()
    return None if folder is None else folder / "dashboard.json"
