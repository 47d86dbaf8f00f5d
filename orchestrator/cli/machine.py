"""What this machine has and lacks: `fumehood image`, `fumehood model`, `fumehood doctor`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from orchestrator.cli.manual import Commands
from orchestrator.cli.messages import note, out
from orchestrator.cli.shared import Json, console, guarded, out_json, run_async, settings
from orchestrator.errors import UsageError, no_such
from orchestrator.printable import counted

if TYPE_CHECKING:
    from orchestrator.checks.selfcheck import SelfCheckReport
    from orchestrator.sandbox.image import ImageInfo, Variant
    from orchestrator.settings import Settings

image_app = Commands(help="Build, list and remove sandbox images.", no_args_is_help=True, rich_markup_mode=None)
model_app = Commands(help="Weights and server of the embedded model.", no_args_is_help=True, rich_markup_mode=None)

_Variant = Annotated[str, typer.Option(metavar="cpu|cuda", help="Which PyTorch.")]
_Base = Annotated[str | None, typer.Option(metavar="IMAGE", help="Base image. [FUMEHOOD_BASE_IMAGE]")]


@image_app.command("build")
@guarded
def build_image(
    variant: _Variant = "cpu",
    base: _Base = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PACKAGES", help="More packages, as pip names them, separated by commas; repeatable."),
    ] = None,
    tag: Annotated[
        str, typer.Option(metavar="TAG", help="With --with: a name for the result. [one that names its content]")
    ] = "",
    json_: Json = False,
) -> None:
    """Build the sandbox image, unless the engine has it already.

    With --with it is an image of its own, on top of the usual one: pip on this machine fetches the wheels, and nothing is
    installed over what is there. Use it with `fumehood run --image TAG`, or for everything with FUMEHOOD_IMAGE=TAG.
    """
    from orchestrator.sandbox import image

    settings()  # a bad environment variable is reported before anything is built
    if tag and not more:
        raise UsageError("--tag names an image that --with makes.", remedy="Leave it out, or say which packages it is for.")
    packages = _packages(more or ())
    if packages:
        info = image.build_with(packages, _variant(variant), base, tag, progress=note)
    else:
        info = image.build(_variant(variant), base, progress=note)
    if json_:
        out_json(info.model_dump(mode="json"))
        return
    out(_line(info))
    if packages:
        note(f"Use it with `fumehood run --image {info.tag}`, or for everything with FUMEHOOD_IMAGE={info.tag}.")


def _packages(given: Sequence[str]) -> list[str]:
    """Requirements separated by commas, which also stand between the bounds of one: `requests,pillow>=10,<13`."""
    specs: list[str] = []
    for part in (part.strip() for text in given for part in text.split(",")):
        if part[:1] in tuple("<>=!~") and specs:
            specs[-1] += f",{part}"
        elif part:
            specs.append(part)
    return specs


@image_app.command("from")
@guarded
def image_from(
    source: Annotated[str, typer.Argument(metavar="IMAGE", help="Any image with Python 3.11 or newer and a shell.")],
    tag: Annotated[str, typer.Option(metavar="TAG", help="A name for the result. [one that names its content]")] = "",
    json_: Json = False,
) -> None:
    """Make a sandbox image of any image: the agent is laid on top. Use it with FUMEHOOD_IMAGE or per run."""
    from orchestrator.sandbox import image

    info = image.from_image(source, tag, progress=note)
    if json_:
        out_json(info.model_dump(mode="json"))
    else:
        out(_line(info))


@image_app.command("ls")
@guarded
def ls_images(json_: Json = False) -> None:
    """List sandbox images."""
    from orchestrator.sandbox import image

    current = image.tag_for(settings())
    images = image.ls()
    if json_:
        out_json([info.model_dump(mode="json") | {"current": info.tag == current} for info in images])
        return
    for info in images:
        out(_line(info) + ("  (in use)" if info.tag == current else ""))
    if not any(info.tag == current for info in images):
        note(f"The engine does not have {current} yet. {image.how_to_build(current)}")


@image_app.command("rm")
@guarded
def rm_image(
    tag: Annotated[str | None, typer.Argument(metavar="TAG", help="One image.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All sandbox images.")] = False,
    json_: Json = False,
) -> None:
    """Remove one sandbox image, or all of them."""
    from orchestrator.sandbox import image

    if (tag is None) is not every:
        raise UsageError("Name one image, or give --all.", remedy="`fumehood image ls` lists them.")
    gone = image.rm(tag)
    if json_:
        out_json({"removed": gone})
    else:
        note(f"Removed {', '.join(gone) or 'nothing'}.")


@model_app.command("fetch")
@guarded
def fetch_model(name: Annotated[str, typer.Argument(metavar="NAME", help="0.5b or 1.5b.")] = "1.5b", json_: Json = False) -> None:
    """Have weights on this machine, verified by sha256. An interrupted download is continued."""
    from llm_server import weights
    from orchestrator.cli.progress import Progress

    home = settings().home
    progress = Progress(live=False)
    file = weights.resolve(name, home, progress.download if not sys.stderr.isatty() else _bar, note=note)
    if json_:
        out_json({"model": file.model, "path": str(file.path), "sha256": file.sha256})
    else:
        out(str(file.path))


@model_app.command("ls")
@guarded
def ls_models(json_: Json = False) -> None:
    """List known weights and what this machine has of them."""
    from llm_server import weights

    states = weights.ls(settings().home)
    if json_:
        out_json([dataclasses.asdict(state) | {"path": str(state.path)} for state in states])
        return
    for state in states:
        known = state.weights
        out(f"{known.name:6}{state.state:12}{known.size / 1e6:7.0f} MB  {known.repo}  sha256 {known.sha256[:12]}  {state.path}")


@model_app.command("serve")
@guarded
def serve_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="0.5b, 1.5b, or a GGUF file.")] = "1.5b",
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port; 0 takes a free one.")] = 8080,
    threads: Annotated[int | None, typer.Option(metavar="N", help="CPU threads. [all that this process may use]")] = None,
    ctx: Annotated[int, typer.Option(metavar="TOKENS", help="Context length of a request.")] = 4096,
    parallel: Annotated[int, typer.Option(metavar="N", help="Requests at once.")] = 2,
) -> None:
    """Serve a model on this machine through the OpenAI chat API, until Ctrl-C."""
    from llm_server.embedded import serve

    chosen = settings()
    serve(
        name,
        host,
        port,
        threads,
        ctx,
        parallel,
        chosen.api_key,
        home=chosen.home,
        progress=_bar if sys.stderr.isatty() else None,
        ready=lambda url, found: note(f"Serving {found.model} at {url}. Ctrl-C stops it."),
    )


def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Run all behaviour checks at every isolation level; takes minutes.")
    ] = False,
    json_: Json = False,
) -> None:
    """Check engine, sandbox, limits, GPU, model server, disk and store. Exit code 3: something failed."""
    from orchestrator.checks.doctor import diagnose

    marks = {"ok": "ok", "warning": "warn", "failed": "FAIL"}
    styles = {"ok": "green", "warning": "yellow", "failed": "bold red"}
    chosen = settings()
    screen = console()

    async def listed() -> list[dict[str, str]]:
        findings = []
        async for finding in diagnose(chosen):
            findings.append(dataclasses.asdict(finding))
            if not json_:
                screen.print(f"{marks[finding.state]:5}", style=styles[finding.state], end="")
                screen.print(f"{finding.name}: {finding.found}", soft_wrap=True)
                if finding.remedy:
                    screen.print(f"      {finding.remedy}", soft_wrap=True)
        return findings

    async def looked() -> tuple[list[dict[str, str]], SelfCheckReport | None]:
        return await listed(), await _self_check(chosen, show=not json_) if deep else None

    findings, report = run_async(looked())
    failed = [finding for finding in findings if finding["state"] == "failed"]
    healthy = not failed and (report is None or report.healthy)
    if json_:
        facts: dict[str, object] = {"healthy": healthy, "findings": findings}
        if report is not None:
            facts["self_check"] = report.model_dump(mode="json") | {"matrix": report.matrix()}
        out_json(facts)
    else:
        screen.print(in_all([finding["state"] for finding in findings]))
        if report is not None:
            _show_matrix(report)
    raise typer.Exit(0 if healthy else 3)


def in_all(states: Sequence[str]) -> str:
    """What all checks came to, in one sentence."""
    failed, warned, every = states.count("failed"), states.count("warning"), len(states)
    if failed:
        return f"{failed} of {every} checks failed" + (f", and {counted(warned, 'other')} warned." if warned else ".")
    return f"{every - warned} of {every} checks passed, {warned} warned." if warned else f"All {every} checks passed."


async def _self_check(chosen: Settings, *, show: bool) -> SelfCheckReport:
    from orchestrator.checks.selfcheck import CheckResult, self_check

    def report(result: CheckResult) -> None:
        note(
            f"{result.isolation}/{result.runtime}  {result.group}: {result.check}  {result.state}"
            + (f": {result.detail}" if result.detail else "")
        )

    return await self_check(chosen, on_result=report if show else lambda result: None)


def _show_matrix(report: SelfCheckReport) -> None:
    """Groups down, levels and runtimes across; a cell counts what passed of what was tried."""
    from rich.table import Table

    from orchestrator.checks.selfcheck import GROUPS

    matrix = report.matrix()
    table = Table("self-check", *matrix)
    for group in GROUPS:
        cells = []
        for column in matrix.values():
            counts = column.get(group, {})
            rest = [f"{counts[state]} {state}" for state in ("failed", "exception", "unavailable") if counts.get(state)]
            cells.append(", ".join([f"{counts.get('passed', 0)} passed", *rest]) if counts else "-")
        table.add_row(group, *cells)
    console().print(table)
    for result in report.results:
        if result.state != "passed":
            note(f"{result.isolation}/{result.runtime}  {result.group}: {result.check}  {result.state}: {result.detail}")


def _variant(name: str) -> Variant:
    from orchestrator.sandbox.image import Variant

    for variant in get_args(Variant):
        if name == variant:
            return cast("Variant", variant)
    raise no_such("image variant", name, get_args(Variant))


def _line(info: ImageInfo) -> str:
    more = f"  with {info.packages}" if info.packages else ""
    return f"{info.tag}  {info.size / 1e6:.0f} MB  {info.id}{more}"


def _bar(done: int, total: int) -> None:
    print(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB", end="\n" if done >= total else "", file=sys.stderr, flush=True)
