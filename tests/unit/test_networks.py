"""Configurations of networks: read with clear errors, followed shape by shape, written as source."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from network_configs import network

import orchestrator
from orchestrator.applications.model_research.assemble import (
    assemble_model_code,
    layer_shapes,
    model_source,
    save_model_code,
)
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.layers import LAYERS
from orchestrator.applications.model_research.validation import fault_in
from orchestrator.errors import UsageError

ROOT = Path(__file__).parents[2]
SEEDS = range(300)
"""Those that the test with Docker builds and runs."""
DIGITS = {
    "class_name": "DigitNet",
    "input_shape": (1, 8, 8),
    "layers": [
        {"type": "Conv2d", "out_channels": 16},
        {"type": "ReLU"},
        {"type": "Residual", "layers": [{"type": "Conv2d", "out_channels": 32, "stride": 2}]},
        {"type": "GlobalAvgPool"},
        {"type": "Linear", "out_features": 10},
    ],
}


def one(*layers, shape=(3, 8, 8)):
    return {"class_name": "Net", "input_shape": shape, "layers": list(layers)}


def gives(*layers, shape=(3, 8, 8)):
    return [row.gives for row in layer_shapes(one(*layers, shape=shape)) if not row.depth][-1]


# Source


def test_random_networks_have_every_type_of_layer():
    kinds = {row.kind for seed in SEEDS for row in layer_shapes(network(seed))}
    assert kinds == set(LAYERS)
    assert len(LAYERS) >= 25


def test_each_source_compiles_and_is_one_class_without_work_at_import():
    for seed in SEEDS:
        config = network(seed)
        code = assemble_model_code(config)
        compile(code, "network.py", "exec")
        assert fault_in(code, config["class_name"]) == ""


@pytest.mark.parametrize("width", [88, 130])
def test_sources_are_as_ruff_formats_them(tmp_path, width):
    for seed in SEEDS:
        (tmp_path / f"network{seed}.py").write_text(assemble_model_code(network(seed)))
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--check", f"--line-length={width}", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_same_configuration_is_the_same_source_in_another_process():
    code = f"from orchestrator import assemble_model_code; print(assemble_model_code({DIGITS!r}), end='')"
    env = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert there.stdout == assemble_model_code(DIGITS) == assemble_model_code(ModelConfig.model_validate(DIGITS))


def test_the_docstring_has_each_layer_with_its_shapes():
    tree = ast.parse(assemble_model_code(DIGITS))
    lines = [" ".join(line.split()) for line in ast.get_docstring(tree.body[-1]).splitlines()]
    assert lines[0] == "float32 (N, 1, 8, 8) -> (N, 10)."
    assert lines[2:] == [
        "layer as takes gives",
        "Conv2d conv1 (1, 8, 8) (16, 8, 8)",
        "ReLU act1 (16, 8, 8) (16, 8, 8)",
        "Residual project1 (16, 8, 8) (32, 4, 4)",
        "Conv2d conv2 (16, 8, 8) (32, 4, 4)",
        "GlobalAvgPool - (32, 4, 4) (32,)",
        "Linear linear1 (32,) (10,)",
    ]


def test_a_source_knows_its_outputs():
    source = model_source(DIGITS)
    assert (source.class_name, source.input_shape, source.outputs) == ("DigitNet", (1, 8, 8), 10)
    with pytest.raises(UsageError, match=r"ends in \(3, 8, 8\), not in one axis"):
        model_source(one({"type": "ReLU"}))


# Shapes, worked out by hand


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        ({"type": "Conv2d", "out_channels": 5}, (3, 8, 9), (5, 8, 9)),
        ({"type": "Conv2d", "out_channels": 5, "kernel_size": 4}, (3, 8, 9), (5, 8, 9)),
        ({"type": "Conv2d", "out_channels": 5, "kernel_size": 5, "stride": 2}, (3, 8, 9), (5, 4, 5)),
        ({"type": "Conv2d", "out_channels": 5, "kernel_size": [3, 5], "padding": "valid"}, (3, 8, 9), (5, 6, 5)),
        ({"type": "Conv2d", "out_channels": 5, "dilation": 2, "padding": 0}, (3, 8, 9), (5, 4, 5)),
        ({"type": "Conv1d", "out_channels": 4, "kernel_size": 7}, (2, 50), (4, 50)),
        ({"type": "ConvTranspose2d", "out_channels": 4}, (2, 5, 6), (4, 10, 12)),
        ({"type": "ConvTranspose2d", "out_channels": 4, "kernel_size": 3}, (2, 5, 6), (4, 10, 12)),
        ({"type": "MaxPool2d"}, (3, 9, 9), (3, 4, 4)),
        ({"type": "Upsample", "scale_factor": 3}, (3, 2, 2), (3, 6, 6)),
        ({"type": "PixelShuffle"}, (8, 3, 3), (2, 6, 6)),
        ({"type": "PatchEmbedding", "patch_size": 4, "embedding_dim": 12}, (3, 8, 12), (6, 12)),
        ({"type": "LSTM", "hidden_size": 7, "bidirectional": True}, (5, 3), (14,)),
        ({"type": "GRU", "hidden_size": 7, "output": "steps"}, (5, 3), (5, 7)),
        ({"type": "Reshape", "sizes": [4, -1]}, (3, 8, 8), (4, 48)),
        ({"type": "Permute", "order": [2, 0, 1]}, (3, 8, 9), (9, 3, 8)),
        ({"type": "GLU"}, (4, 5, 5), (2, 5, 5)),
        ({"type": "Repeat", "times": 3, "layers": [{"type": "MaxPool2d"}]}, (1, 16, 16), (1, 2, 2)),
        ({"type": "Parallel", "branches": [[], [{"type": "Conv2d", "out_channels": 5}]]}, (3, 8, 8), (8, 8, 8)),
        ({"type": "Parallel", "branches": [[], [{"type": "Linear", "out_features": 5}]]}, (6, 3), (6, 8)),
        ({"type": "Parallel", "branches": [[], [{"type": "Conv1d", "out_channels": 5}]]}, (6, 3), (11, 3)),
        ({"type": "Parallel", "merge": "sum", "branches": [[], [{"type": "Tanh"}]]}, (3,), (3,)),
        ({"type": "Residual", "layers": [{"type": "Linear", "out_features": 5}]}, (6, 3), (6, 5)),
    ],
)
def test_shapes_are_what_one_works_out(layer, shape, wanted):
    assert gives(layer, shape=shape) == wanted


def test_convolutions_keep_sizes_unless_told_otherwise():
    for width in range(1, 8):
        for dilation in (1, 2, 3):
            layer = {"type": "Conv2d", "out_channels": 2, "kernel_size": width, "dilation": dilation}
            assert gives(layer, shape=(1, 9, 11)) == (2, 9, 11)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"type": "Linear", "out_features": 2}], r"layers\[0\] \(Linear\) takes \(features,\) .* not \(3, 8, 8\)\. Put Flatten"),
        ([{"type": "MaxPool2d"}] * 4, r"layers\[3\] \(MaxPool2d\) slides a window of 2 over a size of 1: it is too small"),
        (
            [{"type": "Flatten"}, {"type": "Conv2d", "out_channels": 4}],
            r"layers\[1\] \(Conv2d\) takes \(channels, height, width\), not \(192,\)",
        ),
        (
            [{"type": "Conv2d", "out_channels": 4, "groups": 2}],
            r"cannot divide 3 channels that come in by 2\. 3 can be divided by 1, 3",
        ),
        ([{"type": "LSTM", "hidden_size": 4}], r"takes \(steps, features\), not \(3, 8, 8\)\. PatchEmbedding or Reshape"),
        (
            [{"type": "Residual", "layers": [{"type": "Flatten"}]}],
            r"layers\[0\] \(Residual\) cannot add \(3, 8, 8\) and \(192,\)",
        ),
        (
            [{"type": "ReLU"}, {"type": "Parallel", "branches": [[], [{"type": "ReLU"}, {"type": "GroupNorm"}]]}],
            r"layers\[1\]\.branches\[1\]\[1\] \(GroupNorm\) cannot divide 3 channels by 8",
        ),
        (
            [{"type": "Parallel", "branches": [[], [{"type": "MaxPool2d"}]]}],
            r"cannot put \(3, 8, 8\), \(3, 4, 4\) side by side",
        ),
        ([{"type": "Reshape", "sizes": [7, -1]}], r"cannot make \(7, -1\) of \(3, 8, 8\), which has 192 numbers"),
        ([{"type": "Permute", "order": [0, 0, 1]}], r"Name each of 0 to 2 once"),
        ([{"type": "Conv2d", "out_channels": 4, "kernel_size": [3, 3, 3]}], r"has 3 sizes in kernel_size for 2 axes"),
        ([{"type": "GlobalAvgPool"}, {"type": "InstanceNorm2d"}], r"layers\[1\] \(InstanceNorm2d\) takes"),
        ([{"type": "Upsample", "scale_factor": 100_000}], r"more than 1,073,741,824 numbers for one row"),
        ([{"type": "Repeat", "times": 1_000_000, "layers": [{"type": "ReLU"}]}], "more than 2000 layers"),
    ],
)
def test_what_cannot_fit_is_named_with_its_sizes(layers, message):
    with pytest.raises(UsageError, match=message):
        assemble_model_code(one(*layers))


# Configurations


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"layers": [{"type": "Conv", "out_channels": 3}]},
            r"layers\[0\] has the type 'Conv', .* Did you mean Conv1d or Conv2d or Conv3d\?",
        ),
        ({"layers": [{"type": "relu"}]}, "Did you mean ReLU"),
        (
            {"layers": [{"type": "Conv2d", "out_channel": 3}]},
            r"\(Conv2d\) has no parameter 'out_channel'\. Did you mean out_channels\?",
        ),
        ({"layers": [{"type": "Conv2d", "in_channels": 3}]}, "It follows from the input: leave it out"),
        ({"layers": [{"type": "Conv2d"}]}, r"\(Conv2d\) needs out_channels"),
        ({"layers": [{"type": "Linear", "out_features": "10"}]}, "has the wrong out_features: .* not '10'"),
        ({"layers": [{"type": "Linear", "out_features": True}]}, "has the wrong out_features"),
        ({"layers": [{"type": "Linear", "out_features": 0}]}, "has the wrong out_features"),
        ({"layers": [{"type": "Dropout", "p": float("nan")}]}, "has the wrong p"),
        (
            {"layers": [{"type": "Residual", "layers": [{"type": "Tanh"}, {"type": "Tan"}]}]},
            r"layers\[0\]\.layers\[1\] has the type 'Tan'",
        ),
        (
            {"layers": [{"type": "Parallel", "branches": [[], [{"type": "Flaten"}]]}]},
            r"layers\[0\]\.branches\[1\]\[0\] .* Did you mean Flatten",
        ),
        ({"layers": [{}]}, r"layers\[0\] has no type"),
        ({"layers": ["ReLU"]}, r"layers\[0\] is no layer but a str"),
        ({"layers": {"type": "ReLU"}}, "layers is no list but a dict"),
        ({"layers": []}, "layers is not valid"),
        ({"class_name": "my net"}, "'my net' is not a valid name for a class"),
        ({"class_name": "class"}, "not a valid name for a class"),
        ({"class_name": "X(nn.Module): pass\nimport os\nclass Y"}, "not a valid name for a class"),
        ({"input_shape": ()}, "input_shape is not valid"),
        ({"input_shape": (3, -8, 8)}, "input_shape is not valid"),
        ({"layer": []}, "has no 'layer'. Did you mean layers"),
    ],
)
def test_what_is_not_valid_is_named_with_what_was_meant(change, message):
    with pytest.raises(UsageError, match=message):
        ModelConfig.model_validate(DIGITS | change)


def test_a_configuration_without_layers_says_what_is_missing():
    with pytest.raises(UsageError, match="needs layers"):
        ModelConfig(class_name="Net", input_shape=(3,))


@pytest.mark.parametrize("seed", range(40))
def test_a_configuration_is_the_same_after_a_round_trip_as_json(seed):
    config = ModelConfig.model_validate(network(seed))
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config
    assert ModelConfig.model_validate_json(config.model_dump_json(exclude_defaults=True)) == config
    assert assemble_model_code(ModelConfig.model_validate_json(config.model_dump_json())) == assemble_model_code(config)


def test_nesting_without_end_is_refused():
    endless: list[object] = []
    endless.append({"type": "Residual", "layers": endless})
    with pytest.raises(UsageError, match="nested more than"):
        ModelConfig.model_validate(one(*endless))
    with pytest.raises(UsageError, match="nested more than"):
        ModelConfig.model_validate_json('{"layers":' * 100 + "1" + "}" * 100)


# Files


def test_a_file_that_is_there_is_kept_unless_told_otherwise(tmp_path):
    path = tmp_path / "new" / "net.py"
    assert save_model_code("a = 1\n", path) == path
    assert save_model_code("a = 1\n", path) == path  # the same is no loss
    with pytest.raises(UsageError, match=r"is there already\. .*overwrite=True"):
        save_model_code("b = 2\n", path)
    assert path.read_text() == "a = 1\n"
    save_model_code("b = 2\n", path, overwrite=True)
    assert path.read_text() == "b = 2\n"
    assert [file.name for file in path.parent.iterdir()] == ["net.py"]


def test_a_folder_and_a_dangling_link_are_not_written_over(tmp_path):
    (tmp_path / "link.py").symlink_to(tmp_path / "nowhere.py")
    for name in (".", "link.py"):
        with pytest.raises(UsageError):
            save_model_code("a = 1\n", tmp_path / name)
    assert not (tmp_path / "nowhere.py").exists()


def test_the_public_names_assemble_and_save(tmp_path):
    config = orchestrator.ModelConfig(**DIGITS)
    written = orchestrator.assemble_from_config(config, tmp_path / "net.py")
    assert written.by == "assembler"
    assert written.path.read_text() == orchestrator.assemble_model_code(config)
