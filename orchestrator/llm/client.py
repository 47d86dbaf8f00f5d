"""One client for every model server: TGI, the embedded llama.cpp, vLLM, and whatever else speaks the OpenAI API.

It asks the server what it is, speaks its dialect, keeps a bound on requests in flight, and retries what a
second try can mend: connections that failed or broke, and the answers 424, 429 and 503. Nothing else is retried.

Left out: prompts, reading code out of completions, and starting a server.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from orchestrator.errors import CompletionError, UsageError
from orchestrator.llm.dialects import cut_at_stop, finish_reason, info_of_openai, info_of_tgi
from orchestrator.llm.routes import Chat, Continuation, Generation, Piece, Route
from orchestrator.types import Completion, Message, ModelInfo, Sampling, Usage

if TYPE_CHECKING:
    import httpx2

    from orchestrator.llm.wire import Wire

RETRIED = {424, 429, 503}
"""TGI: generation failed, overloaded, unhealthy. llama.cpp says 503 while it loads."""

MAX_DELAY = 60.0
"""Seconds; no server can make us wait longer between two tries."""

T = TypeVar("T")


class ModelClient:
    """A model behind a URL.

    Belongs to the event loop it is first used in.

    Args:
        base_url: `http://host:port`, with or without `/v1` at the end.
        model: its name at the server; empty means the one that the server names first.
        api_key: sent as a bearer token. Without it nothing is sent, a stored hub token included.
        max_concurrency: requests in flight; further ones wait.
        timeout: seconds of silence after which a request has failed. A stream of tokens is no silence.
        retries: further tries after the first.
        backoff: seconds before the first retry, doubled each time, with jitter; a `Retry-After` longer than that wins.
        sleep: how to wait between tries.

    Raises:
        UsageError: the URL is not one, or a number makes no sense.
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
    ) -> None:
        if max_concurrency < 1 or timeout <= 0 or retries < 0 or backoff < 0:
            raise UsageError(
                "A model client needs a concurrency of at least 1, a timeout above 0, and no negative retries or backoff."
            )
        self.base_url = _root(base_url)
        self.model = model
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self._api_key = api_key
        self._sleep = sleep
        self._slots = asyncio.Semaphore(max_concurrency)
        self._detecting = asyncio.Lock()
        self._info: ModelInfo | None = None
        self._http: httpx2.AsyncClient | None = None
        self._draws_many = True
        self._counts_streams = True

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
            CompletionError: nobody answers, the key is refused, or it is no model server.
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
            CompletionError: the server refused, broke off or answered nonsense, after retries where they help.
        """
        info = await self.info()
        return await self._draw(info, Chat(messages, info.model), sampling, on_token)

    async def complete(self, prompt: str, sampling: Sampling, on_token: Callable[[str], None] | None = None) -> list[Completion]:
        """Draw `sampling.n` continuations of a text, without any chat template. All else is as in `chat`.

        Raises:
            UsageError: a JSON schema was asked for; only answers to a conversation can be held to one.
            CompletionError: as `chat`.
        """
        if sampling.json_schema is not None:
            raise UsageError("The continuation of a text cannot be held to a JSON schema.", remedy="Ask in a conversation.")
        info = await self.info()
        route = Generation(prompt) if info.server == "tgi" else Continuation(prompt, info.model)
        return await self._draw(info, route, sampling, on_token)

    async def _draw(
        self, info: ModelInfo, route: Route, sampling: Sampling, on_token: Callable[[str], None] | None
    ) -> list[Completion]:
        drawn: list[Completion] = []
        if sampling.n > 1 and sampling.seed is None and on_token is None and info.server == "openai" and self._draws_many:
            assert not isinstance(route, Generation)  # which is TGI's
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
        fields = route.fields(info.server, sampling, seed)
        shown = 0

        def show(text: str) -> None:
            nonlocal shown
            if on_token is not None and len(text) > shown:
                piece, shown = text[shown:], len(text)
                on_token(piece)

        async def send() -> Completion:
            started = time.monotonic()
            if on_token is None and not isinstance(route, Generation):
                answer = (await self._complete(route, fields))[0]
            else:
                answer = await self._stream(route, fields, show)
            text = cut_at_stop(answer.text, sampling.stop)
            return answer.model_copy(
                update={
                    "text": text,
                    "finish_reason": "stop" if len(text) < len(answer.text) else answer.finish_reason,
                    "seed": seed,
                    "logprobs": answer.logprobs if sampling.logprobs else None,
                    "wall_time": time.monotonic() - started,
                }
            )

        async with self._slots:
            try:
                return await self._retrying(send)
            except CompletionError as error:
                if on_token is None or not self._counts_streams or "stream_options" not in error.message:
                    raise
                self._counts_streams = False  # an older server: its streams come without token counts
                return await self._retrying(send)

    async def _draw_many(self, info: ModelInfo, route: Chat | Continuation, sampling: Sampling) -> list[Completion]:
        """All completions from one request, or as many as the server is willing to draw: fewer, or none."""
        fields = {**route.fields(info.server, sampling, None), "n": sampling.n}
        started = time.monotonic()
        async with self._slots:
            try:
                answers = await self._retrying(lambda: self._complete(route, fields))
            except CompletionError as error:
                if error.status_code not in (400, 422):
                    raise
                self._draws_many = False
                return []
        self._draws_many = len(answers) == sampling.n
        wall_time = time.monotonic() - started
        return [
            answer.model_copy(update={"text": cut_at_stop(answer.text, sampling.stop), "wall_time": wall_time})
            for answer in answers[: sampling.n]
        ]

    async def _complete(self, route: Chat | Continuation, fields: dict[str, Any]) -> list[Completion]:
        async with self._wire(route, fields) as wire:
            try:
                return await route.answer(wire, fields)
            except _NONSENSE as error:
                raise self._nonsense(error) from error

    async def _stream(self, route: Route, fields: dict[str, Any], show: Callable[[str], None]) -> Completion:
        text, reason, usage, logprobs = "", None, Usage(), list[float]()
        if route.counts_on_demand and self._counts_streams:
            fields = {**fields, "stream_options": {"include_usage": True}}
        async with self._wire(route, fields) as wire:
            async for piece in self._pieces(route, wire, fields):
                text = text + piece.text if piece.whole is None else piece.whole
                reason = piece.reason or reason
                usage = piece.usage or usage
                logprobs += piece.logprobs
                show(text)
            if reason is None and not wire.stream_ended:
                raise CompletionError(
                    f"The model server at {self.base_url} broke off in the middle of an answer.", retryable=True
                )
        return Completion(text=text, finish_reason=finish_reason(reason, text), usage=usage, logprobs=tuple(logprobs))

    async def _pieces(self, route: Route, wire: Wire, fields: dict[str, Any]) -> AsyncIterator[Piece]:
        # A generator of its own, so that an error of the caller's `on_token` is never taken for the server's.
        try:
            async for piece in route.stream(wire, fields):
                yield piece
        except _NONSENSE as error:
            raise self._nonsense(error) from error

    def _wire(self, route: Route, fields: dict[str, Any]) -> Wire:
        from orchestrator.llm.wire import Wire

        return Wire(f"{self.base_url}{route.base}", self._api_key, self._open(), fields.get("response_format"))

    def _open(self) -> httpx2.AsyncClient:
        if self._http is None:
            from orchestrator.llm.wire import open_http

            self._http = open_http(self.base_url, self.timeout)
        return self._http

    # -- what the server is --------------------------------------------------------------------------------------

    async def _detect(self) -> ModelInfo:
        tgi = await self._retrying(lambda: self._get("/info"))
        info = info_of_tgi(tgi)
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
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        response = await self._open().get(f"{self.base_url}{route}", headers=headers)
        if response.status_code in (401, 403) or response.status_code in RETRIED:
            raise self._refused(response.status_code, _told(response))
        if response.status_code != 200:
            return None
        try:
            return json.loads(response.content)  # type: ignore[no-any-return]
        except ValueError:
            return None

    # -- errors and retries --------------------------------------------------------------------------------------

    async def _retrying(self, send: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await send()
            except Exception as raised:
                error = self._translate(raised)
                if error is None:
                    raise
                if not error.retryable or tries >= self.retries:
                    raise error from raised
                delay = min(MAX_DELAY, max(self.backoff * 2**tries * random.uniform(0.5, 1.5), _retry_after(raised)))
            tries += 1
            await self._sleep(delay)

    def _translate(self, raised: Exception) -> CompletionError | None:
        """The one place where foreign errors become ours. None for what is not the server's doing."""
        from huggingface_hub.errors import TextGenerationError

        from orchestrator.llm.wire import httpx

        if isinstance(raised, CompletionError):
            return raised
        if isinstance(raised, httpx.HTTPStatusError):
            return self._refused(raised.response.status_code, _told(raised.response))
        if isinstance(raised, TextGenerationError):
            # Sent inside a stream, where the status was spent before generation began.
            status = {"GenerationError": 424, "OverloadedError": 429, "ValidationError": 422}.get(type(raised).__name__)
            return self._refused(status or 500, _message(raised.args[0] if raised.args else ""))
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
        if isinstance(raised, httpx.HTTPError | httpx.InvalidURL):
            return self._nonsense(raised)
        return None

    def _refused(self, status: int, told: str) -> CompletionError:
        said = f" ({status}): {told}" if told else f" ({status})."
        server = f"model server at {self.base_url}"
        if status in (401, 403):
            message, remedy = f"The {server} refused the key{said}", "Set FUMEHOOD_API_KEY or give --api-key."
        elif status == 404:
            message, remedy = (
                f"The {server} knows no such model or route{said}",
                f"See {self.base_url}/v1/models and give --model.",
            )
        elif status in (400, 413, 422) and _too_long(told):
            message = f"The prompt is too long for the {server}{said}"
            remedy = "Shorten it, ask for fewer new tokens, or serve the model with a larger context (--ctx)."
        elif status in RETRIED:
            message, remedy = f"The {server} is overloaded, loading or failing{said}", "Try again, or lower the concurrency."
        else:
            message, remedy = f"The {server} refused the request{said}", ""
        return CompletionError(message, remedy=remedy, status_code=status, retryable=status in RETRIED)

    def _nonsense(self, error: Exception) -> CompletionError:
        return CompletionError(
            f"What answers at {self.base_url} is not a completion ({type(error).__name__}: {str(error)[:200]}).",
            remedy="Check that --base-url is a TGI or OpenAI-compatible server.",
        )


_NONSENSE = (ValueError, TypeError, AttributeError, KeyError, IndexError)
"""What reading an answer of the wrong shape ends in."""


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


def _told(response: Any) -> str:
    """What a server said with a refusal, as one line."""
    try:
        return _message(json.loads(response.content))
    except ValueError:
        text = response.text
        return "" if "<html" in text.lower() else _message(text)


def _message(body: object) -> str:
    """The message in the several shapes of error bodies: TGI's, OpenAI's, FastAPI's, plain text."""
    while isinstance(body, dict):
        body = next((body[key] for key in ("error", "message", "detail") if body.get(key)), "")
    text = body if isinstance(body, str) else json.dumps(body)
    return " ".join(text.split())[:500]


def _too_long(told: str) -> bool:
    signs = ("context size", "context length", "max_total_tokens", "`inputs` tokens", "`inputs` must have less than")
    return any(sign in told.lower() for sign in signs)


def _retry_after(raised: Exception) -> float:
    """Seconds that the server asked us to wait; 0 where it did not say."""
    value = str(getattr(getattr(raised, "response", None), "headers", {}).get("retry-after", "")).strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
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
