"""JSON to a model server, and what comes back: one value, or the events of a stream, whichever the server sends.

Left out: what the values mean (`replies.py`), retries and errors (`client.py`). Whatever is not JSON is a ValueError.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2 as httpx

__all__ = ["asked", "httpx", "open_http", "parsed", "payloads", "text_of"]

CONNECT_TIMEOUT = 10.0
"""Seconds; a server that is there accepts at once, however long it then thinks."""

MOST_BYTES = 64 << 20
"""Of one answer, a stream's events included. No model writes that much."""


def open_http(base_url: str, timeout: float) -> httpx.AsyncClient:
    """An HTTP client for one server.

    `timeout` is the longest silence in seconds. Proxies from the environment are left aside for this machine itself.
    """
    url = urlsplit(base_url)
    here = _is_loopback(url.hostname or "")
    return httpx.AsyncClient(
        follow_redirects=True,
        timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, pool=None),
        trust_env=not here,
        # Reading the machine's certificates takes longer than a short answer; plain HTTP on this machine needs none.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if here and url.scheme == "http" else True,
    )


@contextlib.asynccontextmanager
async def asked(
    http: httpx.AsyncClient, url: str, api_key: str, body: Mapping[str, Any] | None = None
) -> AsyncIterator[httpx.Response]:
    """Get a URL, or post a body to it; the response can be read inside the `async with`, and is closed behind it."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    request = http.build_request("GET" if body is None else "POST", url, json=body, headers=headers)
    response = await http.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


async def text_of(response: httpx.Response) -> str:
    """The whole body."""
    return b"".join([chunk async for chunk in _bytes(response)]).decode(errors="replace")


async def payloads(response: httpx.Response) -> AsyncIterator[tuple[Literal["whole", "event", "end"], Any]]:
    """What an answer holds: a `whole` value, or its `event`s in order, and `end` where the server says that they are all.

    A stream is known by its lines, not by the header: some servers send JSON in its place, others a stream unasked.
    """
    event, kind, other, streams = "", "", [], False
    async for line in _lines(_bytes(response)):
        name, colon, rest = line.partition(":")
        if colon and name == "event":
            kind = rest.strip()
        if colon and (name == "data" or (name == "error" and streams)):  # llama.cpp's way to say an error
            streams = True
            kind = "error" if name == "error" else kind
            event += rest.strip()
            if event == "[DONE]":
                yield "end", None
                return
            # Most servers send one line for an event, some without the empty line that ends it.
            with contextlib.suppress(ValueError):
                value = parsed(event)
                if kind == "error" and not (isinstance(value, dict) and value.get("error")):
                    value = {"error": value}
                event = kind = ""
                yield "event", value
        elif event and not line:
            parsed(event)  # which says what is wrong with it
        elif not streams:
            other.append(line)
    if not streams:
        yield "whole", parsed("\n".join(other))


def parsed(text: str) -> Any:
    """The value that a text of JSON holds.

    Raises:
        ValueError: it holds none, or one that is nested too deeply.
    """
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except ValueError:
        raise ValueError(f"no JSON: {text[:100]!r}") from None


async def _bytes(response: httpx.Response) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES >> 20} MiB")
        yield chunk


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Lines that end with CR, LF or both, as a stream's may; JSON holds neither unescaped, and U+2028 and its like it may.

    A byte order mark stands before no line: some servers begin with one.
    """
    rest: list[bytes] = []
    after_cr = False
    async for chunk in chunks:
        text = chunk.removeprefix(b"\n") if after_cr else chunk
        after_cr = chunk.endswith(b"\r")
        first, *others = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest).decode("utf-8-sig", errors="replace")
            rest = [other]
    if any(rest):
        yield b"".join(rest).decode("utf-8-sig", errors="replace")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
