"""The sandbox image: built once per content, found by a tag that names the content.

`image_tag` hashes everything that goes into the image, so the tag of an unchanged checkout is already there and is
never built again, and a changed agent cannot run in yesterday's image. Computing it asks no engine.

Left out: pushing to a registry. `docker push` does that.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import sandbox_image
from orchestrator.errors import PrerequisiteError, UsageError, no_such
from orchestrator.sandbox import base_image, wheels
from orchestrator.sandbox.engine import connect, translated
from orchestrator.settings import Settings
from orchestrator.types import Value

if TYPE_CHECKING:
    from docker import DockerClient

Variant = Literal["cpu", "cuda"]
REPOSITORY = "fumehood-sandbox"
LABEL = "fumehood.image"
NO_IMAGE = (400, 404)
"""What an engine answers that has no image of a name, or that knows that no image can be called so."""
_STAGE_LABEL = "fumehood.stage"
_WITH_LABEL = "fumehood.with"
_PART = "[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What the engine puts around a step's stderr."""
_TAG = re.compile(rf"(?:{_PART}(?::\d+)?/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?", re.ASCII)
_ROOM = Path(sandbox_image.__file__).parent
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_LAYERS = """\
ARG IMAGE
FROM ${IMAGE}
USER 0:0
WORKDIR /
RUN python3 -c 'import sys; sys.version_info < (3, 11) and sys.exit("its Python is " + sys.version.split()[0])'
COPY prepare.py /opt/prepare.py
RUN python3 -I /opt/prepare.py
ENV HOME=/box LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
HEALTHCHECK NONE
ARG SOURCE
LABEL fumehood.image=1 fumehood.variant=from fumehood.from=${SOURCE}
COPY start.py /opt/agent/__main__.py
COPY agent/ /opt/agent/agent/
RUN python3 -m compileall -q /opt/agent && chmod -R a=rX /opt/agent && rm /opt/prepare.py
WORKDIR /box
ENTRYPOINT ["python3", "-I", "/opt/agent"]
USER 10001:10001
"""
"""What is laid on top of an image to make it a sandbox image. An image's PATH stays, and so does what python3 means in it."""


_MORE = """\
ARG IMAGE
FROM ${IMAGE} AS packages
LABEL fumehood.stage=packages
USER 0:0
COPY wheels/ /wheels/
COPY pip/ /pip/
RUN PYTHONPATH=$(echo /pip/*.whl) python3 -m pip install --no-index --no-deps --no-compile --no-cache-dir \\
        --disable-pip-version-check --root-user-action=ignore --target /opt/more /wheels/*.whl \\
 && rm -rf /opt/more/bin \\
 && { python3 -m compileall -qq -j 0 -s /opt/more -p /opt/venv/lib/python3.11/site-packages /opt/more || true; }
FROM ${IMAGE}
COPY --from=packages /opt/more /opt/venv/lib/python3.11/site-packages
ARG PACKAGES
LABEL fumehood.with=${PACKAGES}
"""
"""What is laid on top of our own image to add packages: nothing in it is replaced. The user and the agent stay what they are."""
_PACKAGE = re.compile(
    r"[a-z\d](?:[\w.-]*[a-z\d])?(?:\[[\w,. -]+\])?\s*(?:[<>=!~]=?=?\s*[\w.*+!-]+\s*,?\s*)*", re.ASCII | re.IGNORECASE
)
"""A requirement by name, such as `requests` or `pillow>=10,<13`: no path, no address, no option of pip's."""


class ImageInfo(Value):
    """One sandbox image that the engine has."""

    tag: str
    id: str
    """Digest that the engine gave it (`sha256:...`)."""
    size: int
    """Bytes, the base included."""
    created: float
    """Seconds since the epoch."""
    variant: str
    packages: str = ""
    """What it has besides, where it was built with more packages."""


def image_tag(variant: Variant = "cpu", base: str | None = None) -> str:
    """The tag of the image that this installation would build; no engine is asked.

    `base` is the base image's name; None takes FUMEHOOD_BASE_IMAGE.
    """
    if variant not in ("cpu", "cuda"):
        raise no_such("image variant", variant, ("cpu", "cuda"))
    if base is None:
        base = Settings().base_image
    return f"{REPOSITORY}:{variant}-{_content(_files(), variant, base)}"


def tag_for(settings: Settings) -> str:
    """The image that these settings mean: the one they name, else ours, with CUDA where they name GPUs."""
    return settings.image or image_tag("cuda" if settings.gpus else "cpu", settings.base_image)


def how_to_build(tag: str, there: Iterable[str] = ()) -> str:
    """The command that makes the usual image of that tag; for another one, what is `there` and how others are made."""
    if tag.startswith((f"{REPOSITORY}:cpu-", f"{REPOSITORY}:cuda-")) and "-with-" not in tag:
        return "Run `fumehood image build --variant cuda`." if ":cuda-" in tag else "Run `fumehood image build`."
    has = ", ".join(there)
    return (
        f"{f'It has {has}. ' if has else ''}`fumehood image build --with PACKAGES` makes one with more packages,"
        " `fumehood image from IMAGE` one of any image."
    )


def find(tag: str) -> ImageInfo | None:
    """The image of that tag, or None.

    Raises:
        PrerequisiteError: the engine does not answer.
    """
    with _engine() as client:
        return _find(client, tag)


def require(tag: str) -> ImageInfo:
    """The image of that tag.

    Raises:
        PrerequisiteError: it was not built, or the engine does not answer.
    """
    found = find(tag)
    if found is None:
        raise PrerequisiteError(f"The engine has no image {tag}.", remedy=how_to_build(tag, (info.tag for info in ls())))
    return found


def ls() -> list[ImageInfo]:
    """Every sandbox image that the engine has, newest first.

    Raises:
        PrerequisiteError: the engine does not answer.
    """
    with _engine() as client:
        images = client.images.list(filters={"label": f"{LABEL}=1"})
        return sorted((_info(image, tag) for image in images for tag in image.tags), key=lambda info: -info.created)


def rm(tag: str | None = None) -> list[str]:
    """Remove one sandbox image, or all of them and what their builds left. Returns the tags that are gone.

    Raises:
        PrerequisiteError: an image is in use by a container (nothing is forced), or the engine does not answer.
        UsageError: there is no sandbox image of that tag.
    """
    from docker.errors import APIError

    gone, kept = [], []
    with _engine() as client:
        tags = [name for image in client.images.list(filters={"label": f"{LABEL}=1"}) for name in image.tags]
        if tag is not None and tag not in tags:
            raise UsageError(f"There is no sandbox image {tag}.", remedy="`fumehood image ls` lists them.")
        for name in [tag] if tag else tags:
            try:
                client.images.remove(name)
            except APIError as exc:
                if exc.status_code != 409:
                    raise
                kept.append(name)
            else:
                gone.append(name)
        if tag is None:
            client.images.prune(filters={"dangling": True, "label": f"{_STAGE_LABEL}=packages"})
    if kept:
        raise PrerequisiteError(
            f"Still in use by a container, so kept: {', '.join(kept)}.",
            remedy="Stop the runs that use it (`docker ps` shows them), then try again.",
        )
    return gone


def build(variant: Variant = "cpu", base: str | None = None, progress: Callable[[str], None] = lambda line: None) -> ImageInfo:
    """Build the sandbox image, unless the engine has it already.

    `progress` is called with one line for each step. Two builds at once take turns.

    Raises:
        PrerequisiteError: no engine, no base image, no wheels, or a step of the build failed.
    """
    if base is None:
        base = Settings().base_image
    tag = image_tag(variant, base)
    with _engine() as client:
        found = _find(client, tag)
        if found is not None:
            return found
        with _turn():
            found = _find(client, tag)
            if found is None:
                resolved = base_image.resolve(client, base, progress)
                fetched = wheels.fetch(_requirements(variant), machine=machine(client), cuda=variant == "cuda", progress=progress)
                files = {**_files(), **{f"wheels/{path.name}": path for path in fetched}}
                build_from(client, files, [tag], {"BASE_IMAGE": resolved, "VARIANT": variant}, progress)
                found = _find(client, tag)
    if found is None:
        raise PrerequisiteError(f"The engine built {tag} and does not have it.", remedy="Check the engine's free disk space.")
    return found


def build_with(
    packages: Sequence[str],
    variant: Variant = "cpu",
    base: str | None = None,
    tag: str = "",
    progress: Callable[[str], None] = lambda line: None,
) -> ImageInfo:
    """Build the sandbox image with more packages, unless the engine has it already. What it has anyway keeps its version.

    `packages` are requirements by name (`requests`, `pillow>=10`); what they need comes along, as wheels that the host's pip
    fetches. `tag` is another name for the result, beside the one that names its content.

    Raises:
        PrerequisiteError: as `build`, or a package has no wheel for the image's Python beside what is in it.
        UsageError: one is not a valid package name, or `tag` is not valid, or names an image that is not a sandbox image.
    """
    wanted = sorted({" ".join(package.split()) for package in packages})
    for package in wanted:
        if not _PACKAGE.fullmatch(package):
            raise UsageError(f"{package!r} is not a valid package name.", remedy="Write one as for pip: requests, or pillow>=10.")
    below = build(variant, base, progress)
    made = f"{REPOSITORY}:{variant}-with-{_content({'Dockerfile': _MORE.encode()}, below.tag, *wanted)}"
    with _engine() as client:
        if tag:
            tag = _free_tag(client, tag)
        with _turn():
            if _find(client, made) is None:
                fetched = _more_wheels(wanted, machine(client), variant, progress)
                if any(name.startswith("wheels/") for name in fetched):
                    files = {"Dockerfile": _MORE.encode(), **fetched}
                    build_from(client, files, [made], {"IMAGE": below.tag, "PACKAGES": " ".join(wanted)}, progress)
                else:
                    progress("The sandbox image has all of that already.")
                    client.images.get(below.tag).tag(made)
        return _tagged(client, made, tag)


def _more_wheels(
    wanted: Sequence[str], processor: str, variant: Variant, progress: Callable[[str], None]
) -> dict[str, Path | bytes]:
    """Wheels of packages and of what they need, without those that our image has; and pip's own."""
    has = {_canonical(line.partition("==")[0]) for line in wheels.lines(_ROOM / "requirements.txt")}
    try:
        fetched = wheels.fetch(
            [*wanted, *wheels.lines(_ROOM / "requirements-build.txt")],
            machine=processor,
            constraints=_ROOM / "requirements.txt",
            cuda=variant == "cuda",
            progress=progress,
        )
    except PrerequisiteError as exc:
        raise PrerequisiteError(
            exc.message,
            remedy=f"Check the names: {', '.join(wanted)}. A package needs a wheel for Python {wheels.PYTHON} that goes with the"
            " versions in sandbox_image/requirements.txt; `fumehood image from` takes an image of your own.",
        ) from exc
    names = {path: _canonical(path.name.partition("-")[0]) for path in fetched}
    return {f"{'pip' if name == 'pip' else 'wheels'}/{path.name}": path for path, name in names.items() if name not in has}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def from_image(source: str, tag: str = "", progress: Callable[[str], None] = lambda line: None) -> ImageInfo:
    """Make a sandbox image of any image with Python 3.11 or newer and a shell, unless the engine has made it already.

    `source` is a name or an id; what the engine does not have is pulled. The agent is laid on top; the image's libraries are
    the ones that programs find. `tag` is another name for the result, beside the one that names its content.

    Raises:
        PrerequisiteError: no engine, no such image, or the image cannot be a sandbox; the sentence says why.
        UsageError: `tag` is not valid, or names an image that is not a sandbox image.
    """
    files: dict[str, Path | bytes] = {"Dockerfile": _LAYERS.encode(), "prepare.py": _ROOM / "prepare.py", **_agent_files()}
    with _engine() as client:
        if tag:
            tag = _free_tag(client, tag)
        below = _source(client, source, progress)
        volumes = sorted(below.attrs["Config"].get("Volumes") or {})
        if volumes:
            raise PrerequisiteError(
                f"The image {source} declares volumes ({', '.join(volumes)}): in them a program could leave things for the next.",
                remedy="Use an image without VOLUME; `docker export` and `docker import` make one that has none.",
            )
        made = f"{REPOSITORY}:from-{_content(files, below.id)}"
        with _turn():
            if _find(client, made) is None:
                arguments = {"IMAGE": below.id, "SOURCE": source}
                remedy = "Use an image that has python3 (3.11 or newer) on its PATH and /bin/sh, and check free disk space."
                build_from(client, files, [made], arguments, progress, remedy)
        return _tagged(client, made, tag)


def _tagged(client: DockerClient, made: str, tag: str) -> ImageInfo:
    """An image that was made, under its other name too if it is to have one."""
    if tag:
        client.images.get(made).tag(tag)
    found = _find(client, tag or made)
    if found is None:
        raise PrerequisiteError(f"The engine built {made} and does not have it.", remedy="Check the engine's free disk space.")
    return found


def _free_tag(client: DockerClient, tag: str) -> str:
    """The tag in full, if it may be given to a sandbox image."""
    from docker.errors import ImageNotFound

    if not _TAG.fullmatch(tag):
        raise UsageError(f"{tag!r} is not a valid image name.", remedy="Give one such as `my-sandbox:1`, in small letters.")
    if ":" not in tag.rpartition("/")[2]:
        tag += ":latest"
    try:
        labels = client.images.get(tag).labels
    except ImageNotFound:
        return tag
    if labels.get(LABEL) != "1":
        raise UsageError(f"The tag {tag} names an image that is not a sandbox image.", remedy="Choose another tag.")
    return tag


def _source(client: DockerClient, source: str, progress: Callable[[str], None]) -> Any:
    from docker.errors import APIError, ImageNotFound

    try:
        with contextlib.suppress(ImageNotFound):
            return client.images.get(source)
        return client.images.get(base_image.resolve(client, source, progress))
    except (PrerequisiteError, APIError) as exc:
        why = exc.message if isinstance(exc, PrerequisiteError) else exc.explanation or str(exc)
        raise PrerequisiteError(
            f"The image {source} is not here and cannot be pulled: {why.rpartition('be pulled: ')[2]}",
            remedy="Check its name; `docker images` lists what the engine has.",
        ) from exc


def machine(client: DockerClient) -> str:
    """The processor that the engine runs on, in the words of wheel tags (`x86_64`, `aarch64`)."""
    name = str(client.info()["Architecture"])
    return _MACHINES.get(name, name)


def build_from(
    client: DockerClient,
    files: Mapping[str, Path | bytes],
    tags: list[str],
    arguments: Mapping[str, str],
    progress: Callable[[str], None],
    remedy: str = "Check free disk space, and that the base image has Python 3.11 with the venv module.",
) -> None:
    """Build a Dockerfile from a context given as path -> content, and tag the result.

    `remedy` is what helps where a step of it fails.

    Raises:
        PrerequisiteError: a step failed; the sentence names it and carries the last line that it printed.
    """
    from docker.errors import APIError

    step, said, error = "", "", ""
    with _context(files) as context, translated():
        try:
            events = client.api.build(
                fileobj=context, custom_context=True, rm=True, forcerm=True, decode=True, tag=tags[0], buildargs=dict(arguments)
            )
            for event in events:
                line = _COLOUR.sub("", str(event.get("stream", ""))).strip()
                if line.startswith("Step "):
                    step = line
                    progress(line if len(line) <= 100 else f"{line[:99].rstrip()}…")
                elif line and not line.startswith(("--->", "Removing intermediate")):
                    said = line.splitlines()[-1]
                error = str(event.get("error", error))  # the last event; the stream is read to its end, which closes it
        except APIError as exc:
            raise _broken(step, said, exc.explanation or str(exc), remedy) from exc
        if error:
            raise _broken(step, said, error, remedy)
        for tag in tags[1:]:
            client.images.get(tags[0]).tag(tag)


def _broken(step: str, said: str, error: str, remedy: str) -> PrerequisiteError:
    where = " ".join(step.split()[:4]) or "before its first step"
    return PrerequisiteError(f"The image could not be built ({where}): {said or ' '.join(error.split())}", remedy=remedy)


def _files() -> dict[str, Path | bytes]:
    """The build context without its wheels."""
    return {
        "Dockerfile": _ROOM / "Dockerfile",
        "requirements.txt": _ROOM / "requirements.txt",
        "requirements-build.txt": _ROOM / "requirements-build.txt",
        **_agent_files(),
    }


def _agent_files() -> dict[str, Path | bytes]:
    package = sorted((_ROOM / "agent").rglob("*.py"))
    return {str(path.relative_to(_ROOM)): path for path in (_ROOM / "start.py", *package)}


def _requirements(variant: Variant) -> list[str]:
    lines = [*wheels.lines(_ROOM / "requirements.txt"), *wheels.lines(_ROOM / "requirements-build.txt")]
    if variant == "cpu":
        return lines
    # Exactly this version: `==` would prefer a build with a local label, such as the `+cpu` one, where pip knows of it.
    return [line.replace("torch==", "torch===") for line in lines]


def _content(files: Mapping[str, Path | bytes], *rest: str) -> str:
    key = hashlib.sha256(json.dumps(rest).encode())
    for name, content in sorted(files.items()):
        data = content if isinstance(content, bytes) else content.read_bytes()
        key.update(f"\0{name}\0{len(data)}\0".encode() + data)
    return key.hexdigest()[:12]


@contextmanager
def _context(files: Mapping[str, Path | bytes]) -> Iterator[IO[bytes]]:
    """The build context as a tar file. Owners, modes and times are fixed, so that equal content is equal to the build cache."""
    with tempfile.TemporaryFile() as spool:
        with tarfile.open(fileobj=spool, mode="w") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.mode = 0o644
                if isinstance(content, bytes):
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
                else:
                    entry.size = content.stat().st_size
                    with content.open("rb") as source:
                        archive.addfile(entry, source)
        spool.seek(0)
        yield spool


@contextmanager
def _turn() -> Iterator[None]:
    lock = Settings().home / "image.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _engine() -> Iterator[DockerClient]:
    client = connect(timeout=600.0)  # a build step may be silent for as long as it installs torch
    try:
        with translated():
            yield client
    finally:
        client.close()


def _find(client: DockerClient, tag: str) -> ImageInfo | None:
    from docker.errors import APIError

    try:
        return _info(client.images.get(tag), tag)
    except APIError as exc:
        if exc.status_code not in NO_IMAGE:
            raise
        return None


def _info(image: Any, tag: str) -> ImageInfo:
    created = datetime.fromisoformat(image.attrs["Created"][:19] + "+00:00").timestamp()
    labels = image.labels or {}
    return ImageInfo(
        tag=tag,
        id=image.id,
        size=image.attrs["Size"],
        created=created,
        variant=labels.get("fumehood.variant", ""),
        packages=labels.get(_WITH_LABEL, ""),
    )
