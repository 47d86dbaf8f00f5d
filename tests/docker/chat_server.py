"""A chat server for tests: the OpenAI routes over a real socket, answers decided by the test."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "a-model-of-the-test"


class ChatServer:
    """Counts what it was asked; `answer` gets the request and its number and returns text, or None to drop the connection."""

    def __init__(self, answer: Callable[[dict[str, Any], int], str | None]) -> None:
        self.requests: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # clients that are killed hang up in the middle of an answer
                    super().handle()

            def do_GET(self) -> None:
                known = self.path == "/v1/models"
                self._send(200 if known else 404, {"object": "list", "data": [{"id": MODEL, "object": "model"}]} if known else {})

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != "/v1/chat/completions":
                    return self._send(404, {})
                outer.requests.append(request)
                text = answer(request, len(outer.requests) - 1)
                if text is None:
                    self.close_connection = True
                    return None
                usage = {"prompt_tokens": 7, "completion_tokens": len(text.split()), "total_tokens": 7 + len(text.split())}
                if not request.get("stream"):
                    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                    return self._send(200, _envelope("chat.completion", [choice]) | {"usage": usage})
                return self._stream(text, usage)

            def _stream(self, text: str, usage: dict[str, int]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                pieces = [text[start : start + 40] for start in range(0, len(text), 40)]
                for piece in pieces:
                    self._event(_envelope("chat.completion.chunk", [{"index": 0, "delta": {"content": piece}}]))
                self._event(_envelope("chat.completion.chunk", [{"index": 0, "delta": {}, "finish_reason": "stop"}]))
                self._event(_envelope("chat.completion.chunk", []) | {"usage": usage})
                self.wfile.write(b"data: [DONE]\n\n")
                self.close_connection = True

            def _event(self, value: dict[str, Any]) -> None:
                self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())
                self.wfile.flush()

            def _send(self, status: int, value: dict[str, Any]) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _envelope(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 0, "model": MODEL, "choices": choices}


@contextlib.contextmanager
def serving(answer: Callable[[dict[str, Any], int], str | None]) -> Iterator[ChatServer]:
    server = ChatServer(answer)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()
