"""Our rows and rewards in the hands of the libraries they are for: `datasets`, and trainers of TRL on the CPU.

The model is made here: two layers, a few thousand weights, and a tokenizer of single bytes. Nothing is fetched.
"""

from __future__ import annotations

import asyncio
import json
import math
import runpy
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from orchestrator.engine.engine import Engine
from orchestrator.sandbox.scripted import ScriptedProvider
from orchestrator.scoring import rewards
from orchestrator.settings import Settings
from orchestrator.training.preferences import FORMATS, Rules, answers_of, choose
from orchestrator.training.preferences.card import card
from orchestrator.training.preferences.files import write
from orchestrator.training.reward_functions import CodeReward
from orchestrator.types import (
    Attempt,
    Completion,
    ExecutionResult,
    Limits,
    Message,
    Program,
    RunRecord,
    RunReport,
    Status,
    TestOutcome,
    TestResult,
    Verdict,
)

with warnings.catch_warnings(action="ignore"):  # what these say while they are imported is between them
    import datasets
    import torch
    import transformers
    import trl

pytestmark = [
    # TRL itself uses the old names.
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing(_\\w+)?` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You are using 'rollout_func':UserWarning"),
]
RUN = RunRecord(id="r1", kind="eval", config={"dataset": "humaneval"})
TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No hub, no progress bars, caches of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the model is tiny: threads would only wait for each other
    yield
    torch.set_num_threads(threads)
    datasets.enable_progress_bars()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection of two tasks with pairs of every format; texts with what files like to break on."""
    attempts = [
        Attempt(
            task=f"t{task}",
            index=index,
            messages=(
                Message(role="system", content="You write \u201cPython\u201d."),
                Message(role="user", content=f"Write f{task}.\n\tTabs, \u2028 and 1 < 2."),
            ),
            completion=Completion(text=f"```python\ndef f{task}():\n    return {index * 1111}\n```"),
            code=f"def f{task}():\n    return {index * 1111}\n",
            verdict=Verdict.ACCEPTED if index < 2 else Verdict.WRONG_ANSWER,
            reward=float(index < 2),
            hidden=ExecutionResult(status=Status.OK, judging="apart"),
        )
        for task in range(2)
        for index in range(4)
    ]
    answers, _ = answers_of(RUN, attempts)
    rules = Rules(near=1)
    choice = choose(answers, rules)
    assert len(choice.pairs) == len(choice.examples) == 8
    text = card(choice, [RUN], rules, tuple(FORMATS), title="Pairs", version="0", dropped_attempts={})
    write(choice, text, tuple(FORMATS), tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_makes_the_round_trip_through_datasets(folder, name):
    expected = [json.loads(line) for line in (folder / name / "train.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert expected
    by_card = datasets.load_dataset(str(folder), name)
    assert list(by_card) == ["train"]
    assert by_card["train"].to_list() == expected
    for kind, file in (("json", "train.jsonl"), ("parquet", "train.parquet")):
        read = datasets.load_dataset(kind, data_files=str(folder / name / file), split="train")
        assert read.to_list() == expected
        assert read.column_names == list(expected[0])


def test_llama_factory_finds_each_column_that_its_list_names(folder):
    listed = json.loads((folder / "dataset_info.json").read_text())
    assert set(listed) == {"fumehood-alpaca", "fumehood-sharegpt"}
    for entry in listed.values():
        assert entry["ranking"] is True
        read = datasets.load_dataset("json", data_files=str(folder / entry["file_name"]), split="train")
        assert set(entry["columns"].values()) == set(read.column_names)
    conversation = datasets.load_dataset("json", data_files=str(folder / "sharegpt/train.jsonl"), split="train")[0]
    # Roles alternate, begin with the human, and leave the last word to the answer.
    assert [turn["from"] for turn in conversation["conversations"]] == ["human"]
    assert conversation["chosen"]["from"] == conversation["rejected"]["from"] == "gpt"


@pytest.fixture
def tokenizer() -> transformers.PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate(["<pad>", "</s>", *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", chat_template=TEMPLATE)


@pytest.fixture
def model(tokenizer: transformers.PreTrainedTokenizerFast, tmp_path: Path) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    # From a folder, for trainers load the reference model from where the model came.
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    return transformers.LlamaForCausalLM.from_pretrained(tmp_path / "model")


def options(folder: Path) -> dict[str, object]:
    return {
        "output_dir": str(folder),
        "max_steps": 2,
        "learning_rate": 1e-2,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "seed": 0,
        "dataloader_pin_memory": False,
    }


def weights(model: transformers.PreTrainedModel) -> torch.Tensor:
    return torch.cat([weight.detach().flatten().clone() for weight in model.parameters()])


@pytest.mark.parametrize("name", ["preference", "preference-chat"])
def test_dpo_learns_from_our_pairs(folder, tmp_path, model, tokenizer, name):
    rows = datasets.load_dataset(str(folder), name, split="train")
    before = weights(model)
    trainer = trl.DPOTrainer(
        model=model,
        args=trl.DPOConfig(**options(tmp_path / "out"), per_device_train_batch_size=4, max_length=256),
        train_dataset=rows,
        processing_class=tokenizer,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    texts = tokenizer.batch_decode(batch["input_ids"])
    # What is trained on holds prompt and both answers, and the answers' tokens alone are learnt from.
    assert all("Write f" in text and "return" in text for text in texts)
    learnt = [tokenizer.decode(ids[mask.bool()]) for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)]
    assert all("return" in text and "Write f" not in text for text in learnt)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 2
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)  # DPO begins where policy and reference agree
    assert losses[1] != losses[0]
    assert not torch.equal(before, weights(model))


def test_the_example_trains_and_saves(folder, tmp_path, model, tokenizer, monkeypatch, capsys):
    tokenizer.save_pretrained(tmp_path / "model")
    trained = tmp_path / "trained"
    monkeypatch.setattr("sys.argv", ["dpo.py", str(folder), str(tmp_path / "model"), str(trained), "--steps", "1"])
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "dpo.py"), run_name="__main__")
    after = transformers.AutoModelForCausalLM.from_pretrained(trained)
    assert not torch.equal(weights(model), weights(after))


def test_kto_and_sft_take_their_rows_as_they_are(folder, tmp_path, model, tokenizer):
    rows = datasets.load_dataset(str(folder), "unpaired", split="train")
    trl.KTOTrainer(
        model=model,
        args=trl.KTOConfig(**options(tmp_path / "kto"), per_device_train_batch_size=4, max_length=256),
        train_dataset=rows,
        processing_class=tokenizer,
    ).train()
    for name in ("sft", "sft-chat"):
        before = weights(model)
        trainer = trl.SFTTrainer(
            model=model,
            args=trl.SFTConfig(**options(tmp_path / name), per_device_train_batch_size=4, max_length=256),
            train_dataset=datasets.load_dataset(str(folder), name, split="train"),
            processing_class=tokenizer,
        )
        trainer.train()
        assert not torch.equal(before, weights(model))


def test_a_reward_model_takes_the_same_pairs(folder, tmp_path, model, tokenizer):
    torch.manual_seed(0)
    config = transformers.LlamaConfig.from_pretrained(tmp_path / "model", num_labels=1)
    scores = transformers.LlamaForSequenceClassification(config)
    before = weights(scores)
    trl.RewardTrainer(
        model=scores,
        args=trl.RewardConfig(**options(tmp_path / "out"), per_device_train_batch_size=4, max_length=256),
        train_dataset=datasets.load_dataset(str(folder), "preference-chat", split="train"),
        processing_class=tokenizer,
    ).train()
    assert not torch.equal(before, weights(scores))


def judge(programs: Sequence[Program], limits: Limits | None) -> list[ExecutionResult]:
    """Scripted sandboxes: what passes stands in the tests, and some sandboxes are broken."""

    def answer(program: Program) -> RunReport:
        tests = program.tests or ""
        if "broken sandbox" in tests:
            return RunReport(status=Status.SANDBOX_ERROR, isolation="scripted")
        wanted = tests.removeprefix("wants ")
        outcome = TestOutcome.PASSED if f"return {wanted}" in (program.code or "") else TestOutcome.FAILED
        return RunReport(
            status=Status.OK,
            tests=(TestResult(name="t", outcome=outcome),),
            tests_collected=1,
            tests_complete=True,
            isolation="scripted",
        )

    async def work() -> list[ExecutionResult]:
        async with Engine(Settings(workers=2), provider=ScriptedProvider(answer), memory_budget=2**40) as engine:
            return await engine.map(programs, limits)

    return asyncio.run(work())


class Told(CodeReward):
    """The adapter, remembering what it was asked and answered."""

    def __call__(self, prompts, completions, **columns):
        values = super().__call__(prompts, completions, **columns)
        self.asked = [prompt if isinstance(prompt, str) else prompt[-1]["content"] for prompt in prompts]
        self.answered = values
        return values


def grpo(model, tokenizer, reward, folder: Path, *, chat: bool, tests: dict[str, str], **more: object) -> trl.GRPOTrainer:
    """One step over all prompts, four answers each."""
    rows = datasets.Dataset.from_list(
        [{"prompt": [{"role": "user", "content": ask}] if chat else ask, "hidden": source} for ask, source in tests.items()]
    )
    arguments = options(folder) | {"max_steps": 1, "max_completion_length": 48, "num_generations": 4, "beta": 0.0}
    return trl.GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=trl.GRPOConfig(**arguments, per_device_train_batch_size=4 * len(tests)),
        train_dataset=rows,
        processing_class=tokenizer,
        **more,
    )


@pytest.mark.parametrize("chat", [False, True])
def test_grpo_takes_a_step_with_our_reward(tmp_path, model, tokenizer, chat):
    """The tiny model writes noise; what a model would have written stands in its place, so that rewards differ."""
    tests = {"Write one.": "wants 1", "Write two.": "wants 2", "Break.": "broken sandbox"}

    def rollout(prompts, trainer):
        answers = [f"```python\ndef f():\n    return {1 + place % 2}\n```" for place in range(len(prompts))]
        ids = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in answers]
        asked = [tokenizer(prompt if isinstance(prompt, str) else prompt[0]["content"])["input_ids"] for prompt in prompts]
        return {"prompt_ids": asked, "completion_ids": ids, "logprobs": None}

    reward = Told(tests="hidden", judge=judge)
    trainer = grpo(model, tokenizer, reward, tmp_path / "out", chat=chat, tests=tests, rollout_func=rollout)
    before = weights(model)
    trainer.train()
    assert len(reward.answered) == 12
    expected = {"Write one.": [1.0, 0.0] * 2, "Write two.": [0.0, 1.0] * 2, "Break.": [None] * 4}
    for ask, values in expected.items():
        assert [value for asked, value in zip(reward.asked, reward.answered, strict=True) if asked == ask] == values
    (logged,) = [entry for entry in trainer.state.log_history if "reward" in entry]
    # The mean is over the eight answers that were scored: broken sandboxes are no zeros.
    assert logged["reward"] == pytest.approx(0.5)
    assert logged["rewards/binary/mean"] == pytest.approx(0.5)
    assert logged["unscored"] == pytest.approx(4 / 12)
    assert not torch.equal(before, weights(model))


def test_grpo_learns_from_what_the_model_itself_wrote(tmp_path, model, tokenizer):
    """Nothing stands in for anything: noise holds no code and is worth 0, and its length decides between answers."""
    reward = Told(rewards.weighted((rewards.binary, 1.0), (rewards.length_penalty(0, 200), 0.5)), tests="hidden", judge=judge)
    trainer = grpo(
        model, tokenizer, reward, tmp_path / "out", chat=True, tests={"Write one.": "wants 1", "Write two.": "wants 2"}
    )
    before = weights(model)
    trainer.train()
    assert len(reward.answered) == 8
    assert all(value is not None and -0.5 <= value < 0 for value in reward.answered)
    assert not torch.equal(before, weights(model))
