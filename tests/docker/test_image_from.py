"""Sandbox images made of other images: what programs find in them, and which images are refused."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.sandbox import base_image, image
from orchestrator.sandbox.engine import connect
from orchestrator.settings import Settings
from orchestrator.types import Limits, MiB, Program, Status

FUMEHOOD = Path(sys.executable).with_name("fumehood")
LIMITS = Limits(wall_time=20, cpu_time=10, memory=512 * MiB, processes=64)


@pytest.fixture(scope="module")
def base() -> str:
    """An image with Python and little else."""
    with closing(connect()) as client:
        return base_image.resolve(client, Settings().base_image, lambda line: None)


@contextmanager
def image_of(*lines: str, base: str, files: dict[str, bytes] | None = None) -> Iterator[str]:
    """An image built on `base`, gone afterwards."""
    name = f"fumehood-test-from:{uuid.uuid4().hex[:12]}"
    dockerfile = "\n".join([f"FROM {base}", *lines]).encode()
    with closing(connect()) as client:
        image.build_from(client, {"Dockerfile": dockerfile, **(files or {})}, [name], {}, lambda line: None)
        try:
            yield name
        finally:
            client.images.remove(name, force=True)


@contextmanager
def made_from(source: str, tag: str = "") -> Iterator[image.ImageInfo]:
    info = image.from_image(source, tag)
    try:
        yield info
    finally:
        for found in image.ls():
            if found.id == info.id:
                image.rm(found.tag)


@pytest.fixture(scope="module")
def libraries(base: str) -> Iterator[str]:
    """An image as people have them: a package, a user, an entry point, a health check, a setuid file, its own PATH."""
    with image_of(
        "COPY wares.py /srv/lib/wares.py",
        "RUN python3 -m venv --without-pip /srv/venv && echo /srv/lib > $(echo /srv/venv/lib/python3*/site-packages)/ours.pth"
        " && cp /bin/sh /srv/raised && chmod 4755 /srv/raised && chmod 777 /srv/lib",
        "ENV PATH=/srv/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONPATH=/nowhere",
        "HEALTHCHECK CMD true",
        "USER 999",
        'ENTRYPOINT ["sleep"]',
        'CMD ["1"]',
        base=base,
        files={"wares.py": b"def price():\n    return 42\n"},
    ) as name:
        yield name


@pytest.fixture(scope="module")
def made(libraries: str) -> Iterator[image.ImageInfo]:
    with made_from(libraries) as info:
        yield info


async def test_programs_run_in_it_and_find_its_packages(made: image.ImageInfo, isolation: str) -> None:
    async with Engine(Settings(image=made.tag, workers=1, isolation=isolation), limits=LIMITS) as engine:
        imports = "import os, sys, wares; print(wares.price(), sys.prefix, os.getuid() > 10000, os.environ.get('PYTHONPATH'))"
        plain = await engine.execute(Program(code=imports), LIMITS)
        assert plain.stdout == "42 /srv/venv True None\n", plain
        assert plain.isolation == isolation
        assert plain.image == made.id
        named = await engine.execute(Program(argv=("python3", "-c", imports)), LIMITS)
        assert named.stdout == plain.stdout, named
        shell = await engine.execute(
            Program(argv=("sh", "-c", "cd /tmp && echo ok > x && cat x; echo > /srv/lib/x; ls -l /srv/raised")), LIMITS
        )
        assert shell.stdout.startswith("ok\n-rwxr-xr-x"), shell
        assert "Read-only" in shell.stderr
        loop = await engine.execute(Program(code="while True: pass"), LIMITS.model_copy(update={"cpu_time": 1.0}))
        assert loop.status is Status.TIMED_OUT_CPU


@pytest.mark.parametrize("judging", ["apart", "together"])
async def test_an_image_without_pytest_says_so(made: image.ImageInfo, judging: Literal["apart", "together"]) -> None:
    tests = "import pytest\nfrom candidate import f\n\n@pytest.mark.parametrize('x', [1])\ndef test_f(x):\n    assert f(x) == 2\n"
    async with Engine(Settings(image=made.tag, workers=1), limits=LIMITS) as engine:
        result = await engine.execute(Program(code="def f(x):\n    return x + 1\n", tests=tests, judging=judging), LIMITS)
    assert result.reward is None
    assert "has no pytest" in result.collection_error


async def test_an_image_without_an_agent_is_one_sentence(base: str) -> None:
    with pytest.raises(PrerequisiteError, match=f"{base} has no agent.*fumehood image from {base}"):
        async with Engine(Settings(image=base, workers=1), limits=LIMITS) as engine:
            await engine.execute(Program(code="pass"), LIMITS)


async def test_a_runtime_that_the_engine_does_not_have_is_one_sentence() -> None:
    with pytest.raises(PrerequisiteError, match=r"no runtime 'nothing', only .*runc"):
        async with Engine(Settings(runtime="nothing", workers=1), limits=LIMITS) as engine:
            await engine.execute(Program(code="pass"), LIMITS)


async def test_a_run_may_name_it(made: image.ImageInfo) -> None:
    async with Engine(Settings(image=image.build().tag, workers=1), limits=LIMITS, preload=False) as engine:
        result = await engine.execute(Program(code="import wares; print(wares.price())"), LIMITS, image=made.tag)
    assert result.stdout == "42\n", result


def test_it_is_made_once_and_known(made: image.ImageInfo, libraries: str) -> None:
    said: list[str] = []
    assert image.from_image(libraries, progress=said.append) == made
    assert said == []
    assert made.tag.startswith("fumehood-sandbox:from-")
    assert made.variant == "from"
    assert made in image.ls()
    with closing(connect()) as client:
        config = client.images.get(made.tag).attrs["Config"]
    assert config["Labels"]["fumehood.from"] == libraries
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert not config["Cmd"]


def test_the_command_makes_it_too(libraries: str, made: image.ImageInfo) -> None:
    done = subprocess.run([FUMEHOOD, "image", "from", libraries, "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert image.ImageInfo.model_validate_json(done.stdout) == made


async def test_one_of_our_own_images_gets_the_agent_of_today() -> None:
    with image_of("USER 0", "RUN touch /opt/agent/stale.py", base=image.build().tag) as name, made_from(name) as info:
        async with Engine(Settings(image=info.tag, workers=1), limits=LIMITS) as engine:
            result = await engine.execute(Program(code="import torch; print(torch.ones(2).sum().item())"), LIMITS)
    assert result.stdout == "2.0\n", result


def test_another_image_gets_another_tag(made: image.ImageInfo, base: str) -> None:
    with made_from(base) as other:
        assert other.tag != made.tag


def test_a_name_of_ones_own_is_given_and_can_be_removed(libraries: str, made: image.ImageInfo) -> None:
    name = f"fumehood-test-named:{uuid.uuid4().hex[:12]}"
    assert image.from_image(libraries, name) == made.model_copy(update={"tag": name})
    assert image.rm(name) == [name]
    assert image.find(made.tag) == made


def test_a_tag_of_another_image_is_not_taken_away(libraries: str, base: str) -> None:
    with pytest.raises(UsageError, match="not a sandbox image"):
        image.from_image(libraries, base)


@pytest.mark.parametrize("tag", ["Upper:1", "a b", ":", "-x", "x:y:z/", "x:" + "y" * 129])
def test_a_senseless_tag_is_a_usage_error(libraries: str, tag: str) -> None:
    with pytest.raises(UsageError, match="not a valid image name"):
        image.from_image(libraries, tag)


def test_volumes_are_refused_since_they_would_outlive_a_run(base: str) -> None:
    with image_of("VOLUME /data", base=base) as name, pytest.raises(PrerequisiteError, match="declares volumes") as caught:
        image.from_image(name)
    assert "/data" in caught.value.message


def test_an_old_python_is_one_sentence(base: str) -> None:
    old = b'#!/bin/sh\necho "its Python is 3.9.2" >&2; exit 1\n'
    with (
        image_of(
            "COPY python3 /usr/local/bin/python3", "RUN chmod 755 /usr/local/bin/python3", base=base, files={"python3": old}
        ) as name,
        pytest.raises(PrerequisiteError, match=r"its Python is 3\.9\.2") as caught,
    ):
        image.from_image(name)
    assert "3.11 or newer" in caught.value.remedy


def test_no_python_is_one_sentence(base: str) -> None:
    with (
        image_of("RUN rm -f /usr/bin/python3*", base=base) as name,
        pytest.raises(PrerequisiteError, match="not found") as caught,
    ):
        image.from_image(name)
    assert "python3 (3.11 or newer)" in caught.value.remedy


def test_an_image_that_is_nothing_is_one_sentence() -> None:
    name = f"fumehood-test-empty:{uuid.uuid4().hex[:12]}"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w"):
        pass
    with closing(connect()) as client:
        client.api.import_image_from_data(archive.getvalue(), repository=name.partition(":")[0], tag=name.partition(":")[2])
        try:
            with pytest.raises(PrerequisiteError, match="could not be built"):
                image.from_image(name)
        finally:
            client.images.remove(name, force=True)


@pytest.mark.parametrize("source", ["127.0.0.1:1/fumehood/absent:1", "a b"])
def test_an_image_that_nobody_has_is_one_sentence(source: str) -> None:
    with pytest.raises(PrerequisiteError, match="not here and cannot be pulled") as caught:
        image.from_image(source)
    assert "docker images" in caught.value.remedy
