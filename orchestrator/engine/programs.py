"""Programs of ours that run inside the sandbox, as the package that ships them keeps them in its `sandboxed/`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def sandboxed(package: str, name: str) -> str:
    """Source of `name`, a module in the folder `sandboxed` of a package."""
    return (files(package) / "sandboxed" / f"{name}.py").read_text(encoding="utf-8")
