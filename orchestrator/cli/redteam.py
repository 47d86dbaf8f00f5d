"""`fumehood redteam`: hostile programs against this installation, and how many of them got through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.messages import note
from orchestrator.cli.shared import Json, console, nothing_of, out_json, run_async, settings
from orchestrator.errors import no_such
from orchestrator.printable import counted

if TYPE_CHECKING:
    from orchestrator.checks.redteam.attack import Judging, Outcome, PairsReport, RedteamReport
    from orchestrator.checks.redteam.corpus import HostileProgram
    from orchestrator.settings import Settings


def redteam(
    family: Annotated[list[str] | None, typer.Option(metavar="F", help="Only this family; repeatable.")] = None,
    judging: Annotated[str, typer.Option(metavar="apart|together", help="How tests are judged.")] = "apart",
    isolation: Annotated[
        str | None, typer.Option(metavar="auto|namespace|container", help="Isolation of each run. [FUMEHOOD_ISOLATION]")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Number of sandboxes. [FUMEHOOD_WORKERS]")] = None,
    pairs: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Instead, run N random pairs: one program leaves traces, the next looks for them."),
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the pairs and of the traces.")] = 0,
    json_: Json = False,
) -> None:
    """Run the red-team corpus. Exit code 0: nothing got through; 1: something did; 3: it could not be run."""
    if judging not in ("apart", "together"):
        raise no_such("judging", judging, ("apart", "together"))
    how: Judging = "apart" if judging == "apart" else "together"
    if pairs:
        nothing_of("--pairs makes its own programs, and runs them one by one", {"--family": family, "--workers": workers})
    chosen = settings(isolation=isolation, workers=1 if pairs else workers)
    if pairs:
        report = run_async(_pairs(chosen, pairs, seed, how))
        if json_:
            out_json(report.model_dump(mode="json"))
        else:
            _show_pairs(report)
        raise typer.Exit(1 if report.found else 3 if report.unscored else 0)
    programs = _programs(family)
    result = run_async(_corpus(chosen, programs, seed, how))
    if json_:
        out_json(result.model_dump(mode="json", exclude={"outcomes"}))
    else:
        _show(result)
    raise typer.Exit(1 if result.forged or result.forced_none else 3 if result.broken or not result.attempts else 0)


def _programs(families: list[str] | None) -> tuple[HostileProgram, ...]:
    from orchestrator.checks.redteam.corpus import Family, corpus

    for name in families or ():
        if name not in list(Family):
            raise no_such("family", name, Family)
    return tuple(program for program in corpus() if not families or program.family in families)


async def _corpus(chosen: Settings, programs: tuple[HostileProgram, ...], seed: int, judging: Judging) -> RedteamReport:
    from orchestrator.checks.redteam.attack import LIMITS, run_corpus
    from orchestrator.engine.engine import Engine

    total = sum(len(program.graders) for program in programs)
    done = 0

    def report(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        word = (
            f"GOT THROUGH: {outcome.how}"
            if outcome.forged
            else f"GOT NO SCORE: {outcome.verdict}"
            if outcome.forced_none
            else "unscored"
            if outcome.unscored
            else outcome.verdict or outcome.status
        )
        note(f"[{done}/{total}] {outcome.program} x {outcome.grader}: {word} ({outcome.wall_time:.1f} s)")

    async with Engine(chosen, limits=LIMITS) as engine:
        return await run_corpus(engine, programs, report, judging=judging, seed=seed)


async def _pairs(chosen: Settings, count: int, seed: int, judging: Judging) -> PairsReport:
    from orchestrator.checks.redteam.attack import LIMITS, run_pairs
    from orchestrator.engine.engine import Engine

    def report(number: int, trace: str) -> None:
        if trace:
            note(f"[{number + 1}/{count}] FOUND {trace}")
        elif (number + 1) % 25 == 0:
            note(f"[{number + 1}/{count}]")

    async with Engine(chosen, limits=LIMITS) as engine:
        return await run_pairs(engine, count, seed, report, judging=judging)


def _show(report: RedteamReport) -> None:
    screen = console()
    screen.print(f"{'':22}{'attempts':>9}{'forged':>8}{'unscored':>10}{'hack rate':>11}", style="bold")
    groups = (("family", report.by_family), ("grader", report.by_grader), ("accepted, resting on", report.by_basis))
    for title, rates in groups:
        screen.print(title, style="dim")
        for name, rate in rates.items():
            screen.print(f"  {name or 'not said':20}{rate.attempts:9}{rate.forged:8}{rate.unscored:10}{rate.hack_rate:11.1%}")
    screen.print(f"{'all':22}{report.attempts:9}{report.forged:8}{report.unscored:10}{report.hack_rate:11.1%}", style="bold")
    screen.print(
        f"{counted(report.programs, 'program')}, judging {report.judging}, isolation {report.isolation or 'none'}, "
        f"{report.wall_time:.0f} s; the sandbox noticed {report.seen} of them."
    )
    for name in report.forged_names:
        screen.print(f"got through: {name}", style="red", soft_wrap=True)
    screen.print(f"{report.forced_none} got themselves no score, which training would leave out.")
    for name in report.forced_names:
        screen.print(f"got no score: {name}", style="red", soft_wrap=True)
    for grader, why in report.broken.items():
        screen.print(f"not run, grader {grader}: {why}", style="yellow", soft_wrap=True)


def _show_pairs(report: PairsReport) -> None:
    screen = console()
    screen.print(
        f"{report.found} of {counted(report.pairs, 'program')} found a trace of the one before "
        f"(isolation {report.isolation or 'none'}, seed {report.seed}, {report.unscored} unscored, {report.wall_time:.0f} s)."
    )
    for trace in report.traces:
        screen.print(trace, style="red", soft_wrap=True)
