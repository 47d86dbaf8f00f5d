"""The loss contract: trusted checks that any loss must pass, whatever formula it implements.

They are evidence: a candidate that breaks them is wrong without anybody asking a model, and a model-written test that
a contract-abiding candidate fails is itself in doubt. The checks live in `sandboxed/contract_tests.py`.

Left out: hidden tests, which decide and feed nothing.
"""

from __future__ import annotations

from orchestrator.applications.loss_functions.tasks import LossTask
from orchestrator.engine.programs import sandboxed
from orchestrator.types import Program

PREFIX = "test_contract_"
"""How the names of the contract's own tests begin; the others are the worked examples of the task's description."""

_CONFIG = "CONFIG: dict[str, Any] = {}"
"""The line of the checks that is filled in."""


def contract_program(task: LossTask, code: str) -> Program:
    """A pytest run of `code` against the contract and the worked examples that the task's description states.

    All of its outcomes may be shown to a model.
    """
    config = {
        "entry_point": task.entry_point,
        "signature": task.signature,
        "parameters": list(task.parameters),
        "inputs": task.inputs.value,
        "permutation_invariant": task.permutation_invariant,
        "lower_is_better": task.lower_is_better,
        "extreme_inputs": task.extreme_inputs,
    }
    checks = sandboxed("orchestrator.applications.loss_functions", "contract_tests")
    checks = checks.replace(_CONFIG, _CONFIG.replace("{}", repr(config)), 1)
    # A loss that changes its arguments breaks the contract, so the tests must see what became of them.
    return Program(code=code, tests=f"{checks}\n{task.visible_tests}", judging="apart", in_place=True)
