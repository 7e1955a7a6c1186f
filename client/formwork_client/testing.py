"""A server that says what it is told to, for tests of tools and of what uses them.

    with scripted_server(calls(("add", {"a": 2, "b": 3})), says("5")) as server:
        client = openai.OpenAI(base_url=server.base_url, api_key="any")
        assert ToolLoop(client, [add]).run("2 + 3?", model="any").text == "5"
        assert server.requests[1]["messages"][-1]["content"] == "5"

What it sends is what OpenAI sends, whole or streamed; the client in between is the real one.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PIECE = 4  # characters of a streamed piece: calls and answers come in several
_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 2,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
}


@dataclass(frozen=True)
class Answer:
    """One answer of the server."""

    message: dict[str, Any]
    finish_reason: str | None
    """None where the stream breaks off."""


def says(text: str, *, finish_reason: str | None = "stop") -> Answer:
    """Return an answer in text."""
    return Answer({"content": text}, finish_reason)


def refuses(text: str) -> Answer:
    """Return a refusal."""
    return Answer({"content": None, "refusal": text}, "stop")


def calls(
    *named: tuple[str, Mapping[str, object] | str], finish_reason: str | None = "tool_calls"
) -> Answer:
    """Return an answer that calls tools.

    Args:
        *named: Name and arguments of each; arguments that are a text stand as they are.
        finish_reason: How it ends.
    """
    called = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": given if isinstance(given, str) else json.dumps(given),
            },
        }
        for number, (name, given) in enumerate(named)
    ]
    return Answer({"content": None, "tool_calls": called}, finish_reason)


def calls_with_text(name: str, text: str) -> Answer:
    """Return an answer that calls a custom tool; streams have none."""
    call = {"id": "call_0", "type": "custom", "custom": {"name": name, "input": text}}
    return Answer({"content": None, "tool_calls": [call]}, "tool_calls")


@dataclass
class ScriptedServer:
    """A running server; each request takes the next answer of the script."""

    base_url: str
    script: Iterator[Answer]
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies that came."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: dict[str, Any]) -> Answer | None:
        """Return the answer to a request; None at the script's end."""
        with self._lock:
            self.requests.append(body)
            return next(self.script, None)


@contextmanager
def scripted_server(*script: Answer) -> Iterator[ScriptedServer]:
    """Yield a server of chat completions on loopback that gives these answers, one after the other.

    Behind the last one it answers 404, which clients do not try again.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    scripted = ScriptedServer(f"http://127.0.0.1:{server.server_port}/v1", iter(script))
    server.scripted = scripted  # type: ignore[attr-defined] # how a handler finds its server
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = self.server.scripted.take(body)  # type: ignore[attr-defined] # see above
        if answer is None:
            self._send(404, "application/json", b'{"error": {"message": "the script has ended"}}')
        elif body.get("stream"):
            self._send(200, "text/event-stream", b"".join(_write_events(answer, body)))
        else:
            content = json.dumps(_write_completion(answer)).encode()
            self._send(200, "application/json", content)

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


_HEAD = {"id": "chatcmpl-0", "created": 0, "model": "scripted", "system_fingerprint": "fp_0"}


def _write_completion(answer: Answer) -> dict[str, Any]:
    message = {"role": "assistant", "refusal": None, **answer.message}
    choice = {
        "index": 0,
        "finish_reason": answer.finish_reason,
        "message": message,
        "logprobs": None,
    }
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def _write_events(answer: Answer, body: Mapping[str, Any]) -> Iterator[bytes]:
    for delta in _write_deltas(answer.message):
        yield _write_chunk([{"index": 0, "delta": delta, "finish_reason": None}])
    if answer.finish_reason is None:
        return
    yield _write_chunk([{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}])
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _write_chunk([], _USAGE)
    yield b"data: [DONE]\n\n"


def _write_chunk(choices: list[dict[str, Any]], usage: object = None) -> bytes:
    chunk = {**_HEAD, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _write_deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what OpenAI sends: the role, text, then the calls, one whole call after the other."""
    yield {"role": "assistant", "content": None, "refusal": None}
    for kind in ("content", "refusal"):
        for piece in _cut(message.get(kind) or ""):
            yield {kind: piece}
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        opened = {"name": function["name"], "arguments": ""}
        yield {"tool_calls": [{**call, "index": index, "function": opened}]}
        for piece in _cut(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]
