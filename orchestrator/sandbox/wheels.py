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

TORCH_CPU = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of CPU wheels, from its install page. PyPI has only the CUDA build for Linux on x86_64."""

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
    that is not named. Without `cuda`, a build of torch that wants CUDA never travels: where pip would choose one, PyTorch's
    own CPU wheels are taken (or those of `FUMEHOOD_TORCH_INDEX`). An interrupted download continues where it was.

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
        if not cuda:
            selection += _index_without_cuda(selection, machine, settings.torch_index, progress)
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


def _index_without_cuda(selection: Sequence[str], machine: str, torch_index: str, progress: Callable[[str], None]) -> list[str]:
    """Options with which pip chooses no CUDA build: none, or a further index.

    Raises:
        PrerequisiteError: there is only the CUDA build.
    """
    chosen = [f"--extra-index-url={torch_index}"] if torch_index else []
    name = _wants_cuda([*selection, *chosen], machine)
    if name and not torch_index:
        progress(f"The package index has only the CUDA build of {name}: the CPU build comes from {TORCH_CPU}.")
        chosen = [f"--extra-index-url={TORCH_CPU}"]
        name = _wants_cuda([*selection, *chosen], machine)
    if name:
        raise PrerequisiteError(
            f"There is only the CUDA build of {name}, gigabytes that a machine without a GPU has no use for; "
            f"{torch_index or TORCH_CPU} gave no CPU build.",
            remedy="Let this machine reach that index, set FUMEHOOD_TORCH_INDEX to a mirror of PyTorch's CPU wheels, "
            "or run `fumehood image build --variant cuda`.",
        )
    return chosen


def _wants_cuda(selection: Sequence[str], machine: str) -> str:
    """The package that pip would choose in a build for CUDA, by what it says it needs; empty where there is none."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report=-", "--target=/nonexistent"]
    report = "".join(_pip(["install", *options, *selection, *_target(machine)]))
    for item in json.loads(report)["install"]:
        if any(_CUDA.match(need) for need in item["metadata"].get("requires_dist", [])):
            return str(item["metadata"]["name"])
    return ""


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
            problems = [line.strip() for line in errors if line.startswith("ERROR:") or "No module named pip" in line]
            raise PrerequisiteError(
                f"pip could not download the image's packages: {problems[-1] if problems else f'exit code {process.returncode}'}",
                remedy="Check that `pip download numpy` works here: network, proxy and index settings are pip's own.",
            )
