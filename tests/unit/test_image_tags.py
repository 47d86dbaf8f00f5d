"""The sandbox image without an engine: its tag, its wheels, and what a missing engine looks like."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from orchestrator.errors import PrerequisiteError, UsageError
from orchestrator.sandbox import engine, image, wheels
from orchestrator.sandbox.engine import connect
from orchestrator.settings import Settings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_the_tag_is_the_same_for_the_same_content():
    assert image.image_tag() == image.image_tag()
    assert image.image_tag().startswith("fumehood-sandbox:cpu-")


def test_the_tag_is_quick(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    image.image_tag()
    started = time.perf_counter()
    image.image_tag()
    assert time.perf_counter() - started < 0.1


def test_every_ingredient_is_in_the_tag(tmp_path, monkeypatch):
    copy = tmp_path / "room"
    room = ROOT / "sandbox_image"
    names = [room / name for name in ("Dockerfile", "requirements.txt", "requirements-build.txt", "start.py")]
    for path in (*names, *(room / "agent").rglob("*.py")):
        target = copy / path.relative_to(room)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(image, "_ROOM", copy)
    seen = {image.image_tag()}
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        path.write_bytes(path.read_bytes() + b"#")
        seen.add(image.image_tag())
    changes = len([path for path in copy.rglob("*") if path.is_file()])
    assert len(seen) == 1 + changes


def test_variant_and_base_are_in_the_tag():
    assert len({image.image_tag("cpu"), image.image_tag("cuda"), image.image_tag("cpu", "debian:12")}) == 3


def test_the_base_image_of_the_environment_is_in_the_tag(monkeypatch):
    plain = image.image_tag()
    monkeypatch.setenv("FUMEHOOD_BASE_IMAGE", "debian:12")
    assert image.image_tag() == image.image_tag(base="debian:12") != plain


def test_settings_with_gpus_mean_the_image_with_cuda():
    assert image.tag_for(Settings(base_image="x")) == image.image_tag("cpu", "x")
    assert image.tag_for(Settings(base_image="x", gpus="0")) == image.image_tag("cuda", "x")
    assert image.tag_for(Settings(image="y", gpus="0")) == "y"
    assert "cuda" in image.how_to_build(image.image_tag("cuda"))
    assert "cuda" not in image.how_to_build(image.image_tag())


@pytest.mark.parametrize("name", ["requests", "pillow>=10,<13", "a.b-c_d", "uvicorn[standard]", "x == 1.2.*", "y~=2.0"])
def test_packages_are_named_as_for_pip(name):
    assert image._PACKAGE.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "-r x", "--index-url=x", "./here", "git+https://x", "x @ https://y", "a b", "a;b", "a/b", "x>=$(id)"]
)
def test_what_is_no_name_of_a_package_reaches_no_pip(name, monkeypatch):
    monkeypatch.setattr(image, "build", lambda *_: pytest.fail("built"))
    with pytest.raises(UsageError, match="not a valid package name"):
        image.build_with([name])


def test_an_image_with_packages_says_how_it_is_built():
    assert "--with" in image.how_to_build("fumehood-sandbox:cpu-with-0123456789ab")


@pytest.mark.parametrize("tag", ["nope", "fumehood-sandbox:nope", "fumehood-sandbox:cpu-with-0123456789ab"])
def test_what_is_there_is_said_where_a_name_is_wrong(tag):
    said = image.how_to_build(tag, ["mine:1", "mine:2"])
    assert said.startswith("It has mine:1, mine:2. `fumehood image build --with PACKAGES` makes one")
    assert image.how_to_build(image.image_tag(), ["mine:1"]) == "Run `fumehood image build`."
    assert image.how_to_build(tag).startswith("`fumehood image build --with")


def test_an_unknown_variant_is_a_usage_error():
    with pytest.raises(UsageError, match="cpu"):
        image.image_tag("tpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("call", [image.ls, image.rm, image.build, lambda: image.find("x"), lambda: image.require("x")])
def test_without_an_engine_every_call_says_so(call, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(PrerequisiteError, match="no such socket") as caught:
        call()
    assert "unset" in caught.value.remedy


def test_without_any_engine_the_remedy_is_a_command(monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engine, "host", lambda: "unix:///nonexistent/docker.sock")
    with pytest.raises(PrerequisiteError, match="no such socket") as caught:
        connect()
    assert "scripts/setup engine" in caught.value.remedy


def test_a_stopped_engine_is_told_from_a_missing_one(tmp_path, monkeypatch):
    path = tmp_path / "stopped.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(PrerequisiteError, match="nothing listens"):
        connect()


def test_an_engine_that_refuses_this_user_names_the_group(tmp_path, monkeypatch):
    path = tmp_path / "closed.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(PrerequisiteError):
        connect()  # imports what it needs while this user can still read it
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()
        path.chmod(0)
        was_root = os.geteuid() == 0
        if was_root:  # nothing is closed to root
            os.seteuid(65534)
        try:
            with pytest.raises(PrerequisiteError, match="refuses this user") as caught:
                connect()
        finally:
            if was_root:
                os.seteuid(0)
    assert "docker" in caught.value.remedy


def test_a_senseless_engine_address_is_one_sentence(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "carrier-pigeon:1")
    with pytest.raises(PrerequisiteError, match="does not answer"):
        connect()


def test_pins_of_image_and_host_agree():
    def pins(path: Path) -> dict[str, str]:
        return dict(line.split("==") for line in wheels.lines(path))

    host, sandbox = pins(ROOT / "constraints.txt"), pins(ROOT / "sandbox_image" / "requirements.txt")
    assert {name: sandbox[name] for name in sandbox.keys() & host.keys()} == {
        name: host[name] for name in sandbox.keys() & host.keys()
    }
    assert "torch" in sandbox


def test_only_training_needs_torch_on_the_host():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = {"": project["dependencies"], **extras}
    assert [extra for extra, names in needs.items() if any(re.match(r"torch\b", name) for name in names)] == ["training"]


def test_every_direct_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(need for group in project["optional-dependencies"].values() for need in group)]
    names = {re.split("[>=]", need)[0].strip().lower().replace("_", "-") for need in wanted}
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in wheels.lines(ROOT / "constraints.txt")}
    assert names <= pinned


def _wheel(folder: Path, name: str, version: str, needs: tuple[str, ...] = ()) -> None:
    import zipfile

    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(
        f"Requires-Dist: {need}\n" for need in needs
    )
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is all the package index there is."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("FUMEHOOD_HOME", str(tmp_path / "home"))
    return folder


def test_wheels_are_downloaded_once(index):
    _wheel(index, "alpha", "1.0")
    said: list[str] = []
    first = wheels.fetch(["alpha==1.0"], machine="x86_64", progress=said.append)
    assert [path.name for path in first] == ["alpha-1.0-py3-none-any.whl"]
    assert said
    (index / "alpha-1.0-py3-none-any.whl").unlink()
    assert wheels.fetch(["alpha==1.0"], machine="x86_64") == first


def test_a_download_that_was_cut_off_is_repaired(index):
    _wheel(index, "alpha", "1.0")
    (whole,) = wheels.fetch(["alpha==1.0"], machine="x86_64")
    size = whole.stat().st_size
    whole.parent.rename(whole.parent.with_suffix(".unfinished"))
    (whole.parent.with_suffix(".unfinished") / whole.name).write_bytes(whole.name.encode())
    assert wheels.fetch(["alpha==1.0"], machine="x86_64") == [whole]
    assert whole.stat().st_size == size


def test_the_cuda_variant_never_takes_a_cpu_build(index):
    _wheel(index, "torch", "2.13.0")
    _wheel(index, "torch", "2.13.0+cpu")
    torch = [line for line in image._requirements("cuda") if line.startswith("torch=")]
    assert [path.name for path in wheels.fetch(torch, machine="x86_64", cuda=True)] == ["torch-2.13.0-py3-none-any.whl"]


def test_nothing_unnamed_is_downloaded(index):
    _wheel(index, "alpha", "1.0", ("beta",))
    _wheel(index, "beta", "1.0")
    assert len(wheels.fetch(["alpha==1.0"], machine="x86_64")) == 1


CUDA_TORCH = ("torch", "2.0", ("nvidia-cublas; platform_system == 'Linux'",))


def test_cuda_packages_are_refused_for_the_cpu(index, tmp_path):
    _wheel(index, *CUDA_TORCH)
    with pytest.raises(PrerequisiteError, match="CUDA build of torch") as caught:
        wheels.fetch(["torch==2.0"], machine="x86_64")
    assert "FUMEHOOD_TORCH_INDEX" in caught.value.remedy
    assert not list((tmp_path / "home").rglob("*.whl"))


def _simple_index(folder: Path, *torches: tuple[str, str, tuple[str, ...]]) -> str:
    """A package index on the disk, as pip reads it from a URL."""
    for place in ("torch", "alpha"):
        (folder / place).mkdir(parents=True)
    _wheel(folder / "alpha", "alpha", "1.0")
    for torch in torches:
        _wheel(folder / "torch", *torch)
    for place in ("torch", "alpha"):
        links = "".join(f'<a href="{path.name.replace("+", "%2B")}">x</a>' for path in (folder / place).glob("*.whl"))
        (folder / place / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return folder.as_uri()


@pytest.fixture
def plain_index(index, tmp_path, monkeypatch):
    """pip's own index, with the CUDA build alone."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", _simple_index(tmp_path / "plain", CUDA_TORCH))


def test_pytorchs_own_cpu_wheels_are_taken_where_the_index_has_none(plain_index, tmp_path, monkeypatch):
    official = _simple_index(tmp_path / "official", ("torch", "2.0+cpu", ()))
    monkeypatch.setattr(wheels, "TORCH_CPU", official)
    said: list[str] = []
    fetched = wheels.fetch(["torch==2.0", "alpha==1.0"], machine="x86_64", progress=said.append)
    assert [path.name for path in fetched] == ["alpha-1.0-py3-none-any.whl", "torch-2.0+cpu-py3-none-any.whl"]
    assert len([line for line in said if official in line and "CUDA build of torch" in line]) == 1


def test_an_index_of_the_users_choice_is_the_only_other_one(plain_index, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "TORCH_CPU", _simple_index(tmp_path / "official", ("torch", "2.0+cpu", ())))
    monkeypatch.setenv("FUMEHOOD_TORCH_INDEX", _simple_index(tmp_path / "useless"))
    with pytest.raises(PrerequisiteError, match="useless gave no CPU build"):
        wheels.fetch(["torch==2.0"], machine="x86_64")
    monkeypatch.setenv("FUMEHOOD_TORCH_INDEX", _simple_index(tmp_path / "mirror", ("torch", "2.0+cpu", ())))
    said: list[str] = []
    (fetched,) = wheels.fetch(["torch==2.0"], machine="x86_64", progress=said.append)
    assert fetched.name == "torch-2.0+cpu-py3-none-any.whl"
    assert not any("CUDA" in line for line in said)


def test_pytorchs_index_is_not_asked_where_there_is_no_need(plain_index, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "TORCH_CPU", "file:///nonexistent")
    monkeypatch.setenv("PIP_INDEX_URL", _simple_index(tmp_path / "small", ("torch", "2.0", ())))
    said: list[str] = []
    assert len(wheels.fetch(["torch==2.0"], machine="x86_64", progress=said.append)) == 1
    assert not any("CUDA" in line for line in said)


def test_the_cuda_variant_takes_them(index):
    _wheel(index, "torch", "2.0", ("nvidia-cublas",))
    _wheel(index, "nvidia_cublas", "1.0")
    assert len(wheels.fetch(["torch==2.0"], machine="x86_64", cuda=True)) == 2


def test_constraints_choose_versions_of_what_is_needed(index, tmp_path):
    _wheel(index, "alpha", "1.0", ("beta",))
    _wheel(index, "beta", "1.0")
    _wheel(index, "beta", "2.0")
    pins = tmp_path / "constraints.txt"
    pins.write_text("# pinned\nbeta==1.0\n")
    fetched = wheels.fetch(["alpha"], machine="x86_64", constraints=pins)
    assert [path.name for path in fetched] == ["alpha-1.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl"]


def test_a_package_that_nobody_has_is_one_sentence(index):
    with pytest.raises(PrerequisiteError, match="absent") as caught:
        wheels.fetch(["absent==1.0"], machine="x86_64")
    assert "pip download" in caught.value.remedy


def test_computing_the_tag_imports_no_docker():
    code = "import sys; from orchestrator.sandbox.image import image_tag; image_tag(); print('docker' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
