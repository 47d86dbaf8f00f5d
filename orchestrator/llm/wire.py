"""The hub's inference client, made fit for servers of one's own.

`huggingface_hub` builds the requests and reads the answers. What it assumes of Hugging Face's own
services and what does not hold elsewhere is changed here and nowhere else:

- it rewrites OpenAI's `response_format` into TGI's, which other servers ignore or refuse;
- it sends the user's hub token to any URL that comes without a key of its own;
- it keeps every streamed response open until the client is closed;
- it refuses to speak even to this machine when `HF_HUB_OFFLINE` is set;
- it splits streams at characters such as U+2028, which JSON may hold unescaped.

Left out: retries, errors and dialects. They are in `client.py` and `dialects.py`.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx  # what huggingface_hub speaks HTTP with
from huggingface_hub import AsyncInferenceClient

__all__ = ["Wire", "httpx", "open_http"]

CONNECT_TIMEOUT = 10.0
"""Seconds; a server that is there accepts at once, however long it then thinks."""


def open_http(base_url: str, timeout: float) -> httpx.AsyncClient:
    """An HTTP client for one server.

    `timeout` is the longest silence in seconds. Proxies from the environment are left aside for this machine itself.
    """
    url = urlsplit(base_url)
    here = _is_loopback(url.hostname or "")
    return httpx.AsyncClient(
        event_hooks={"response": [_read_error]},
        follow_redirects=True,
        timeout=httpx.Timeout(timeout, connect=CONNECT_TIMEOUT, pool=None),
        trust_env=not here,
        # Reading the machine's certificates takes longer than a short answer; plain HTTP on this machine needs none.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if here and url.scheme == "http" else True,
    )


class Wire(AsyncInferenceClient):
    """One request's client. Leaving its `async with` closes what it streamed, not the shared HTTP client."""

    def __init__(
        self, base_url: str, api_key: str, http: httpx.AsyncClient, response_format: dict[str, Any] | None = None
    ) -> None:
        super().__init__(base_url=base_url, api_key=api_key or None)
        self._http = http
        self._format = response_format
        self.stream_ended = False
        """True once the server said that its stream is complete."""

    async def post(self, body: dict[str, Any], *, stream: bool = False) -> Any:
        """Send a body of one's own to the base URL: bytes come back, or the lines of a stream of events."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self._send(str(self.model), body, headers, stream)

    async def _inner_post(self, request_parameters: Any, *, stream: bool = False) -> Any:
        headers = dict(request_parameters.headers)
        if not self.token:
            headers.pop("authorization", None)
        body = dict(request_parameters.json)
        if self._format is not None:
            body["response_format"] = self._format
        if "inputs" in body:
            body.pop("stream", None)  # it belongs to another route of TGI than the one that streams anyway
        return await self._send(request_parameters.url, body, headers, stream)

    async def _send(self, url: str, body: dict[str, Any], headers: dict[str, str], stream: bool) -> Any:
        request = self._http.build_request("POST", url, json=body, headers=headers)
        response = await self._http.send(request, stream=stream)
        if stream:
            self.exit_stack.push_async_callback(response.aclose)
        response.raise_for_status()
        kind = response.headers.get("content-type", "")
        if stream and ("html" in kind or "json" in kind):
            raise ValueError(f"not a stream of events but {kind}")
        return self._events(response) if stream else response.content

    async def _events(self, response: Any) -> AsyncIterator[str]:
        async for line in _lines(response.aiter_bytes()):
            if line.startswith("data:"):
                data = line.removeprefix("data:").strip()
                self.stream_ended = self.stream_ended or data == "[DONE]"
                yield f"data: {data}"


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r").decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


async def _read_error(response: Any) -> None:
    """Have the body of a refusal at hand, streamed or not."""
    if response.status_code >= 400:
        await response.aread()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
