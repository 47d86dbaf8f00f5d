"""A configuration -> the source of its network: the same text for the same configuration, on every machine.

    code = assemble_model_code(config)
    save_model_code(code, "digit_net.py")

Shapes are followed layer by layer, so that what cannot fit is said here, with the layer and the sizes, and not by PyTorch.

Left out: running it (`smoke.py`), and networks that a model writes (`written.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.shapes import Misfit, Shape, said
from orchestrator.applications.model_research.writing import WIDTH, Row, Text
from orchestrator.errors import UsageError
from orchestrator.files import check_free, write_whole

_INDENT = " " * 8


def assemble_model_code(config: ModelConfig | Mapping[str, Any]) -> str:
    """The source of a module with the network as its one class; formatted, with all shapes in its docstring.

    The constructor needs no arguments; `forward` takes float32 `(N, *input_shape)`.

    Raises:
        UsageError: the configuration is not valid, or a layer cannot take what reaches it.
    """
    return _module(*_written(_read(config)))


def model_source(config: ModelConfig | Mapping[str, Any]) -> ModelSource:
    """The network as what can be tried and trained.

    Raises:
        UsageError: as `assemble_model_code`, or it does not end in one axis: logits of classes, or one number.
    """
    config = _read(config)
    text = _written(config)[1]
    gives = _last(text)
    if len(gives) != 1:
        raise UsageError(
            f"The network ends in {said(gives)}, not in one axis.",
            remedy="End in a Linear with as many out_features as there are classes, or with 1 for a number.",
        )
    return ModelSource(_module(config, text), config.class_name, config.input_shape, gives[0])


def layer_shapes(config: ModelConfig | Mapping[str, Any]) -> tuple[Row, ...]:
    """Each layer with the shapes that it takes and gives, without the batch; those inside a block follow it.

    Raises:
        UsageError: as `assemble_model_code`.
    """
    return tuple(_written(_read(config))[1].rows)


def save_model_code(code: str, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a source whole or not at all; returns where it is. Folders that are missing are made.

    Raises:
        UsageError: there is another file already and `overwrite` is not set, or it cannot be written.
        StoreError: the disk is full or failed.
    """
    place, content = Path(path), code.encode()
    if not _has(place, content):
        check_source(place, overwrite=overwrite)
        write_whole(place, content, remedy="Name another file, or free some space.")
    return place


def check_source(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Whether a source may be written here.

    Raises:
        UsageError: it is a folder, or there is a file and `overwrite` is not set.
    """
    check_free(path, overwrite=overwrite, remedy="Name another file, or set overwrite=True.")


def _has(place: Path, content: bytes) -> bool:
    try:
        return place.stat().st_size == len(content) and place.read_bytes() == content
    except OSError:
        return False


def _read(config: ModelConfig | Mapping[str, Any]) -> ModelConfig:
    return config if isinstance(config, ModelConfig) else ModelConfig.model_validate(config)


def _written(config: ModelConfig) -> tuple[ModelConfig, Text]:
    text = Text()
    try:
        text.layers(config.layers, config.input_shape)
    except Misfit as misfit:
        raise UsageError(misfit.message, remedy=misfit.remedy) from None
    return config, text


def _last(text: Text) -> Shape:
    return next(row.gives for row in reversed(text.rows) if not row.depth)


def _module(config: ModelConfig, text: Text) -> str:
    takes, gives = config.input_shape, _last(text)
    what = f"float32 {_batch(takes)} -> {_batch(gives)}"
    makes = [line for name, call in text.modules for line in call.lines(f"self.{name} = ", len(_INDENT))]
    runs = [_commented(f"{_INDENT}{line}", shape) for line, shape in text.lines]
    lines = [
        f'"""The network {config.class_name}, assembled from a configuration."""',
        "",
        "import torch",
        "from torch import nn",
        "",
        "",
        f"class {config.class_name}(nn.Module):",
        f'    """{what}.',
        "",
        *_table(text.rows),
        '    """',
        "",
        "    def __init__(self) -> None:",
        f"{_INDENT}super().__init__()",
        *makes,
        "",
        "    def forward(self, x: torch.Tensor) -> torch.Tensor:",
        f'{_INDENT}"""Put rows through all layers; comments have the shape of each."""',
        *runs,
        f"{_INDENT}return x",
    ]
    return "\n".join(lines) + "\n"


def _batch(shape: Shape) -> str:
    return f"(N, {', '.join(map(str, shape))})"


def _commented(line: str, shape: Shape | None) -> str:
    whole = f"{line}  # {_batch(shape)}" if shape is not None else line
    return whole if len(whole) <= WIDTH else line


def _table(rows: list[Row]) -> list[str]:
    """Layers with their names and shapes, in columns."""
    cells = [("layer", "as", "takes", "gives")]
    cells += [
        ("  " * row.depth + row.kind, ", ".join(name for name, _ in row.modules) or "-", said(row.takes), said(row.gives))
        for row in rows
    ]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    return ["    " + "  ".join([*(cell[i].ljust(widths[i]) for i in range(3)), cell[3]]) for cell in cells]
