"""Settings: from the environment (`FUMEHOOD_*`), overridden by command-line options.

Each field's environment variable is `FUMEHOOD_` and its name in capitals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.documented import Documented


def _home() -> Path:
    return Path.home() / ".cache" / "fumehood"


class Settings(BaseSettings, metaclass=Documented):
    """Everything that a user may set once for all commands."""

    model_config = SettingsConfigDict(env_prefix="FUMEHOOD_", extra="ignore")

    home: Path = Field(default_factory=_home)
    """Folder for the run store, weights and build caches."""
    db: str = ""
    """SQLAlchemy URL of the run store; empty means SQLite in `home`."""
    base_url: str = ""
    """Model server; empty means the embedded one, started when needed."""
    model: str = ""
    """Model name for the server, or `0.5b`/`1.5b` for the embedded one (default 1.5b)."""
    api_key: str = ""
    """Bearer token for the model server."""
    image: str = ""
    """Sandbox image; empty means the tag computed from `sandbox_image/`."""
    base_image: str = ""
    """What the images are built on; empty means `python:3.11-slim-bookworm`, or a base made here where no registry answers."""
    torch_index: str = ""
    """URL of a package index with PyTorch's CPU wheels; empty means pip's own, and PyTorch's where that has none."""
    runtime: str = ""
    """OCI runtime (`runc`, `runsc`, `kata`, ...); empty means the engine's default."""
    isolation: Literal["auto", "namespace", "container"] = "auto"
    """What each run gets: fresh namespaces in a worker container, or a whole container. `auto` is `namespace` where the host
    allows it."""
    gpus: str = ""
    """GPUs for sandboxes: empty for none, `all`, or numbers and UUIDs as `nvidia-smi -L` shows them, separated by commas."""
    gpu_slots: int = Field(default=1, ge=1, le=64)
    """Sandboxes on each GPU at once: 1 is exclusive, k share it with 1/k of its memory each."""
    workers: int = Field(default=2, ge=1, le=256)
    """Sandboxes kept warm, and runs at once."""
    data: Path | None = None
    """Folder with data sets."""

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the run store."""
        return self.db or f"sqlite:///{self.home / 'runs.sqlite3'}"
