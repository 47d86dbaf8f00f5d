"""`python -m llm_server`: the embedded model server as a program."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

from llm_server.embedded import DEFAULT_CONTEXT, DEFAULT_MODEL, DEFAULT_PARALLEL, serve
from llm_server.launcher import READY
from llm_server.weights import KNOWN, ResolvedWeights
from orchestrator.errors import UserError
from orchestrator.settings import Settings

EPILOG = """
examples:
  python -m llm_server                                   Qwen2.5-Coder 1.5B on http://127.0.0.1:8080
  python -m llm_server --model 0.5b --port 0             the small one on any free port
  python -m llm_server --model ~/models/mine.gguf        a GGUF file of your own
  curl http://127.0.0.1:8080/v1/models                   what is served, and the sha256 of its weights
"""


def main(argv: list[str] | None = None) -> int:
    """Parse, serve, and return the exit code: 0 stopped, 2 wrong usage, 3 something is missing, 130 Ctrl-C before it served."""
    options = _parser().parse_args(argv)
    until: SimpleQueue[None] = SimpleQueue()
    if options.until_stdin_closes:
        threading.Thread(target=_wait_for_end_of_stdin, args=(until,), daemon=True).start()
    try:
        serve(
            options.model,
            options.host,
            options.port,
            options.threads,
            options.ctx,
            options.parallel,
            options.api_key,
            home=options.home,
            progress=_show_progress if sys.stderr.isatty() else None,
            ready=_announce,
            until=until,
        )
    except UserError as error:
        print(f"llm_server: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # while weights are fetched: the next start continues
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m llm_server",
        description="Serve a GGUF model on this machine through the OpenAI chat API, with llama.cpp. Ctrl-C stops it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = f"{' or '.join(KNOWN)} (fetched and verified when missing), or a GGUF file [%(default)s]"
    context = "tokens of prompt and answer together that one request may have [%(default)s]"
    parser.add_argument("--model", default=DEFAULT_MODEL, help=model)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one [%(default)s]")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads [all that this process may use]")
    parser.add_argument("--ctx", type=int, default=DEFAULT_CONTEXT, metavar="TOKENS", help=context)
    parser.add_argument("--parallel", type=int, default=DEFAULT_PARALLEL, metavar="N", help="requests at once [%(default)s]")
    parser.add_argument("--api-key", default=Settings().api_key, help="ask clients for this key [FUMEHOOD_API_KEY]")
    parser.add_argument("--home", type=Path, help="folder of the cache [FUMEHOOD_HOME or ~/.cache/fumehood]")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop as soon as whoever holds the other end is gone")
    return parser


def _announce(url: str, weights: ResolvedWeights) -> None:
    print(READY.format(model=weights.model, url=url, sha256=weights.sha256), flush=True)


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _wait_for_end_of_stdin(until: SimpleQueue[None]) -> None:
    while os.read(0, 1024):  # not through sys.stdin, whose lock a thread must not hold while the program ends
        pass
    until.put(None)


if __name__ == "__main__":
    sys.exit(main())
