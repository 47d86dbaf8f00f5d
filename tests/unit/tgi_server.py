"""A model server in this process: TGI's routes as its OpenAPI document has them, or an OpenAI-compatible server like vLLM.

Requests are checked strictly: a field or value that the real server does not know is refused with 422, so
that a client which passes here sends what the real one accepts. Failures are scripted, in order.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

MODEL = "bigcode/starcoder2-3b"
SHA = "733247c55e3f73af49ce8e9c7949bf14af205928"
MAX_TOTAL_TOKENS = 4096

Check = Callable[[Any], bool]


def _number(low: float, high: float = float("inf")) -> Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _whole(low: int, high: float = float("inf")) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _strings(most: int) -> Check:
    return lambda value: isinstance(value, list) and len(value) <= most and all(isinstance(word, str) for word in value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _messages(value: Any) -> bool:
    roles = {"system", "user", "assistant"}
    return isinstance(value, list) and all(
        set(message) == {"role", "content"} and message["role"] in roles and isinstance(message["content"], str)
        for message in value
    )


def _tgi_format(value: Any) -> bool:
    if set(value) != {"type", "value"} or value["type"] not in ("json", "regex"):
        return False
    return isinstance(value["value"], str) if value["type"] == "regex" else "properties" in value["value"]


def _openai_format(value: Any) -> bool:
    return (
        set(value) == {"type", "json_schema"}
        and value["type"] == "json_schema"
        and {"name", "schema"} == set(value["json_schema"])
    )


COMMON: dict[str, Check] = {
    "model": lambda value: isinstance(value, str),
    "messages": _messages,
    "max_tokens": _whole(1),
    "temperature": _number(0, 2),
    "logprobs": _flag,
    "stream": _flag,
    "stream_options": lambda value: set(value) == {"include_usage"},
}
TGI_CHAT = COMMON | {
    "top_p": lambda value: 0 < value < 1,
    "seed": _whole(0, 2**64 - 1),
    "stop": _strings(4),
    "n": _whole(1),
    "response_format": _tgi_format,
}
TGI_GENERATION: dict[str, Check] = {
    "max_new_tokens": _whole(1),
    "do_sample": _flag,
    "temperature": lambda value: value > 0,
    "top_p": lambda value: 0 < value < 1,
    "seed": _whole(0, 2**64 - 1),
    "stop": _strings(4),
    "details": _flag,
}
OPENAI_CHAT = COMMON | {
    "top_p": lambda value: 0 < value <= 1,
    "seed": _whole(-(2**63), 2**63 - 1),
    "stop": _strings(16),
    "n": _whole(1, 8),
    "response_format": _openai_format,
    "max_completion_tokens": _whole(1),
}
OPENAI_TEXT = {name: check for name, check in OPENAI_CHAT.items() if name not in ("messages", "response_format")} | {
    "prompt": lambda value: isinstance(value, str),
    "logprobs": _whole(0, 5),
}


@dataclass
class Fault:
    """How one request fails instead of being answered."""

    kind: Literal["status", "drop", "break", "end", "body"] = "status"
    """An error status; a connection closed without a word; a stream that breaks, or ends politely but unfinished; any body."""
    status: int = 500
    error_type: str = "generation"
    message: str = "scripted"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    content_type: str = "text/html"
    after: int = 2
    """Pieces of a stream sent before it breaks."""


class ModelServer:
    """The server; `with ModelServer(...) as server` runs it on a free port."""

    def __init__(
        self, dialect: Literal["tgi", "openai"] = "tgi", reply: Callable[[dict[str, Any]], str] | str = "Hello there!"
    ) -> None:
        self.dialect = dialect
        self.reply = reply
        self.faults: deque[Fault] = deque()
        self.chats: list[dict[str, Any]] = []
        """Bodies of chat requests, refused ones included."""
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.api_key = ""
        self.hold = 0.0
        """Seconds each answer takes."""
        self.most_n = 8
        self.refuses: dict[str, str] = {}
        """Fields of a request that this model does not take, and what is said of each."""
        self.counts_streams = True
        self.reason: str | None = None
        """Reason to finish, instead of the one that fits."""
        self.busiest = 0
        """Most chat requests at once."""
        self._busy = 0
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.paths.append(self.path)
                Exchange(owner, self).get()

            def do_POST(self) -> None:
                owner.paths.append(self.path)
                with owner._lock:
                    owner._busy += 1
                    owner.busiest = max(owner.busiest, owner._busy)
                try:
                    Exchange(owner, self).post()
                finally:
                    with owner._lock:
                        owner._busy -= 1

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client that went away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ModelServer:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Exchange:
    """One request and its answer."""

    def __init__(self, server: ModelServer, handler: BaseHTTPRequestHandler) -> None:
        self.server = server
        self.handler = handler

    def get(self) -> None:
        if self._failed() or self._locked_out():
            return
        tgi = self.server.dialect == "tgi"
        answers: dict[str, Any] = {
            "/v1/models": {
                "object": "list",
                "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL if tgi else "vllm"}],
            },
        }
        if tgi:
            answers["/health"] = {}
            answers["/info"] = {
                "model_id": MODEL,
                "model_sha": SHA,
                "model_pipeline_tag": "text-generation",
                "max_concurrent_requests": 128,
                "max_best_of": 2,
                "max_stop_sequences": 4,
                "max_input_tokens": 4095,
                "max_total_tokens": MAX_TOTAL_TOKENS,
                "validation_workers": 2,
                "max_client_batch_size": 4,
                "router": "text-generation-router",
                "version": "3.3.7",
            }
        else:
            answers["/v1/models"]["data"][0]["max_model_len"] = 2048
        if self.handler.path in answers:
            self._json(200, answers[self.handler.path])
        else:
            self._json(404, {"detail": "Not Found"})

    def post(self) -> None:
        body = json.loads(self.handler.rfile.read(int(self.handler.headers["content-length"])))
        self.server.headers.append({name.lower(): value for name, value in self.handler.headers.items()})
        routes = {"tgi": ("/v1/chat/completions", "/generate_stream"), "openai": ("/v1/chat/completions", "/v1/completions")}
        if self.handler.path not in routes[self.server.dialect]:
            self._json(404, {"detail": "Not Found"})
            return
        self.server.chats.append(body)
        if self.server.hold:
            time.sleep(self.server.hold)
        stream = bool(body.get("stream")) or self._generates
        if self._failed(stream) or self._locked_out() or self._refused(body):
            return
        if self._generates:
            self._generate({**body["parameters"], "inputs": body["inputs"], "max_tokens": body["parameters"]["max_new_tokens"]})
        elif stream:
            self._stream(body)
        else:
            self._answer(body)

    @property
    def _generates(self) -> bool:
        return self.handler.path == "/generate_stream"

    @property
    def _continues(self) -> bool:
        return self.handler.path == "/v1/completions"

    # -- refusals ------------------------------------------------------------------------------------------------

    def _failed(self, stream: bool = False) -> bool:
        if not self.server.faults or (
            self.handler.path in ("/info", "/v1/models") and self.server.faults[0].kind in ("break", "end")
        ):
            return False
        fault = self.server.faults.popleft()
        if fault.kind == "status":
            self._error(fault.status, fault.message, fault.error_type, fault.headers)
        elif fault.kind == "drop":
            self.handler.close_connection = True
        elif fault.kind == "body":
            self._send(200, fault.content_type, fault.body.encode(), {})
        else:
            assert stream, "only a stream can break"
            # Said beforehand, or the client may ask again on the connection that is just going away.
            self._start_stream(last=True)
            for place, piece in enumerate(_pieces(self._text({}, 0))[: fault.after]):
                self._event(_token(place, piece) if self._generates else self._chunk(piece, None))
            if fault.kind == "end":
                self._end_stream()
            self.handler.close_connection = True
        return True

    def _locked_out(self) -> bool:
        if not self.server.api_key or self.handler.headers.get("authorization") == f"Bearer {self.server.api_key}":
            return False
        self._error(401, "Unauthorized", "unauthorized")
        return True

    def _refused(self, body: dict[str, Any]) -> bool:
        if self._generates:
            return self._generation_refused(body)
        if told := next((told for name, told in self.server.refuses.items() if name in body), ""):
            self._error(400, told, "invalid_request_error")
            return True
        checks = TGI_CHAT if self.server.dialect == "tgi" else OPENAI_TEXT if self._continues else OPENAI_CHAT
        for name, value in body.items():
            if name == "stream_options" and not self.server.counts_streams:
                self._error(422, "Unknown field: stream_options", "validation")
                return True
            if name not in checks or not checks[name](value):
                self._error(422, f"Input validation error: {name}={value!r}", "validation")
                return True
        if ("prompt" if self._continues else "messages") not in body:
            self._error(422, "Input validation error: no question", "validation")
            return True
        if self.server.dialect == "openai" and body.get("model") != MODEL:
            self._json(
                404,
                {"error": {"message": f"The model `{body.get('model')}` does not exist.", "type": "NotFoundError", "code": 404}},
            )
            return True
        if self.server.dialect == "openai" and body.get("n", 1) > self.server.most_n:
            self._json(
                400, {"error": {"message": f"n must be at most {self.server.most_n}", "type": "BadRequestError", "code": 400}}
            )
            return True
        return self._too_long(_count(body), body.get("max_tokens", 100))

    def _generation_refused(self, body: dict[str, Any]) -> bool:
        parameters = body.get("parameters", {})
        wrong = [name for name, value in parameters.items() if name not in TGI_GENERATION or not TGI_GENERATION[name](value)]
        if wrong or set(body) != {"inputs", "parameters"} or not isinstance(body["inputs"], str):
            self._error(422, f"Input validation error: {wrong or sorted(body)}", "validation")
            return True
        return self._too_long(len(body["inputs"].split()), parameters.get("max_new_tokens", 100))

    def _too_long(self, words: int, new: int) -> bool:
        if words + new > MAX_TOTAL_TOKENS:
            told = f"`inputs` tokens + `max_new_tokens` must be <= {MAX_TOTAL_TOKENS}. Given: {words} `inputs` tokens and {new} `max_new_tokens`"
            self._error(422, f"Input validation error: {told}", "validation")
            return True
        return False

    def _error(self, status: int, message: str, error_type: str, headers: dict[str, str] | None = None) -> None:
        if self.server.dialect == "tgi":
            self._json(status, {"error": message, "error_type": error_type}, headers)
        else:
            self._json(status, {"error": {"message": message, "type": error_type, "code": status}}, headers)

    # -- answers -------------------------------------------------------------------------------------------------

    def _text(self, body: dict[str, Any], index: int) -> str:
        reply = self.server.reply
        return reply if isinstance(reply, str) else reply({**body, "index": index})

    def _finished(self, body: dict[str, Any], index: int) -> tuple[list[str], str]:
        """The pieces of an answer as the real server cuts it, and why it ended."""
        text = self._text(body, index)
        tgi = self.server.dialect == "tgi"
        for stop in body.get("stop", []):
            if stop in text:
                # TGI keeps the stop sequence at the end of the text.
                text = text[: text.index(stop) + (len(stop) if tgi else 0)]
                return _pieces(text), self.server.reason or ("stop_sequence" if tgi else "stop")
        pieces = _pieces(text)
        if len(pieces) > body.get("max_tokens", 100):
            return pieces[: body["max_tokens"]], "length"
        return pieces, self.server.reason or ("eos_token" if tgi else "stop")

    def _answer(self, body: dict[str, Any]) -> None:
        n = 1 if self.server.dialect == "tgi" else body.get("n", 1)  # TGI takes n and does not use it
        answers = [self._finished(body, index) for index in range(n)]
        choices = [
            {
                "index": index,
                **self._said("".join(pieces), "message"),
                "finish_reason": reason,
                "logprobs": self._logprobs(body, pieces),
            }
            for index, (pieces, reason) in enumerate(answers)
        ]
        usage = _usage(body, sum(len(pieces) for pieces, _ in answers))
        self._json(200, {**_head(), "object": "chat.completion", "choices": choices, "usage": usage})

    def _stream(self, body: dict[str, Any]) -> None:
        pieces, reason = self._finished(body, 0)
        self._start_stream()
        for place, piece in enumerate(pieces):
            last = place == len(pieces) - 1
            self._event(self._chunk(piece, reason if last else None, self._logprobs(body, [piece])))
        if not pieces:
            self._event(self._chunk("", reason))
        if body.get("stream_options", {}).get("include_usage"):
            self._event({**_head(), "object": "chat.completion.chunk", "choices": [], "usage": _usage(body, len(pieces))})
        self._event("[DONE]")
        self._end_stream()

    def _chunk(self, piece: str, reason: str | None, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
        choice = {"index": 0, **self._said(piece, "delta"), "logprobs": logprobs, "finish_reason": reason}
        return {**_head(), "object": "chat.completion.chunk", "choices": [choice], "usage": None}

    def _said(self, text: str, place: str) -> dict[str, Any]:
        return {"text": text} if self._continues else {place: {"role": "assistant", "content": text}}

    def _logprobs(self, body: dict[str, Any], pieces: list[str]) -> dict[str, Any] | None:
        if not body.get("logprobs"):
            return None
        if self._continues:
            return {"tokens": pieces, "token_logprobs": [-0.5] * len(pieces), "top_logprobs": [], "text_offset": []}
        return {"content": [{"token": piece, "logprob": -0.5, "top_logprobs": []} for piece in pieces]}

    def _generate(self, body: dict[str, Any]) -> None:
        """The events of `/generate_stream`: a token each, details with the last; the end of the text is a special token."""
        pieces, reason = self._finished(body, 0)
        tokens = [_token(place, piece) for place, piece in enumerate(pieces)]
        if reason == "eos_token":
            tokens.append(_token(len(pieces), "<|endoftext|>", special=True))
        tokens[-1] |= {
            "generated_text": "".join(pieces),
            "details": {
                "finish_reason": reason,
                "generated_tokens": len(tokens),
                "seed": body.get("seed"),
                "input_length": len(body["inputs"].split()),
            },
        }
        self._start_stream()
        for token in tokens:
            self._event(token)
        self._end_stream()

    # -- bytes ---------------------------------------------------------------------------------------------------

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(body).encode(), headers or {})

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
        self.handler.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def _start_stream(self, *, last: bool = False) -> None:
        self.handler.send_response(200)
        if last:
            self.handler.send_header("connection", "close")
        self.handler.send_header("content-type", "text/event-stream")
        self.handler.send_header("transfer-encoding", "chunked")
        self.handler.end_headers()

    def _event(self, data: Any) -> None:
        # TGI writes no space after the colon; characters outside ASCII go out as they are.
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        line = f"data:{'' if self.server.dialect == 'tgi' else ' '}{text}\n\n".encode()
        self.handler.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.handler.wfile.flush()

    def _end_stream(self) -> None:
        self.handler.wfile.write(b"0\r\n\r\n")


def _head() -> dict[str, Any]:
    return {"id": "", "created": 1706270835, "model": MODEL, "system_fingerprint": "3.3.7-native"}


def _pieces(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + [word for word in words[-1:] if word]


def _count(body: dict[str, Any]) -> int:
    texts = [message["content"] for message in body.get("messages", [])] + [body.get("prompt", "")]
    return sum(len(text.split()) for text in texts)


def _usage(body: dict[str, Any], new: int) -> dict[str, int]:
    return {"prompt_tokens": _count(body), "completion_tokens": new, "total_tokens": _count(body) + new}


def _token(place: int, piece: str, special: bool = False) -> dict[str, Any]:
    token = {"id": place, "text": piece, "logprob": -0.5, "special": special}
    return {"index": place + 1, "token": token, "generated_text": None, "details": None, "top_tokens": []}
