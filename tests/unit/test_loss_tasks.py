import pytest

from orchestrator.applications.loss_functions.tasks import TENSORS, Inputs, builtin_tasks, custom_task, infer_inputs, stub
from orchestrator.errors import UsageError

TASKS = builtin_tasks()


def test_the_ten_tasks():
    assert list(TASKS) == [
        "balanced_cross_entropy",
        "dice",
        "focal",
        "huber",
        "info_nce",
        "label_smoothing",
        "ordinal",
        "quantile",
        "triplet",
        "tversky",
    ]


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_builtin_task_is_whole(task):
    assert len(task.parameters) == len(TENSORS[task.inputs])
    for source in (task.reference, task.visible_tests, task.hidden_tests, stub(task)):
        compile(source, task.name, "exec")
    assert f"def {task.entry_point}(" in task.reference
    assert f"from candidate import {task.entry_point}" in task.visible_tests
    assert f"from candidate import {task.entry_point}" in task.hidden_tests
    assert "Example:" in task.description
    assert task.source


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_stub_has_the_stated_signature_and_the_shapes(task):
    assert f"def {task.signature}:\n" in stub(task)
    assert all(text in stub(task) for text in TENSORS[task.inputs])


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_inputs_of_a_builtin_task_would_have_been_inferred(task):
    assert infer_inputs(task.description, task.signature) == task.inputs


@pytest.mark.parametrize(
    ("description", "signature", "inputs"),
    [
        ("binary segmentation of thin vessels, few positive pixels", "loss(pred, target)", Inputs.BINARY_MASK),
        ("binary classification of rare fraud", "loss(pred, target)", Inputs.BINARY_LOGITS),
        ("binary classification of rare fraud", "loss(probs, target)", Inputs.BINARY_PROBABILITIES),
        ("multiclass classification that punishes overconfidence", "loss(pred, target)", Inputs.MULTICLASS_LOGITS),
        ("classify digits", "loss(pred, target)", Inputs.MULTICLASS_LOGITS),
        ("a robust regression of house prices with outliers", "loss(pred, target)", Inputs.REGRESSION),
        ("mean absolute percentage error", "loss(pred, target)", Inputs.POSITIVE_REGRESSION),
        ("contrastive learning of two views", "loss(z1, z2)", Inputs.PAIRED_EMBEDDINGS),
        ("pull close, push apart", "loss(a, b, c)", Inputs.TRIPLET),
        ("ordinal grades of a disease", "loss(pred, target)", Inputs.ORDINAL_LOGITS),
        ("something nobody has heard of", "loss(logits, target)", Inputs.MULTICLASS_LOGITS),
        ("something nobody has heard of", "loss(pred, target)", Inputs.REGRESSION),
    ],
)
def test_inputs_are_inferred_from_description_and_signature(description, signature, inputs):
    assert infer_inputs(description, signature) == inputs


def test_a_custom_task_takes_inputs_over_what_would_be_inferred():
    task = custom_task("binary segmentation", "loss(pred, target)", inputs="regression")
    assert task.inputs is Inputs.REGRESSION
    assert (task.entry_point, task.parameters) == ("loss", ("pred", "target"))
    assert (task.reference, task.hidden_tests, task.visible_tests) == ("", "", "")


def test_the_name_of_a_custom_task_is_stable_and_its_own():
    first, same, other = (custom_task(text) for text in ("robust regression", " robust regression\n", "plain regression"))
    assert first.name == same.name != other.name


def test_a_signature_is_normalised():
    assert custom_task("regression", "def  loss( pred,target , delta = 1.0 ):").signature == "loss(pred, target, delta=1.0)"


def test_a_signature_may_carry_annotations():
    task = custom_task("regression", "loss(pred: torch.Tensor, target, *, delta: float=1.0) -> torch.Tensor")
    assert task.parameters == ("pred", "target")


@pytest.mark.parametrize("description", ["", "  \n"])
def test_a_task_without_description_is_refused(description):
    with pytest.raises(UsageError, match="no description"):
        custom_task(description)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ("loss(pred, target", "not a Python function signature"),
        ("", "not a Python function signature"),
        ("pred, target", "not a Python function signature"),
        ("loss", "not a Python function signature"),
        ("loss(pred, target): pass; import os", "not a Python function signature"),
        ("loss(pred, target): pass\nimport os\ndef f()", "not a Python function signature"),
        ("loss(pred,\0target)", "not a Python function signature"),
        ("loss()", "no parameters"),
        ("loss(delta=1.0)", "no parameters"),
        ("loss(*tensors)", "open-ended"),
        ("loss(pred)", "1 parameters"),
        ("loss(pred, target, *, weights)", "keyword-only"),
    ],
)
def test_a_signature_that_cannot_be_called_is_refused_in_one_sentence(signature, reason):
    with pytest.raises(UsageError, match=reason) as refused:
        custom_task("binary classification", signature)
    assert refused.value.remedy
    assert "\n" not in refused.value.message.replace(repr(signature), "")


def test_unknown_inputs_are_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="triplet"):
        custom_task("regression", inputs="audio")


def test_importing_the_tasks_imports_no_torch():
    import subprocess
    import sys

    program = "import sys, orchestrator.applications.loss_functions.tasks as t; t.builtin_tasks(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"
