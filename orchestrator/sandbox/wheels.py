"""Wheels for images, downloaded by the host's own pip.

A build sees no network: mirrors, proxies and private certificates that work for pip on the host just work, and an
image needs none of them. Wheels are kept under `<home>/wheels`, in a folder named by what was asked for; a missing
cache costs time, nothing else.

Left out: source distributions. What has no wheel cannot go into an image.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestrator.errors import PrerequisiteError
from orchestrator.settings import Settings

PYTHON = "3.11"
"""Version of Python in the images; wheels are chosen for it, whatever runs here."""

_GLIBC = range(36, 16, -1)  # Debian bookworm has glibc 2.36; wheels are tagged with the oldest one they work on.
_CUDA = re.compile(r"^(nvidia|cuda|triton)\b")


def lines(path: Path) -> list[str]:
    """The requirements that a file names, without its comments."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]


def fetch(
    requirements: Sequence[str],
    *,
    machine: str,
    constraints: Path | None = None,
    cuda: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Download the wheels that requirements name, for Linux on `machine` (`x86_64`, `aarch64`).

    With `constraints` or `cuda`, what they need comes along (at the constrained versions); otherwise nothing is fetched
    that is not named. Without `cuda`, a build of torch that wants CUDA is refused before its gigabytes travel. An
    interrupted download continues where it was.

    Raises:
        PrerequisiteError: pip is missing, cannot reach an index, or finds no fitting wheel.
    """
    settings = Settings()
    pins = lines(constraints) if constraints else []
    key = hashlib.sha256(json.dumps([*requirements, pins, machine, PYTHON, cuda, settings.torch_index]).encode())
    folder = settings.home / "wheels" / key.hexdigest()[:12]
    if not folder.is_dir():
        selection = [*requirements]
        if constraints:
            selection.append(f"--constraint={constraints}")
        elif not cuda:
            selection.append("--no-deps")
        if settings.torch_index and not cuda:
            selection.append(f"--extra-index-url={settings.torch_index}")
        if not cuda:
            _refuse_cuda(selection, machine)
        unfinished = folder.with_suffix(".unfinished")
        unfinished.mkdir(parents=True, exist_ok=True)
        for path in unfinished.glob("*.whl"):
            if not zipfile.is_zipfile(path):  # pip takes a file of the right name for whole, cut off or not
                path.unlink()
        count = 0
        for line in _pip(["download", *selection, *_target(machine), f"--dest={unfinished}", "--progress-bar=off"]):
            if line.strip().startswith("Saved "):
                count += 1
                progress(f"wheel {count}: {Path(line.strip().removeprefix('Saved ')).name}")
        unfinished.rename(folder)
    return sorted(folder.glob("*.whl"))


def _refuse_cuda(selection: Sequence[str], machine: str) -> None:
    report = "".join(
        _pip(
            [
                "install",
                "--dry-run",
                "--ignore-installed",
                "--quiet",
                "--report=-",
                "--target=/nonexistent",
                *selection,
                *_target(machine),
            ]
        )
    )
    for item in json.loads(report)["install"]:
        if any(_CUDA.match(need) for need in item["metadata"].get("requires_dist", [])):
            name = item["metadata"]["name"]
            raise PrerequisiteError(
                f"The package index offers only the CUDA build of {name}, gigabytes that a machine without a GPU has no use for.",
                remedy="Set FUMEHOOD_TORCH_INDEX to the index of CPU wheels that PyTorch's install page names, "
                "or run `fumehood image build --variant cuda`.",
            )


def _target(machine: str) -> list[str]:
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC] + [f"manylinux2014_{machine}", f"linux_{machine}"]
    return [
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={PYTHON}",
        "--abi=cp311",
        "--abi=abi3",
        "--abi=none",
        *[f"--platform={platform}" for platform in platforms],
    ]


def _pip(arguments: Sequence[str]) -> Iterator[str]:
    """Run pip and yield the lines of its stdout as they come.

    Raises:
        PrerequisiteError: it failed; the sentence carries pip's own last error.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            yield from process.stdout
        if process.returncode:
            errors.seek(0)
            told = [line.strip() for line in errors if line.startswith("ERROR:") or "No module named pip" in line]
            raise PrerequisiteError(
                f"pip could not download the image's packages: {told[-1] if told else f'exit code {process.returncode}'}",
                remedy="Check that `pip download numpy` works here: network, proxy and index settings are pip's own.",
            )
