"""One client for every model server: TGI, the embedded llama.cpp, vLLM, and whatever else speaks the OpenAI API.

It asks the server what it is, speaks its dialect, keeps a bound on requests in flight, and retries what a
second try can mend: connections that failed or broke, and answers of a server that is busy, loading or away. Nothing else is
retried, but a field that the server does not take (`max_tokens`, a temperature, a seed) is left out from then on.

Left out: prompts, reading code out of completions, and starting a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from orchestrator.errors import CompletionError, UsageError
from orchestrator.llm.dialects import cut_at_stop, info_of_openai, info_of_tgi
from orchestrator.llm.replies import Answer, Piece, Said, error_in, is_too_long, message_of, refused_field
from orchestrator.llm.routes import Chat, Continuation, Generation, Route
from orchestrator.types import Completion, Message, ModelInfo, Sampling

if TYPE_CHECKING:
    import httpx2

RETRIED = {424, 429, 502, 503, 529}
"""TGI: generation failed (424), overloaded, unhealthy. llama.cpp says 503 while it loads, gateways 502 for a server that is
restarted; 529 is Anthropic's for overloaded. A 504 is silence, see `design/model-servers.md`."""

MAX_DELAY = 60.0
"""Seconds; no server can make us wait longer between two tries."""

DRAWN_WITH = ("temperature", "top_p", "seed")
"""Fields without which an answer is drawn otherwise than was asked: where a server refuses one, it is said."""

OPTIONAL = {*DRAWN_WITH, "stop", "logprobs", "stream_options", "max_tokens"}
"""Fields that a request can do without; of `max_tokens` there is another name, and stop sequences are cut off here."""

T = TypeVar("T")


class ModelClient:
    """A model behind a URL.

    Belongs to the event loop it is first used in.

    Args:
        base_url: `http://host:port`, with or without `/v1` at the end.
        model: its name at the server; empty means the one that the server names first.
        api_key: sent as a bearer token. Without it nothing is sent, a stored hub token included.
        max_concurrency: requests in flight; further ones wait.
        timeout: seconds of silence after which a request has failed. A stream of tokens is not silence.
        retries: further tries after the first.
        backoff: seconds before the first retry, doubled each time, with jitter; a `Retry-After` longer than that wins.
        sleep: how to wait between tries.
        on_note: given one sentence, once, for each field of the sampling that the server turns out to refuse.

    Raises:
        UsageError: the URL is not one, the key cannot be sent, or a number is not valid.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str = "",
        api_key: str = "",
        max_concurrency: int = 4,
        timeout: float = 300.0,
        retries: int = 4,
        backoff: float = 0.5,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        if max_concurrency < 1 or timeout <= 0 or retries < 0 or backoff < 0:
            raise UsageError(
                "A model client needs a concurrency of at least 1, a timeout above 0, and no negative retries or backoff."
            )
        if not (api_key.strip().isascii() and api_key.strip().isprintable()):
            raise UsageError("The key for the model server has characters that no key has.", remedy="Check FUMEHOOD_API_KEY.")
        self.base_url = _root(base_url)
        self.model = model
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self._api_key = api_key.strip()
        self._sleep = sleep
        self._on_note = on_note
        self._slots = asyncio.Semaphore(max_concurrency)
        self._detecting = asyncio.Lock()
        self._info: ModelInfo | None = None
        self._http: httpx2.AsyncClient | None = None
        self._draws_many = True
        self._refuses: set[str] = set()

    async def __aenter__(self) -> ModelClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of connections. Safe to call twice; the next call opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def info(self) -> ModelInfo:
        """Which model answers, asked once: TGI's `/info`, else `/v1/models`.

        Raises:
            CompletionError: nobody answers, the key is refused, or it is not a model server.
        """
        async with self._detecting:
            if self._info is None:
                self._info = await self._detect()
            return self._info

    async def chat(
        self, messages: Sequence[Message], sampling: Sampling, on_token: Callable[[str], None] | None = None
    ) -> list[Completion]:
        """Draw `sampling.n` answers to a conversation.

        Completion i is drawn with `seed + i`, by a request of its own; only without a seed, and where the server can, one
        request draws several. Then the first completion carries the usage of all.

        `on_token` is given the text of the first completion as it arrives. If the stream breaks and is tried again, the
        completion starts anew, but no character place is shown twice: the returned text is what counts.

        An empty answer is a completion with empty text and the reason `other`.

        Raises:
            CompletionError: the server refused, broke off or answered nonsense, after retries where they help. Where another
                prompt may be answered, it says so (`prompt_refused`).
        """
        info = await self.info()
        return await self._draw(info, Chat(messages, self.model or info.model), sampling, on_token)

    async def complete(self, prompt: str, sampling: Sampling, on_token: Callable[[str], None] | None = None) -> list[Completion]:
        """Draw `sampling.n` continuations of a text, without any chat template. All else is as in `chat`.

        Raises:
            UsageError: a JSON schema was asked for; only answers to a conversation can be held to one.
            CompletionError: as `chat`.
        """
        if sampling.json_schema is not None:
            raise UsageError("The continuation of a text cannot be held to a JSON schema.", remedy="Ask in a conversation.")
        info = await self.info()
        route = Generation(prompt) if info.server == "tgi" else Continuation(prompt, self.model or info.model)
        return await self._draw(info, route, sampling, on_token)

    async def _draw(
        self, info: ModelInfo, route: Route, sampling: Sampling, on_token: Callable[[str], None] | None
    ) -> list[Completion]:
        drawn: list[Completion] = []
        if sampling.n > 1 and sampling.seed is None and on_token is None and info.server == "openai" and self._draws_many:
            drawn = await self._draw_many(info, route, sampling)
        missing = range(len(drawn), sampling.n)
        return drawn + await _together(
            [
                self._draw_one(
                    info,
                    route,
                    sampling,
                    None if sampling.seed is None else sampling.seed + index,
                    on_token if index == 0 else None,
                )
                for index in missing
            ]
        )

    # -- one completion ------------------------------------------------------------------------------------------

    async def _draw_one(
        self,
        info: ModelInfo,
        route: Route,
        sampling: Sampling,
        seed: int | None,
        on_token: Callable[[str], None] | None,
    ) -> Completion:
        body = route.body(route.fields(info.server, sampling, seed), stream=on_token is not None)
        shown = 0

        async def send(sent: dict[str, Any]) -> Completion:
            started = time.monotonic()
            length = 0

            def show(text: str) -> None:
                # After a break the answer starts anew; what was shown stays.
                nonlocal shown, length
                place, length = length, length + len(text)
                if on_token is not None and length > shown:
                    piece, shown = text[max(0, shown - place) :], length
                    on_token(piece)

            answers = await self._answers(route, sent, show)
            answer = answers[0].completion()
            show(answer.text[length:])  # what is an answer only as a whole: the call of a tool
            return self._finished(answer, sampling, started).model_copy(
                update={"seed": None if "seed" in self._refuses else seed, "without": self._left_out(body)}
            )

        async with self._slots:
            return await self._adapting(body, send)

    async def _draw_many(self, info: ModelInfo, route: Route, sampling: Sampling) -> list[Completion]:
        """All completions from one request, or as many as the server is willing to draw: fewer, or none."""
        body = route.body({**route.fields(info.server, sampling, None), "n": sampling.n}, stream=False)
        started = time.monotonic()
        async with self._slots:
            try:
                answers = await self._adapting(body, lambda sent: self._answers(route, sent, lambda _: None))
            except CompletionError as error:
                if not error.prompt_refused:
                    raise
                self._draws_many = is_too_long(error.said)
                return []
        self._draws_many = len(answers) == sampling.n
        without = self._left_out(body)
        return [
            self._finished(answer.completion(), sampling, started).model_copy(update={"without": without})
            for answer in answers[: sampling.n]
        ]

    def _finished(self, answer: Completion, sampling: Sampling, started: float) -> Completion:
        text = cut_at_stop(answer.text, sampling.stop)
        return answer.model_copy(
            update={
                "text": text,
                "finish_reason": "stop" if len(text) < len(answer.text) else answer.finish_reason,
                "logprobs": answer.logprobs if sampling.logprobs else None,
                "wall_time": time.monotonic() - started,
            }
        )

    async def _answers(self, route: Route, body: dict[str, Any], show: Callable[[str], None]) -> list[Answer]:
        """The answers to one request in the server's order, at least one; `show` is given the text of answer 0 as it arrives."""
        answers: dict[int, Answer] = {}
        complete = False
        async with contextlib.aclosing(self._pieces(route, body)) as replies:
            async for kind, found in replies:
                complete = complete or kind != "event"
                for piece in found:
                    place = min(answers, default=0) if piece.place is None else piece.place
                    answers.setdefault(place, Answer()).add(piece)
                    if place == 0:
                        show(piece.text)
        in_order = [answers[place] for place in sorted(answers)] or [Answer()]
        if not complete and not in_order[0].reason:
            raise CompletionError(f"The model server at {self.base_url} broke off in the middle of an answer.", retryable=True)
        return in_order

    async def _pieces(self, route: Route, body: dict[str, Any]) -> AsyncGenerator[tuple[str, list[Piece]], None]:
        # A generator of its own, so that an error of the caller's `on_token` is never taken for the server's.
        from orchestrator.llm.wire import asked, payloads

        try:
            async with asked(self._open(), f"{self.base_url}{route.path}", self._api_key, body) as response:
                if not response.is_success:
                    raise self._refused(await _said(response), _retry_after(response))
                async for kind, payload in payloads(response):
                    if error := error_in(payload):
                        raise self._refused(error)
                    if kind == "whole" and not (isinstance(payload, dict) and payload.get("choices")):
                        raise ValueError(f"no choices in {str(payload)[:200]}")
                    yield kind, [] if kind == "end" else route.read(payload)
        except Exception as error:
            raise self._translated(error) from error

    # -- fields that a server does not take ----------------------------------------------------------------------

    async def _adapting(self, body: dict[str, Any], send: Callable[[dict[str, Any]], Awaitable[T]]) -> T:
        """Send a body, with retries; without the fields that the server refuses whatever their value."""
        while True:
            sent = self._adapted(body)
            try:
                return await self._retrying(functools.partial(send, sent))
            except CompletionError as error:
                if not error.prompt_refused or is_too_long(error.said):
                    raise
                field = refused_field(error.said, OPTIONAL & sent.keys())
                if not field:
                    raise
                if field not in self._refuses:
                    self._refuses.add(field)
                    if field in DRAWN_WITH:
                        self._on_note(f"The model server takes no {field}: answers are drawn without it. It said: {error.said}")

    def _adapted(self, body: dict[str, Any]) -> dict[str, Any]:
        fields = {name: value for name, value in body.items() if name not in self._refuses}
        if "max_tokens" in body and "max_tokens" in self._refuses:
            fields["max_completion_tokens"] = body["max_tokens"]
        return fields

    def _left_out(self, body: dict[str, Any]) -> tuple[str, ...]:
        return tuple(name for name in DRAWN_WITH if name in body and name in self._refuses)

    def _open(self) -> httpx2.AsyncClient:
        if self._http is None:
            from orchestrator.llm.wire import open_http

            self._http = open_http(self.base_url, self.timeout)
        return self._http

    # -- what the server is --------------------------------------------------------------------------------------

    async def _detect(self) -> ModelInfo:
        info = info_of_tgi(await self._retrying(lambda: self._get("/info")))
        if info is not None:
            return info
        models = await self._retrying(lambda: self._get("/v1/models"))
        if models is None and self.model:
            return ModelInfo(model=self.model)  # a server that lists nothing may still chat
        info = info_of_openai(models, self.model)
        if info is None:
            raise CompletionError(
                f"What answers at {self.base_url} is not a model server: it knows neither /info (TGI) nor /v1/models (OpenAI).",
                remedy="Check --base-url, or give --model if the server is known to chat.",
            )
        return info

    async def _get(self, route: str) -> object | None:
        """The JSON behind a route; None where there is no such route, or no JSON."""
        from orchestrator.llm.wire import asked, parsed, text_of

        try:
            async with asked(self._open(), f"{self.base_url}{route}", self._api_key) as response:
                if response.status_code in (401, 403) or response.status_code in RETRIED:
                    raise self._refused(await _said(response), _retry_after(response))
                if response.status_code != 200:
                    return None
                text = await text_of(response)
        except Exception as error:
            raise self._translated(error) from error
        try:
            found: object = parsed(text)
        except ValueError:
            return None
        return found

    # -- errors and retries --------------------------------------------------------------------------------------

    async def _retrying(self, send: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await send()
            except CompletionError as error:
                if not error.retryable or tries >= self.retries:
                    raise
                delay = min(MAX_DELAY, max(self.backoff * 2**tries * random.uniform(0.5, 1.5), error.retry_after))
            tries += 1
            await self._sleep(delay)

    def _translated(self, raised: Exception) -> CompletionError:
        """The one place where foreign errors become ours: whatever sending and reading end in."""
        from orchestrator.llm.wire import httpx

        if isinstance(raised, CompletionError):
            return raised
        if isinstance(raised, httpx.TimeoutException) and not isinstance(raised, httpx.ConnectTimeout):
            return CompletionError(
                f"The model server at {self.base_url} was silent for {self.timeout:g} s.",
                remedy="Give it more time, fewer tokens to write, or fewer requests at once.",
            )
        if isinstance(raised, httpx.ConnectError | httpx.ConnectTimeout):
            return CompletionError(
                f"No model server answers at {self.base_url} ({str(raised) or type(raised).__name__}).",
                remedy="Start one with `fumehood model serve` or give --base-url.",
                retryable=True,
            )
        if isinstance(raised, httpx.TransportError):
            return CompletionError(f"The connection to the model server at {self.base_url} broke: {raised}.", retryable=True)
        return CompletionError(
            f"What answers at {self.base_url} is not a completion ({type(raised).__name__}: {str(raised)[:200]}).",
            remedy="Check that --base-url is a TGI or OpenAI-compatible server.",
        )

    def _refused(self, said: Said, retry_after: float = 0.0) -> CompletionError:
        status, reason = said.status, said.message
        words = f" ({status}): {reason.rstrip('.')}." if reason else f" ({status})."
        server = f"model server at {self.base_url}"
        too_long = status == 413 or (status not in (401, 404) and status not in RETRIED and is_too_long(reason))
        filtered = status == 403 and re.search(r"moderat|flagged|content.?(?:filter|policy)|safety", reason, re.IGNORECASE)
        if too_long:
            message, remedy = f"The prompt is too long for the {server}{words}", self._room(reason)
        elif filtered:
            message, remedy = f"The {server} refused the prompt{words}", ""
        elif status in (401, 403):
            message, remedy = f"The {server} refused the key{words}", "Set FUMEHOOD_API_KEY or give --api-key."
        elif status == 404:
            message, remedy = (
                f"The {server} knows no such model or route{words}",
                f"See {self.base_url}/v1/models and give --model.",
            )
        elif status in RETRIED:
            message, remedy = f"The {server} is overloaded, loading or failing{words}", "Try again, or lower the concurrency."
        else:
            message, remedy = f"The {server} refused the request{words}", _FEWER if _asks_too_much(reason) else ""
        return CompletionError(
            message,
            remedy=remedy,
            status_code=status,
            retryable=status in RETRIED,
            retry_after=retry_after,
            prompt_refused=True if too_long or filtered else None,
            said=reason,
        )

    def _room(self, reason: str) -> str:
        """What helps where a prompt is too long. Fewer new tokens do only where the server counts them in."""
        embedded = self._info is not None and self._info.server == "llama.cpp" and self._info.sha
        larger = f"Serve the model with a larger context{' (--ctx)' if embedded else ''}, or take a model that has one."
        return f"{_FEWER} {larger}" if re.search(r"new_tokens|max_tokens|completion|output tokens", reason) else larger


_FEWER = "Ask for fewer new tokens (--max-new-tokens)."


def _asks_too_much(reason: str) -> bool:
    """Whether a refusal is about the number of new tokens."""
    return bool(re.search(r"max_(?:new_|completion_)?tokens\b.*(?:too large|at most|less than|<=|maximum|exceed)", reason))


def _root(base_url: str) -> str:
    """The URL under which `/info` and `/v1` lie."""
    try:
        parts = urlsplit(base_url.strip())
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{base_url!r} is not a URL: {error}.", remedy="Give one like http://127.0.0.1:8080.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{base_url!r} is not the URL of a model server.", remedy="Give one like http://127.0.0.1:8080.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, path.rstrip("/"), "", ""))


async def _said(response: Any) -> Said:
    """What a server said with a refusal. Its status is the refusal's."""
    from orchestrator.llm.wire import parsed, text_of

    text = await text_of(response)
    try:
        message = message_of(parsed(text))
    except ValueError:
        message = "" if "<html" in text.lower() else message_of(text)
    return Said(message, response.status_code)


def _retry_after(response: Any) -> float:
    """Seconds that the server asked us to wait; 0 where it did not say."""
    value = str(response.headers.get("retry-after", "")).strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


async def _together(draws: Sequence[Awaitable[Completion]]) -> list[Completion]:
    """All of them at once, in their order; the first failure stops the others."""
    tasks = [asyncio.ensure_future(draw) for draw in draws]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
