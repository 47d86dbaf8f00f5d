"""What a network is made of: a name, the shape of its input, and its layers.

    ModelConfig(class_name="DigitNet", input_shape=(1, 8, 8), layers=[{"type": "Conv2d", "out_channels": 16}, ...])

Left out: whether the layers fit each other (`assemble.py`).
"""

from __future__ import annotations

import keyword
from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, field_validator, model_validator

from orchestrator.applications.model_research.layers import LayerList, Positive
from orchestrator.applications.model_research.reading import DEEPEST, Misread, is_deep, nearest
from orchestrator.errors import UsageError
from orchestrator.types import Value


class ModelConfig(Value):
    """A network as data. It can be written as JSON (`model_dump_json`) and read again (`model_validate_json`).

    Raises (constructor, and reading it):
        UsageError: something in it is not valid; the message says where, and the remedy what was most likely meant. A text that
            is not JSON at all is pydantic's `ValidationError`.
    """

    class_name: Annotated[str, Field(max_length=60)]
    """Of the class that the source defines."""
    input_shape: Annotated[tuple[Positive, ...], Field(min_length=1, max_length=4)]
    """Of one row, without the batch: `(features,)`, `(steps, features)`, `(channels, height, width)`."""
    layers: Annotated[LayerList, Field(min_length=1)]
    """In order. Each is an object with its `type` and the parameters of `torch.nn`; what follows from its input is left out."""

    @field_validator("class_name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name) or name.startswith("_") or name in _TAKEN:
            raise ValueError(f"{name!r} is not a valid name for a class")
        return name

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, given: Any, handler: ModelWrapValidatorHandler[ModelConfig]) -> ModelConfig:
        if is_deep(given):
            raise UsageError(
                f"The configuration is nested more than {DEEPEST} levels deep.", remedy="Put fewer blocks inside each other."
            )
        try:
            return handler(given)
        except Misread as misread:
            raise misread.usage_error() from None
        except ValidationError as error:
            raise _usage_error(error, cls.model_fields) from None


_TAKEN = ("torch", "nn", "super", "sum")
"""Names that the source uses."""


def _usage_error(error: ValidationError, fields: Any) -> UsageError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "the configuration"
    if first["type"] == "extra_forbidden":
        return UsageError(f"A configuration has no {name!r}.", remedy=nearest(name, fields, "is"))
    if first["type"] == "missing":
        return UsageError(f"The configuration needs {name}.", remedy="`help(orchestrator.ModelConfig)` says what each part is.")
    what = first["msg"].removeprefix("Value error, ")
    return UsageError(
        f"The configuration's {name} is not valid: {what[:1].lower()}{what[1:]}.",
        remedy="`help(orchestrator.ModelConfig)` says what each part is.",
    )
