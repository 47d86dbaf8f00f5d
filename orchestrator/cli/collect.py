"""`fumehood collect`: preference and training data from recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.messages import note
from orchestrator.cli.shared import Json, Seed, checked, console, nothing_of, out_json, settings, store
from orchestrator.errors import OrchestratorError
from orchestrator.printable import counted

if TYPE_CHECKING:
    from orchestrator.training.collect import Collection

_FORMATS = "preference, preference-chat, unpaired, unpaired-chat, sft, sft-chat (TRL), alpaca, sharegpt (LLaMA-Factory)."


def collect(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids of runs, starts or ends of them, or `last`.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the data.")],
    formats: Annotated[list[str] | None, typer.Option("--format", metavar="NAME", help=f"Repeatable: {_FORMATS} [all]")] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--pairs", metavar="KIND", help="correction, outcome or reward; repeatable. [all]")
    ] = None,
    reward: Annotated[
        str | None, typer.Option(metavar="NAME", help="fraction (of tests), ladder or recorded. [fraction]")
    ] = None,
    min_margin: Annotated[
        float | None, typer.Option(metavar="M", help="Smallest difference of rewards in a pair. [0.25]")
    ] = None,
    max_per_prompt: Annotated[int | None, typer.Option(metavar="N", help="At most N pairs for one prompt. [4]")] = None,
    max_per_task: Annotated[int | None, typer.Option(metavar="N", help="At most N pairs for one task. [8]")] = None,
    near: Annotated[
        float | None,
        typer.Option(metavar="S", help="Programs with at least this similarity count as one; 1: only equal ones. [0.95]"),
    ] = None,
    together: Annotated[bool, typer.Option("--together", help="Also use results that were judged `together`.")] = False,
    against: Annotated[
        list[str] | None, typer.Option(metavar="DATASET", help="Benchmarks to look for in the rows. [all on this machine]")
    ] = None,
    decontaminate: Annotated[
        bool, typer.Option("--decontaminate", help="Leave out rows that contain text or names of a benchmark.")
    ] = False,
    data: Annotated[Path | None, typer.Option(metavar="PATH", help="Folder with data sets. [FUMEHOOD_DATA]")] = None,
    seed: Seed = None,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="License for the data card, as the hub writes it. [other]")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the data card.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a folder that an earlier collection wrote.")] = False,
    push_to_hub: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Upload it to the hub as a data set.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make the data set on the hub public.")] = False,
    json_: Json = False,
) -> None:
    """Make preference pairs, labelled examples and SFT rows of recorded attempts."""
    from orchestrator.training.collect import CollectJob, push, save
    from orchestrator.training.collect import collect as gather
    from orchestrator.training.preferences import Rules
    from orchestrator.training.preferences.files import check_place

    if push_to_hub is None:
        nothing_of("there is no --push-to-hub", {"--public": public})
    if pairs is not None and "reward" not in pairs:
        nothing_of("it is about pairs of kind reward", {"--min-margin": min_margin})
    chosen = settings(data=data)
    check_place(out, overwrite=overwrite)
    rules = checked(
        Rules,
        pairs=pairs,
        min_margin=min_margin,
        max_per_prompt=max_per_prompt,
        max_per_task=max_per_task,
        near=near,
        seed=seed,
    )
    job = checked(
        CollectJob,
        rules=rules,
        reward=reward,
        together=together,
        formats=formats,
        against=against,
        decontaminate=decontaminate,
        licence=licence,
        title=title,
    )
    with store(to_read=True) as records:
        collection = gather(runs, records, job, data=chosen.data, say=note)
    for problem in collection.problems:
        note(f"  {problem}")
    files = save(collection, job, out, overwrite=overwrite)
    failure: OrchestratorError | None = None
    address = ""
    if push_to_hub is not None:
        try:
            address = push(out, push_to_hub, private=not public)
        except OrchestratorError as error:
            failure = error
    if json_:
        written = {"folder": str(out), "files": [str(path) for path in files], "hub": address}
        out_json({**collection.as_json(job.formats), **written})
    else:
        _show(collection, job.formats, out, address)
    if failure is not None:
        note(f"fumehood: {failure.message}\n  {failure.remedy}")
        raise typer.Exit(failure.exit_code)


def _show(collection: Collection, formats: tuple[str, ...], folder: Path, address: str) -> None:
    from rich.table import Table

    screen = console()
    facts = collection.as_json(formats)
    kinds = ", ".join(f"{count} {kind}" for kind, count in facts["pairs_by_kind"].items()) or "none"
    examples = f"{counted(facts['examples'], 'example')} ({facts['right_examples']} right)"
    screen.print(
        f"{counted(facts['pairs'], 'pair')} ({kinds}) and {examples}"
        f" over {counted(facts['tasks'], 'task')}, from {counted(facts['attempts'], 'attempt')}.",
        soft_wrap=True,
    )
    if facts["stages"]:
        screen.print(f"Answers to tables came to: {', '.join(f'{stage} {n}' for stage, n in facts['stages'].items())}.")
    table = Table("left out", "why", "count", box=None)
    for what, drops in facts["dropped"].items():
        for why, count in sorted(drops.items(), key=lambda item: -item[1]):
            table.add_row(what, why, str(count))
    if table.row_count:
        screen.print(table)
    for one in collection.contamination:
        if one.by_either:
            screen.print(f"{one.by_text} of {one.rows} rows hold text of {one.benchmark}, {one.by_name} a name.", soft_wrap=True)
    rows = ", ".join(f"{name} {facts['rows'][name]}" for name in formats if facts["rows"][name])
    screen.print(f"Rows: {rows}. Written to {folder}." + (f" On the hub: {address}" if address else ""), soft_wrap=True)
