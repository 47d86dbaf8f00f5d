"""Build the orchestrator's image, unless the engine has it: `scripts/setup orchestrator-image`.

The image is tagged by its content and, for compose.yaml, as `fumehood:latest`. Its packages come from wheels that the
host's pip downloads, like those of the sandbox image.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from contextlib import suppress
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError

from orchestrator.errors import OrchestratorError
from orchestrator.sandbox import base_image, image, wheels
from orchestrator.sandbox.engine import connect
from orchestrator.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("orchestrator", "llm_server", "sandbox_image")
BUILD = ("pip==26.3", "setuptools==84.2.1")


def main() -> None:
    """Build and tag; one line on stderr for each step, the tag on stdout."""
    files = _source()
    base = Settings().base_image
    content = hashlib.sha256(base.encode())
    for name, path in sorted(files.items()):
        content.update(f"\0{name}\0".encode() + path.read_bytes())
    tag = f"fumehood:{content.hexdigest()[:12]}"
    client = connect(timeout=600.0)
    if image.find(tag) is None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        requirements = [*project["dependencies"], *project["optional-dependencies"]["embedded"], *BUILD]
        resolved = base_image.resolve(client, base, _say)
        fetched = wheels.fetch(requirements, machine=image.machine(client), constraints=ROOT / "constraints.txt", progress=_say)
        context = {**files, **{f"wheels/{path.name}": path for path in fetched}}
        image.build_from(client, context, [tag], {"BASE_IMAGE": resolved}, _say)
    client.images.get(tag).tag("fumehood", "latest")
    _remove_older(client, tag)
    client.close()
    print(tag)


def _remove_older(client: DockerClient, tag: str) -> None:
    """Every change of the source makes an image; only the newest and those in use are kept."""
    for found in client.images.list("fumehood", filters={"label": "fumehood.orchestrator=1"}):
        for name in set(found.tags) - {tag, "fumehood:latest"}:
            with suppress(APIError):
                client.images.remove(name)


def _source() -> dict[str, Path]:
    paths = [ROOT / name for name in ("Dockerfile", "pyproject.toml", "constraints.txt", "README.md")]
    for room in ROOMS:
        paths += [path for path in (ROOT / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(ROOT)): path for path in paths if path.exists()}


def _say(line: str) -> None:
    print(f"orchestrator image: {line}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except OrchestratorError as exc:
        sys.exit(f"orchestrator image: {exc}")
