"""The built images, looked at from the inside."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.sandbox import image, wheels
from orchestrator.sandbox.engine import connect
from sandbox_image.agent import protocol

# The reaper's own image cannot be pulled everywhere; every container here ends with its test.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
from testcontainers.core.container import DockerContainer

ROOT = Path(__file__).resolve().parents[2]
BOX = "size=64m,mode=0700,uid=10001,gid=10001"


@contextmanager
def started(container: DockerContainer) -> Iterator[DockerContainer]:
    try:
        with container:
            yield container
    finally:
        container.get_docker_client().client.close()  # it leaves its connections open otherwise


@pytest.fixture(scope="module")
def built() -> image.ImageInfo:
    return image.build()


@pytest.fixture(scope="module")
def inside(built: image.ImageInfo) -> Iterator[DockerContainer]:
    """A container of the sandbox image that waits, hardened like a sandbox."""
    container = DockerContainer(built.tag).with_tmpfs_mount("/box", BOX)
    with started(container.with_kwargs(entrypoint=["sleep", "600"], network_mode="none", read_only=True, init=True)):
        yield container


def run(container: DockerContainer, *command: str) -> str:
    code, output = container.exec(list(command))
    assert code == 0, output.decode()
    return output.decode().strip()


def test_the_user_is_not_root(inside):
    assert run(inside, "id", "-u") == "10001"
    assert run(inside, "id", "-g") == "10001"


def test_no_file_raises_privileges(inside):
    _, output = inside.exec(["find", "/", "-xdev", "-perm", "/6000", "-type", "f", "-not", "-path", "/proc/*"])
    assert [line for line in output.decode().splitlines() if "Permission denied" not in line] == []


def test_the_packages_can_be_imported(inside):
    code = "import numpy, pandas, pytest, sklearn.linear_model, torch; print(torch.__version__, torch.ones(2).sum().item())"
    assert run(inside, "python3", "-c", code).startswith("2.13.0")


def test_held_out_labels_are_not_in_the_image(inside):
    code = """
import sklearn.datasets
for load in (sklearn.datasets.load_digits, sklearn.datasets.load_breast_cancer):
    try:
        load()
    except FileNotFoundError:
        print("absent")
"""
    assert run(inside, "python3", "-c", code).split() == ["absent", "absent"]
    everywhere = run(
        inside, "sh", "-c", "find / -xdev \\( -name 'digits*.csv*' -o -name 'breast_cancer*.csv*' \\) 2>/dev/null; true"
    )
    assert everywhere == ""


def test_libraries_come_compiled(inside):
    code = "import importlib.util, pathlib, torch, numpy; print([pathlib.Path(m.__cached__).is_file() for m in (torch, numpy)])"
    assert run(inside, "python3", "-c", code) == "[True, True]"


def test_tmp_leads_to_the_one_metered_place(inside):
    assert run(inside, "readlink", "/tmp") == "/box/tmp"


def test_nothing_in_the_image_can_be_changed_by_the_user(inside):
    listed = run(inside, "sh", "-c", "find / -xdev -writable -not -type l -not -path '/proc/*' 2>/dev/null; true").splitlines()
    assert [path for path in listed if not path.startswith(("/dev", "/box", "/run/lock", "/var/lock", "/var/tmp"))] == []


def test_the_agent_says_hello_and_ends_when_nobody_is_there(built):
    container = DockerContainer(built.tag).with_tmpfs_mount("/box", BOX)
    with started(container.with_kwargs(network_mode="none", read_only=True)):  # no stdin: it reads the end at once
        agent = container.get_wrapped_container()
        assert agent.wait(timeout=60)["StatusCode"] == 0
        said = agent.logs(stdout=True, stderr=False)
    position = 0

    def read_exactly(count: int) -> bytes:
        nonlocal position
        position += count
        assert position <= len(said)
        return said[position - count : position]

    header, body = protocol.read(read_exactly)
    assert header["type"] == "hello"
    assert header["version"] == protocol.VERSION
    assert body == b""


def test_an_unchanged_image_is_not_built_again(built):
    said: list[str] = []
    started = time.perf_counter()
    assert image.build(progress=said.append) == built
    assert time.perf_counter() - started < 3
    assert said == []


def test_the_image_is_found_and_listed(built):
    assert image.find(built.tag) == built
    assert image.require(built.tag) == built
    assert built in image.ls()
    assert built.variant == "cpu"
    assert built.size > 100_000_000


def test_a_missing_image_names_the_command():
    assert image.find("fumehood-sandbox:cpu-000000000000") is None
    with pytest.raises(PrerequisiteError, match="has no image") as caught:
        image.require("fumehood-sandbox:cpu-000000000000")
    assert "fumehood image build" in caught.value.remedy


def test_a_changed_agent_is_rebuilt_quickly_and_can_be_removed(built, tmp_path, monkeypatch):
    room = tmp_path / "room"
    for path in (ROOT / "sandbox_image").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = room / path.relative_to(ROOT / "sandbox_image")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    agent = room / "agent" / "main.py"
    agent.write_bytes(agent.read_bytes() + f"# {uuid.uuid4()}\n".encode())
    monkeypatch.setattr(image, "_ROOM", room)
    said: list[str] = []
    changed = image.build(progress=said.append)
    try:
        assert changed.tag != built.tag
        assert changed.id != built.id
        assert any("Step" in line for line in said)
        with closing(connect()) as client:
            older, newer = (client.images.get(tag).attrs["RootFS"]["Layers"] for tag in (built.tag, changed.tag))
            assert newer[:3] == older[:3], "the packages were built again"
    finally:
        assert image.rm(changed.tag) == [changed.tag]
    assert image.find(changed.tag) is None


def test_an_image_in_use_is_not_removed(built, inside):
    with pytest.raises(PrerequisiteError, match="in use"):
        image.rm(built.tag)
    assert image.find(built.tag) == built


def test_removing_what_is_not_ours_is_a_usage_error():
    with pytest.raises(UsageError, match="no sandbox image"):
        image.rm("debian:12")


def test_a_base_image_that_nobody_has_is_one_sentence():
    with pytest.raises(PrerequisiteError, match="cannot be pulled") as caught:
        image.build(base="127.0.0.1:1/fumehood/absent:1")
    assert "FUMEHOOD_BASE_IMAGE" in caught.value.remedy


def test_a_base_image_without_python_is_one_sentence(tmp_path):
    name = f"fumehood-test-base:{uuid.uuid4().hex[:12]}"
    with closing(connect()) as client:
        client.api.import_image_from_data(_empty_tar(), repository=name.partition(":")[0], tag=name.partition(":")[2])
        try:
            with pytest.raises(PrerequisiteError, match="could not be built") as caught:
                image.build(base=name)
            assert "Python 3.11" in caught.value.remedy
            assert "\n" not in str(caught.value)
        finally:
            client.images.remove(name, force=True)


def _empty_tar() -> bytes:
    return bytes(10240)


@pytest.fixture(scope="module")
def orchestrator_image() -> str:
    done = subprocess.run([ROOT / "scripts" / "setup", "orchestrator-image"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def orchestrator(orchestrator_image: str) -> Iterator[DockerContainer]:
    with DockerContainer(orchestrator_image).with_kwargs(
        entrypoint=["sleep", "600"], network_mode="none", init=True
    ) as container:
        yield container


def test_the_orchestrator_image_has_the_command(orchestrator):
    assert "solve" in run(orchestrator, "fumehood", "--help")


def test_the_orchestrator_image_would_build_this_very_sandbox_image(orchestrator):
    code = "from orchestrator.sandbox.image import image_tag; print(image_tag())"
    assert run(orchestrator, "python3", "-c", code) == image.image_tag()


def test_the_orchestrator_image_has_the_embedded_model_server(orchestrator):
    assert "--model" in run(orchestrator, "python3", "-m", "llm_server", "--help")
    assert run(orchestrator, "python3", "-c", "import xllamacpp; print('loaded')") == "loaded"


def test_the_orchestrator_image_keeps_its_records_in_one_place(orchestrator):
    assert run(orchestrator, "python3", "-c", "from orchestrator.settings import Settings; print(Settings().home)") == "/data"


def test_without_a_socket_the_orchestrator_image_explains_itself(orchestrator):
    code, output = orchestrator.exec(["fumehood", "image", "ls", "--json"])
    assert code == 3
    assert "no such socket" in output.decode()
    assert "Traceback" not in output.decode()


def test_an_unchanged_orchestrator_image_is_not_built_again(orchestrator_image):
    started = time.perf_counter()
    done = subprocess.run([ROOT / "scripts" / "setup", "orchestrator-image"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == orchestrator_image
    assert done.stderr == ""
    assert time.perf_counter() - started < 10


def test_labels_tell_whose_image_it_is(built):
    with closing(connect()) as client:
        labels = client.images.get(built.tag).labels
    assert json.loads(labels["fumehood.image"]) == 1
    assert labels["fumehood.variant"] == "cpu"


def test_more_packages_go_on_top_and_replace_nothing(built: image.ImageInfo):
    name = f"fumehood-test-with:{uuid.uuid4().hex[:12]}"
    info = image.build_with(["six", "numpy"], tag=name)
    try:
        assert (info.tag, info.packages, info.variant) == (name, "numpy six", "cpu")
        again = image.build_with(["numpy", "six", "six"])
        assert again.id == info.id
        assert again.tag.startswith("fumehood-sandbox:cpu-with-")
        container = DockerContainer(info.tag).with_tmpfs_mount("/box", BOX)
        with started(container.with_kwargs(entrypoint=["sleep", "60"], network_mode="none", read_only=True, init=True)) as made:
            code = "import numpy, six, pathlib; print(numpy.__version__, pathlib.Path(six.__cached__).is_file())"
            assert run(made, "id", "-u") == "10001"
            pins = dict(line.split("==") for line in wheels.lines(ROOT / "sandbox_image/requirements.txt"))
            assert run(made, "python3", "-c", code) == f"{pins['numpy']} True"
    finally:
        for found in image.ls():
            if found.id == info.id:
                image.rm(found.tag)


def test_a_package_that_nobody_has_is_named(built: image.ImageInfo):
    with pytest.raises(PrerequisiteError, match="could not download") as told:
        image.build_with(["numpy==0.0.1"])
    assert "numpy==0.0.1" in told.value.remedy
