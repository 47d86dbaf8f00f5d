"""Networks that a language model writes from a configuration, and the assembler's where the model fails.

The model is shown the layers with the shapes that they take and give, says its plan in a sentence, and writes the module: in a
code block, or as the field `python` of JSON where the server holds answers to a schema. What it writes is read without running
it (`validation.py`) and tried in a sandbox (`smoke.py`); if no answer passes, the assembler's source stands in, and that is said.

Left out: goals in words.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from orchestrator.applications.model_research.assemble import (
    assemble_model_code,
    check_source,
    layer_shapes,
    model_source,
    save_model_code,
)
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.layers import Parallel, Residual
from orchestrator.applications.model_research.model import ModelSource
from orchestrator.applications.model_research.reading import nearest
from orchestrator.applications.model_research.shapes import Shape
from orchestrator.applications.model_research.smoke import Execute, smoke
from orchestrator.applications.model_research.validation import IMPORTS, fault_in
from orchestrator.applications.model_research.writing import Row
from orchestrator.errors import CompletionError, UsageError
from orchestrator.llm.base import Model
from orchestrator.llm.extraction import extract
from orchestrator.llm.prompts import block, conversation
from orchestrator.types import Completion, ExecutionResult, Limits, Message, Program, Sampling, Usage, Value

Form = Literal["fence", "json"]
"""How the code comes: in a code block after the plan, or in JSON that the server constrains."""

SAMPLING = Sampling(temperature=0.2, max_new_tokens=1200, seed=0)
ATTEMPTS = 2
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"plan": {"type": "string"}, "python": {"type": "string"}},
    "required": ["plan", "python"],
    "additionalProperties": False,
}
_SYSTEM = "You are an expert in PyTorch. You write short, plain modules that run."
_RULES = (
    f"Write one class and nothing beside it but imports ({', '.join(IMPORTS[1:])}): no functions, no other classes, no example "
    "of its use. It has the methods `__init__(self)` and `forward(self, x)`; every module of the first is used in the second."
)


class Answer(Value):
    """One answer of the model, and what became of it."""

    plan: str = ""
    """What it says before the code."""
    code: str = ""
    """What was found in it; empty where there was nothing usable."""
    fault: str = ""
    """Why it was not taken; empty for the one that was."""
    problems: tuple[str, ...] = ()
    """What was dropped or repaired when it was read."""
    usage: Usage = Usage()
    seconds: float = 0.0
    """That the model took."""


class Written(Value):
    """The source of a network, and who wrote it."""

    code: str
    class_name: str
    by: Literal["model", "assembler"]
    plan: str = ""
    """The model's, where it wrote the source."""
    note: str = ""
    """Where the assembler stood in for the model: why, in a sentence."""
    answers: tuple[Answer, ...] = ()
    """The model's, in order."""
    path: Path | None = None
    """Where it was saved."""


def prompt_for(config: ModelConfig, form: Form = "fence") -> tuple[Message, ...]:
    """What a model is asked.

    Raises:
        UsageError: the configuration's layers do not fit each other, or it does not end in one axis.
    """
    source = model_source(config)
    parts = [
        f"Write the PyTorch module `{config.class_name}`. Its input is float32 {_batch(config.input_shape)}, its output "
        f"{_batch((source.outputs,))}; N is the batch, and images have their channels first.",
        f"Its layers, in order, each with the shapes it takes and gives:\n{_listed(config)}",
        _RULES,
    ]
    if form == "json":
        parts.append(
            'Answer with JSON: {"plan": "one sentence on how you write it", "python": "the whole module"}. The module begins '
            "like this:"
        )
    else:
        parts.append(
            "First say in one sentence how you write it. Then write the whole module in one python code block that begins so:"
        )
    return conversation(*parts, block(_stub(config)), system=_SYSTEM)


async def write_model_code(
    config: ModelConfig | Mapping[str, Any],
    model: Model,
    *,
    sampling: Sampling = SAMPLING,
    form: Form = "fence",
    attempts: int = ATTEMPTS,
    execute: Execute | None = None,
) -> Written:
    """Have a model write a network; the assembler writes it where no answer can be used.

    Args:
        config: the network.
        model: who writes.
        sampling: how answers are drawn; each has another seed.
        form: how the code comes. `json` needs a server that holds answers to a schema.
        attempts: how many answers to draw at most.
        execute: what runs the smoke test that an answer must pass; None takes an answer that reads well.

    Raises:
        UsageError: the configuration is not valid, or its layers do not fit.
        SandboxError: the sandbox failed.
    """
    config = config if isinstance(config, ModelConfig) else ModelConfig.model_validate(config)
    source = model_source(config)
    answers: list[Answer] = []
    for number in range(attempts):
        drawn = sampling.model_copy(
            update={
                "n": 1,
                "seed": None if sampling.seed is None else sampling.seed + number,
                "json_schema": SCHEMA if form == "json" else None,
            }
        )
        try:
            (completion,) = await model.chat(prompt_for(config, form), drawn)
        except CompletionError as error:
            answers.append(Answer(fault=str(error)))
            break  # another seed does not mend a server
        answer = read_answer(completion, config, form)
        if not answer.fault and execute is not None:
            answer = await _tried(answer, source, execute)
        answers.append(answer)
        if not answer.fault:
            return Written(code=answer.code, class_name=config.class_name, by="model", plan=answer.plan, answers=tuple(answers))
    last = answers[-1].fault if answers else "It was not asked."
    return Written(
        code=source.code,
        class_name=config.class_name,
        by="assembler",
        note=f"The model's code could not be used, so the assembler wrote {config.class_name}. {last}",
        answers=tuple(answers),
    )


def read_answer(completion: Completion, config: ModelConfig, form: Form = "fence") -> Answer:
    """Plan and code of an answer; code that is not a module with one network is a fault."""
    text, plan = completion.text, ""
    if form == "json":
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and isinstance(found.get("python"), str):
            plan, text = str(found.get("plan", "")), found["python"]
    else:
        plan = re.split(r"^(?:```|~~~)", text, maxsplit=1, flags=re.MULTILINE)[0]
    extraction = extract(text, entry_point=config.class_name, prompt=_stub(config))
    fault = fault_in(extraction.code, config.class_name) if extraction.usable else extraction.reason
    return Answer(
        plan=" ".join(plan.split())[:500],
        code=extraction.code or extraction.draft,
        fault=fault,
        problems=extraction.problems,
        usage=completion.usage,
        seconds=completion.wall_time,
    )


async def _tried(answer: Answer, source: ModelSource, execute: Execute) -> Answer:
    report = await smoke(ModelSource(answer.code, source.class_name, source.input_shape, source.outputs), execute)
    return answer.model_copy(update={"fault": report.failure})


def _stub(config: ModelConfig) -> str:
    # It ends before the first method: shown the begin of __init__, small models complete that and stop.
    return (
        "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\n\n"
        f"class {config.class_name}(nn.Module):\n"
        f'    """{_batch(config.input_shape)} -> {_batch((model_source(config).outputs,))}: __init__(self) makes the modules, '
        'forward(self, x) uses them."""\n'
    )


def _listed(config: ModelConfig) -> str:
    """The layers, one to a line, in code; a block in words, before the layers in it."""
    lines, repeats = [], []
    for row in layer_shapes(config):
        if row.kind == "Repeat":
            repeats.append(f"{row.where}.")  # what it repeats follows, as often
            continue
        branch = re.search(r"branches\[(\d+)\]\[\d+\]$", row.where)
        depth = row.depth - sum(map(row.where.startswith, repeats))
        begin = f"{'  ' * depth}- {f'branch {branch[1]}: ' if branch else ''}"
        lines.append(f"{begin}{_in_code(row)}: {_batch(row.takes)} -> {_batch(row.gives)}")
    return "\n".join(lines)


def _in_code(row: Row) -> str:
    if isinstance(row.layer, Residual | Parallel):
        merge = f" ({row.layer.merge})" if isinstance(row.layer, Parallel) else ""
        return f"{row.kind}{merge}, {(type(row.layer).__doc__ or '').partition(chr(10))[0].rstrip('.')}"
    if len(row.modules) == 1 and row.lines == (f"x = self.{row.modules[0][0]}(x)",):
        return str(row.modules[0][1])
    return "; ".join([*(f"self.{name} = {call}" for name, call in row.modules), *row.lines]) or row.kind


def _batch(shape: Shape) -> str:
    return f"(N, {', '.join(map(str, shape))})"


def assemble_from_config(
    cfg: ModelConfig | Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    use_llm: bool = False,
    llm_kwargs: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda sentence: print(sentence, file=sys.stderr),
) -> Written:
    """Write the source of a network to a file, by the assembler or by a model, and wait.

    Args:
        cfg: the network.
        path: where its module goes.
        use_llm: have a model write it. Its code must pass a smoke test in a sandbox; where no answer does, the assembler writes.
        llm_kwargs: `base_url`, `model`, `api_key`, `timeout` of the server (the environment's where they are left out), or a
            `client`; `temperature`, `top_p`, `max_new_tokens`, `seed`; `form` ("fence" or "json"); `attempts`; and `smoke=False`
            to take code that reads well without trying it.
        overwrite: write over a file that is there.
        say: called with a sentence where the assembler stands in for the model.

    Raises:
        UsageError: the configuration or an argument is not valid, layers do not fit, or the file is there already.
        PrerequisiteError: a smoke test needs a sandbox, and there is none.
        SandboxError: the sandbox failed.
        StoreError: the disk is full or failed.
    """
    config = cfg if isinstance(cfg, ModelConfig) else ModelConfig.model_validate(cfg)
    if not use_llm:
        written = Written(code=assemble_model_code(config), class_name=config.class_name, by="assembler")
    else:
        check_source(path, overwrite=overwrite)  # before a model is asked for minutes
        written = _by_model(config, llm_kwargs or {})
        if written.note:
            say(written.note)
    return written.model_copy(update={"path": save_model_code(written.code, path, overwrite=overwrite)})


class _Settings(Value):
    """What `llm_kwargs` may hold beside a client."""

    base_url: str = ""
    model: str = ""
    api_key: str = ""
    timeout: float = 300.0
    temperature: float = SAMPLING.temperature
    top_p: float = SAMPLING.top_p
    max_new_tokens: int = SAMPLING.max_new_tokens
    seed: int | None = SAMPLING.seed
    form: Form = "fence"
    attempts: Annotated[int, Field(ge=1)] = ATTEMPTS
    smoke: bool = True


def _by_model(config: ModelConfig, given: Mapping[str, Any]) -> Written:
    known = {**given}
    client: Model | None = known.pop("client", None)
    settings = _settings(known)
    opened = client or _client(settings)

    async def write() -> Written:
        try:
            return await write_model_code(
                config,
                opened,
                sampling=Sampling.model_validate({name: value for name, value in settings if name in Sampling.model_fields}),
                form=settings.form,
                attempts=settings.attempts,
                execute=_in_background if settings.smoke else None,
            )
        finally:
            if client is None:
                await opened.close()

    # A thread of its own: a notebook has a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, write()).result()


def _settings(given: Mapping[str, Any]) -> _Settings:
    for name in given:
        if name not in _Settings.model_fields:
            raise UsageError(f"llm_kwargs has no {name!r}.", remedy=nearest(name, [*_Settings.model_fields, "client"], "is"))
    try:
        settings = _Settings(**given)
        Sampling.model_validate({name: value for name, value in settings if name in Sampling.model_fields})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"llm_kwargs[{first['loc'][0]!r}] is not valid: {first['msg'][:1].lower()}{first['msg'][1:]}.",
            remedy="`help(orchestrator.assemble_from_config)` says what each is.",
        ) from None
    return settings


def _client(settings: _Settings) -> Model:
    from orchestrator.llm.client import ModelClient
    from orchestrator.settings import Settings

    environment = Settings()
    base_url = settings.base_url or environment.base_url
    if not base_url:
        raise UsageError(
            "There is no model server to ask.",
            remedy='Give base_url="http://host:port" in llm_kwargs or set FUMEHOOD_BASE_URL; `fumehood model serve` starts one.',
        )
    return ModelClient(
        base_url,
        model=settings.model or environment.model,
        api_key=settings.api_key or environment.api_key,
        timeout=settings.timeout,
    )


async def _in_background(program: Program, limits: Limits) -> ExecutionResult:
    from orchestrator.engine.background import run

    return await asyncio.to_thread(
        run, program.code, files=program.files, env=program.env, artifacts=program.artifacts, limits=limits
    )
