"""From a text to a sample: what a model is asked, and the code that its answer, or a recorded completion, stands for.

Left out: verdicts (`judge`).
"""

from __future__ import annotations

from orchestrator.applications.evaluation.options import EvalJob
from orchestrator.applications.evaluation.prompts import ask
from orchestrator.data.benchmarks import MOST_SAMPLES, BenchmarkTask, Sample
from orchestrator.jobs.loop import seed_of
from orchestrator.llm.answers import is_answer
from orchestrator.llm.extraction import Extraction, extract
from orchestrator.llm.extraction.parsing import parses
from orchestrator.types import Attempt, Completion, Message, Sampling

STOP = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\nassert ")
"""Where the continuation of a function ends."""
ROUND = MOST_SAMPLES
"""An attempt's index is its round times this, and its sample: the same whenever it is made."""


def asked(job: EvalJob, task: BenchmarkTask, sample: int, failed: Attempt | None) -> Attempt:
    """A sample that has its prompt, and no answer yet; with `failed` a correction of that."""
    round_ = 0 if failed is None else failed.round + 1
    continues = job.style == "complete" and failed is None
    return Attempt(
        task=task.task_id,
        index=round_ * ROUND + sample,
        round=round_,
        sample=sample,
        parent=None if failed is None else failed.index,
        messages=_text_to_continue(task) if continues else ask(task, failed, system=job.system, template=job.template),
        sampling=Sampling(
            temperature=job.temperature if failed is None else max(job.temperature, job.repair_temperature),
            top_p=job.top_p,
            max_new_tokens=job.max_new_tokens,
            seed=seed_of(job.seed, task.task_id, "candidate", round_, sample),
            stop=(*job.stop, *(STOP if continues and task.continues else ())),
        ),
        completion=Completion(text=""),
    )


def _text_to_continue(task: BenchmarkTask) -> tuple[Message, ...]:
    text = task.prompt if task.continues else f'"""\n{task.prompt.strip()}\n"""\n'
    return (Message(role="user", content=text),)


def continues(job: EvalJob, attempt: Attempt) -> bool:
    """Whether a sample continues the text of its prompt, and is not an answer to it."""
    return job.style == "complete" and attempt.round == 0


def answered(job: EvalJob, task: BenchmarkTask, attempt: Attempt, completion: Completion) -> Attempt:
    """A sample with what the model wrote, and the code in it."""
    text = completion.text
    if continues(job, attempt) and not is_answer(text, task.program(text)):
        return attempt.model_copy(update={"completion": completion, "code": task.program(text)})
    return attempt.model_copy(update={"completion": completion, **_code_in(task, text)})


def recorded(job: EvalJob, task: BenchmarkTask, number: int, sample: Sample) -> Attempt:
    """A recorded sample: code as it stands, or the code in an answer."""
    code = task.whole(sample.text) if sample.whole and not _is_body(task, sample.text) else task.program(sample.text)
    attempt = Attempt(task=task.task_id, index=number, sample=number, completion=Completion(text=sample.text), code=code)
    if job.raw or not is_answer(sample.text, code):
        return attempt
    return attempt.model_copy(update=_code_in(task, sample.text) | {"extracted": True})


def _is_body(task: BenchmarkTask, solution: str) -> bool:
    """Whether a recorded solution is no program by itself and one behind its prompt, as some recordings have them."""
    return task.continues and not parses(solution) and parses(task.program(solution))


def _code_in(task: BenchmarkTask, answer: str) -> dict[str, object]:
    """The code in the answer of a chat, or why there is none."""
    found = _found(task, answer)
    if not found.code:
        return {"code": "", "feedback": found.reason or "The answer holds no code."}
    return {"code": task.whole(found.code)}


def _found(task: BenchmarkTask, answer: str) -> Extraction:
    entry_point = None if task.cases else task.entry_point or None
    return extract(answer, entry_point=entry_point, prompt=task.prompt if task.continues else "")
