"""The base of the images: pulled from a registry, or made from Debian packages where no registry answers.

`python:3.11-slim-bookworm` is what people expect. A machine that reaches no registry but has Debian's mirrors gets
`fumehood-base:bookworm`, a minimal Debian with the same Python, made by mmdebstrap. The Dockerfiles work on both.

Left out: other ways to a root file system. Any image with Python 3.11 will do: name it in FUMEHOOD_BASE_IMAGE.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import PrerequisiteError
from orchestrator.sandbox.engine import translated
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from docker import DockerClient

OFFICIAL = "python:3.11-slim-bookworm"
_SUITE = "bookworm"
_PACKAGES = ("usr-is-merged", "python3", "libgomp1", "libstdc++6", "ca-certificates")
_OPTIONS = (
    "--variant=essential",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    f"--include={','.join(_PACKAGES)}",
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale", "info")),
)
_MADE = f"fumehood-base:{_SUITE}-{hashlib.sha256(' '.join(_OPTIONS).encode()).hexdigest()[:12]}"
_PULL_SILENCE = 60.0
"""Seconds without a word from the registry before a pull counts as failed."""


def resolve(client: DockerClient, base: str, progress: Callable[[str], None]) -> str:
    """Name an image that the engine has, getting it first where needed. Empty `base` means the default.

    Raises:
        PrerequisiteError: it can neither be pulled nor made here.
    """
    from docker.errors import ImageNotFound

    for candidate in (base,) if base else (OFFICIAL, _MADE):
        try:
            client.images.get(candidate)
        except ImageNotFound:
            continue
        return candidate
    wanted = base or OFFICIAL
    refusal = _pull(wanted, progress)
    if not refusal:
        return wanted
    if base:
        raise PrerequisiteError(
            f"The base image {base} is not here and cannot be pulled: {refusal}",
            remedy="Name one that the engine has or can pull (FUMEHOOD_BASE_IMAGE), or none for the default.",
        )
    progress(f"{OFFICIAL} cannot be pulled ({refusal}); making a base from Debian packages instead")
    _make(client, progress)
    return _MADE


def _pull(name: str, progress: Callable[[str], None]) -> str:
    """Pull an image. Returns why that failed, in one line, or an empty string."""
    from docker.errors import APIError

    from orchestrator.sandbox.engine import connect

    progress(f"pulling {name}")
    repository, tag = (name, None) if "@" in name or ":" in name.rpartition("/")[2] else (name, "latest")
    client = connect(timeout=_PULL_SILENCE)
    error = ""
    try:
        with translated():
            for event in client.api.pull(repository, tag=tag, stream=True, decode=True):
                error = str(event.get("error", error))
    except APIError as exc:
        return _one_line(exc.explanation or str(exc))
    except PrerequisiteError as exc:
        return f"the registry was silent for {_PULL_SILENCE:.0f} s" if "timed out" in str(exc).lower() else exc.message
    finally:
        client.close()
    return _one_line(error)


def _make(client: DockerClient, progress: Callable[[str], None]) -> None:
    tarball = Settings().home / "base" / f"{_MADE.partition(':')[2]}.tar"
    if not tarball.is_file():
        _debootstrap(tarball, progress)
    progress(f"importing {_MADE}")
    repository, _, tag = _MADE.partition(":")
    with translated():
        client.api.import_image_from_file(str(tarball), repository=repository, tag=tag)


def _debootstrap(tarball: Path, progress: Callable[[str], None]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PrerequisiteError(
            f"No base image: {OFFICIAL} cannot be pulled, and only root on Debian can make one here.",
            remedy="Load an image with Python 3.11 (`docker load`) and name it in FUMEHOOD_BASE_IMAGE.",
        )
    progress("apt-get update")
    _command(["apt-get", "update", "-q"])
    if shutil.which("mmdebstrap") is None:
        progress("apt-get install mmdebstrap")
        _command(["apt-get", "install", "-q", "-y", "--no-install-recommends", "mmdebstrap"])
    fields = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    sources = _command(["apt-get", "indextargets", "--format", fields, "Created-By: Packages", "Origin: Debian"])
    # The host's own mirrors serve a host of the same suite; others let mmdebstrap choose the mirror.
    lines = sorted({line for line in sources.splitlines() if f" {_SUITE}" in line})
    suite, mirrors = ("", "\n".join(lines)) if lines else (_SUITE, None)
    progress(f"mmdebstrap: Debian {_SUITE} with {', '.join(_PACKAGES)}")
    tarball.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tarball.with_suffix(".unfinished.tar")
    _command(["mmdebstrap", *_OPTIONS, suite, str(unfinished), *(["-"] if mirrors else [])], stdin=mirrors)
    unfinished.rename(tarball)


def _command(arguments: Sequence[str], stdin: str | None = None) -> str:
    """Run a command of the host and return its stdout.

    Raises:
        PrerequisiteError: it failed; the sentence carries the last line of its stderr.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        errors = (
            [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines() or ["no message"]
        )
        raise PrerequisiteError(
            f"`{arguments[0]}` failed while making the base image: {errors[0]}",
            remedy="Check that `apt-get update` works here, or name a base image in FUMEHOOD_BASE_IMAGE.",
        )
    return done.stdout


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
