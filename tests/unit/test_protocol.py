"""Frames and the gate for paths."""

from __future__ import annotations

import io
import struct

import pytest

from orchestrator.types import Limits
from sandbox_image.agent import protocol, schema


def reader(data: bytes):
    stream = io.BytesIO(data)

    def read_exactly(count: int) -> bytes:
        found = stream.read(count)
        if len(found) < count:
            raise EOFError
        return found

    return read_exactly


def test_a_frame_arrives_as_it_was_sent():
    header = {"type": "job", "text": "é\ud800", "n": [1, None]}
    read = reader(protocol.encode(header, b"\x00body") + protocol.encode({"type": "go"}))
    assert protocol.read(read) == (header, b"\x00body")
    assert protocol.read(read) == ({"type": "go"}, b"")
    with pytest.raises(EOFError):
        protocol.read(read)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", protocol.MAX_HEADER + 1, 0),
        struct.pack(">II", 2, protocol.MAX_BODY + 1) + b"{}",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 2, 0) + b"{}",
        struct.pack(">II", 3, 0) + b"\xff\xfe\xfd",
        struct.pack(">II", 10, 0) + b'{"type": 1}'[:10],
    ],
)
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(protocol.ProtocolError):
        protocol.read(reader(data))


@pytest.mark.parametrize("length", range(12))
def test_a_cut_frame_is_an_end_of_stream(length):
    data = protocol.encode({"type": "x"}, b"abc")
    with pytest.raises((EOFError, protocol.ProtocolError)):
        protocol.read(reader(data[:length]))


def test_a_frame_over_the_cap_is_not_sent():
    with pytest.raises(protocol.ProtocolError):
        protocol.encode({"type": "x", "t": "a" * protocol.MAX_HEADER})


@pytest.mark.parametrize("path", ["a", "a/b.py", "ü/..x", "...", "a b"])
def test_a_plain_path_passes(path):
    assert protocol.check_path(path) == path


@pytest.mark.parametrize(
    "path", ["", "/", "/a", "..", "a/..", "../a", "a/./b", "a//b", "a/", "a\\b", "a\0", "a\x7f", "\ud800", "a/" * 600]
)
def test_any_other_path_does_not(path):
    with pytest.raises(ValueError, match="path"):
        protocol.check_path(path)


def test_the_limits_of_a_job_are_those_that_a_run_has():
    assert schema.Limits.__required_keys__ == Limits.model_fields.keys()


@pytest.mark.parametrize(
    ("pattern", "there", "not_there"),
    [
        ("**/*", ["a.csv", "sub/a.csv", "a/b/c"], []),
        ("**/*.csv", ["a.csv", "x/a.csv"], ["a.txt", "a.csv/x"]),
        ("src/**/a.csv", ["src/a.csv", "src/x/y/a.csv"], ["srcs/a.csv", "src/ba.csv", "a.csv"]),
        ("*.csv", ["a.csv", "x/a.csv"], ["a.csv2"]),
        ("out/[ab]?", ["out/a1"], ["out/c1", "out/a"]),
        ("a**/b", ["a/b", "ax/y/b"], ["ab"]),
    ],
)
def test_artefacts_are_named_by_patterns(pattern, there, not_there):
    assert [path for path in (*there, *not_there) if protocol.matches(path, pattern)] == there
