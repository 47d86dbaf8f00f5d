"""Networks that a model writes: read, checked without running them, and replaced aloud where they cannot be used."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from orchestrator.applications.model_research.assemble import assemble_model_code, model_source
from orchestrator.applications.model_research.config import ModelConfig
from orchestrator.applications.model_research.smoke import smoke, smoke_program
from orchestrator.applications.model_research.validation import fault_in
from orchestrator.applications.model_research.written import (
    SCHEMA,
    assemble_from_config,
    prompt_for,
    write_model_code,
)
from orchestrator.errors import CompletionError, UsageError
from orchestrator.llm.scripted import ScriptedModel
from orchestrator.types import ExecutionResult, Status

CONFIG = {
    "class_name": "Net",
    "input_shape": (4,),
    "layers": [{"type": "Linear", "out_features": 8}, {"type": "ReLU"}, {"type": "Linear", "out_features": 3}],
}
GOOD = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return self.body(x)
"""
ANSWER = f"I put the layers into one Sequential.\n\n```python\n{GOOD}```\n"


def said(**changes: object) -> bytes:
    whole = {
        "reached": ["imported", "built", "forward", "backward", "learnt"],
        "failure": "",
        "traceback": "",
        "parameters": 67,
        "unused": [],
        "losses": [1.1, 0.2],
        "goal": 0.5,
        "step_seconds": 0.01,
    }
    return json.dumps(whole | changes).encode()


def sandbox(**changes: object):
    """Runs nothing: reports what a smoke test would have written."""
    seen = []

    async def execute(program, limits):
        seen.append(program.files["network.py"].decode())
        return ExecutionResult(status=Status.OK, artifacts={"smoked.json": said(**changes)})

    return execute, seen


async def test_a_good_answer_is_taken_with_its_plan():
    execute, seen = sandbox()
    written = await write_model_code(CONFIG, ScriptedModel([ANSWER]), execute=execute)
    assert written.by == "model"
    assert written.code == GOOD.removeprefix("import torch\n")  # which it does not use
    assert written.plan == "I put the layers into one Sequential."
    assert written.note == ""
    assert seen == [written.code]


async def test_an_example_of_use_is_dropped_and_never_runs():
    answer = ANSWER.replace("self.body(x)\n", "self.body(x)\n\n\nnet = Net()\nprint(net(torch.zeros(2, 4)).shape)\n")
    written = await write_model_code(CONFIG, ScriptedModel([answer]))
    assert written.by == "model"
    assert "print" not in written.code


async def test_json_is_asked_for_and_read():
    model = ScriptedModel([json.dumps({"plan": "One Sequential.", "python": GOOD})])
    written = await write_model_code(CONFIG, model, form="json")
    assert (written.by, written.plan) == ("model", "One Sequential.")
    assert model.calls[0].sampling.json_schema == SCHEMA


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (["I cannot help with that.", "Sorry."], "holds no code|is empty|does not"),
        ([ANSWER.replace("class Net", "class Other")] * 2, "does not define `Net`"),
        (
            [ANSWER.replace("import torch\n", "import torch\nimport os\n").replace("return", "os.system('ls'); return")] * 2,
            "imports os",
        ),
        ([CompletionError("The model server is away.")], "The model server is away"),
        ([], "no answer left"),
    ],
)
async def test_the_assembler_stands_in_and_it_is_said_why(answers, why):
    written = await write_model_code(CONFIG, ScriptedModel(answers))
    assert written.by == "assembler"
    assert written.code == assemble_model_code(CONFIG)
    assert "so the assembler wrote Net" in written.note
    assert re.search(why, written.note)


async def test_an_answer_that_fails_its_smoke_test_is_not_taken_and_another_is_drawn():
    execute, seen = sandbox(failure="forward returned the shape (1, 4) for (1, 4): it must be (1, 3).")
    model = ScriptedModel([ANSWER, ANSWER])
    written = await write_model_code(CONFIG, model, execute=execute)
    assert written.by == "assembler"
    assert "it must be (1, 3)" in written.note
    assert [call.sampling.seed for call in model.calls] == [0, 1]
    assert len(seen) == 2


def test_the_prompt_has_the_shapes_and_ends_in_the_begin_of_the_class():
    text = prompt_for(ModelConfig.model_validate(CONFIG))[-1].content
    assert "nn.Linear(4, 8): (N, 4) -> (N, 8)" in text
    assert text.rstrip().endswith('forward(self, x) uses them."""\n```')


def test_the_prompt_has_blocks_in_words_and_what_is_repeated_as_often():
    block = {"type": "Residual", "layers": [{"type": "Linear", "out_features": 4}]}
    config = CONFIG | {"layers": [{"type": "Repeat", "times": 2, "layers": [block]}, {"type": "Reshape", "sizes": [-1]}]}
    listed = prompt_for(ModelConfig.model_validate(config))[-1].content.split("gives:\n")[1].splitlines()
    assert [line.partition(",")[0] for line in listed[:3:2]] == ["- Residual", "- Residual"]
    assert listed[1] == listed[3] == "  - nn.Linear(4, 4): (N, 4) -> (N, 4)"
    assert listed[4] == "- x = x.reshape(x.shape[0], 4): (N, 4) -> (N, 4)"


def test_from_a_configuration_by_a_model_into_a_file(tmp_path):
    path = tmp_path / "net.py"
    kwargs = {"client": ScriptedModel([ANSWER]), "smoke": False}
    written = assemble_from_config(CONFIG, path, use_llm=True, llm_kwargs=kwargs)
    assert written.by == "model"
    assert path.read_text() == written.code


def test_the_fallback_is_said_aloud(tmp_path, capsys):
    kwargs = {"client": ScriptedModel(["No."]), "smoke": False, "attempts": 1}
    assert assemble_from_config(CONFIG, tmp_path / "net.py", use_llm=True, llm_kwargs=kwargs).by == "assembler"
    assert "The model's code could not be used, so the assembler wrote Net." in capsys.readouterr().err


def test_a_file_that_is_there_is_said_before_a_model_is_asked(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("mine = 1\n")
    model = ScriptedModel([ANSWER])
    with pytest.raises(UsageError, match="is there already"):
        assemble_from_config(CONFIG, path, use_llm=True, llm_kwargs={"client": model})
    assert model.calls == []
    assert path.read_text() == "mine = 1\n"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"base-url": "http://x"}, "has no 'base-url'. Did you mean base_url"),
        ({"temperature": "hot"}, "'temperature'.* is not valid"),
        ({"temperature": 9}, "'temperature'.* is not valid"),
        ({"form": "xml"}, "'form'.* is not valid"),
        ({"attempts": 0}, "'attempts'.* is not valid"),
        ({}, "no model server to ask"),
    ],
)
def test_arguments_for_the_model_are_checked(tmp_path, monkeypatch, kwargs, message):
    monkeypatch.delenv("FUMEHOOD_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=message):
        assemble_from_config(CONFIG, tmp_path / "net.py", use_llm=True, llm_kwargs=kwargs)


# Reading code without running it


def test_a_module_with_one_network_has_no_fault():
    assert fault_in(GOOD, "Net") == ""
    assert fault_in(f'"""About it."""\n{GOOD}', "Net") == ""


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "def (", "does not parse"),
        ("", "x = " + "[" * 300 + "]" * 300, "does not parse"),
        ("", "import subprocess\n", "imports subprocess in line 1"),
        ("", "from torch import *\n", "imports everything of torch"),
        ("", "from . import secret\n", "imports . in line 1"),
        ("", "print('hello')\n", "in line 1 there is print('hello')"),
        ("", "net = open('/etc/passwd').read()\n", "there is net = open"),
        ("", "def make(): pass\n", "there is the function make"),
        ("", "if True:\n    import os\n", "there is if True:"),
        ("", "class Helper(nn.Module):\n    pass\n", "has Helper beside Net"),
        ("class Net", "class Nett", "no class Net; it has Nett"),
        ("(nn.Module)", "(object)", "must be written `class Net(nn.Module):`"),
        ("(nn.Module)", "(nn.Module, metaclass=M)", "must be written"),
        ("(nn.Module)", "(make_base())", "must be written"),
        ("class Net", "@torch.compile\nclass Net", "must be written"),
        ("    def __init__", "    size = open('/etc/passwd').read()\n\n    def __init__", "Line 6 calls something"),
        ("    def __init__", "    print('hi')\n\n    def __init__", "methods and constants only"),
        ("    def __init__", "    @torch.no_grad()\n    def __init__", "has the decorator @torch.no_grad()"),
        ("__init__(self)", "__init__(self, classes)", "must work without arguments"),
        ("__init__(self)", "__init__(self, *, classes)", "must work without arguments"),
        ("__init__(self)", "__init__(self, size=print('hi'))", "signature of __init__ calls something"),
        ("forward(self, x)", "forward(self, x: print('hi'))", "signature of forward calls something"),
        ("forward(self, x)", "forward(self, x, y)", "forward must take one argument"),
        ("def forward", "async def forward", "must not be async"),
        ("forward", "call", "has no method forward"),
    ],
)
def test_what_is_not_one_network_is_said(old, new, fault):
    code = GOOD.replace(old, new, 1) if old else new + GOOD
    assert fault in fault_in(code, "Net")


def test_defaults_and_constants_are_fine():
    code = GOOD.replace("__init__(self)", "__init__(self, classes=3, *, sizes=(1, 2))").replace(
        "    def __init__", "    width = 8\n\n    def __init__"
    )
    assert fault_in(code, "Net") == ""


def test_rows_of_another_shape_are_refused():
    source = model_source(CONFIG)
    with pytest.raises(UsageError, match=r"float64 \(8, 4\)"):
        smoke_program(source, rows=np.zeros((8, 4)))
    with pytest.raises(UsageError, match=r"at least 5 of float32 \(n, 4,\)"):
        smoke_program(source, rows=np.zeros((8, 3), np.float32))


@pytest.mark.parametrize(
    ("artifacts", "status", "failure"),
    [
        ({}, Status.OK, "ended the test before it was imported"),
        ({"smoked.json": b"\x80pickle"}, Status.OK, "changed into something else"),
        ({"smoked.json": said(losses=[float("nan")])}, Status.OK, "changed into something else"),
        ({"smoked.json": said(more=1)}, Status.OK, "changed into something else"),
        ({"smoked.json": said(parameters=-1)}, Status.OK, "changed into something else"),
        ({"smoked.json": said(reached=["imported", "built"])}, Status.OK, "ended the test before its end"),
        ({"smoked.json": said(reached=["imported"])}, Status.TIMED_OUT_CPU, "stopped while it was built: timed_out_cpu"),
        ({"smoked.json": said()}, Status.MEMORY_EXCEEDED, "memory_exceeded"),
    ],
)
async def test_a_report_that_is_none_does_not_pass(artifacts, status, failure):
    async def execute(program, limits):
        return ExecutionResult(status=status, artifacts=artifacts, memory_peak=7)

    report = await smoke(model_source(CONFIG), execute)
    assert not report.passed
    assert failure in report.failure
    assert (report.status, report.memory_peak) == (status, 7)
