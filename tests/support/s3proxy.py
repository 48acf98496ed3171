"""A proxy on loopback before an S3 server: adds a wide area's delays, counts requests, and makes things go wrong.

The Host header is passed on as it is, so that the server checks the signature of what the client signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tests.support.s3faults import Fault, Request, Rule, Seeded

if TYPE_CHECKING:
    from types import TracebackType

CONTROL = "/.proxy"
LIMIT = 1 << 20


@dataclass(frozen=True)
class Delays:
    """Seconds that a request takes more than on loopback, half of them before it reaches the server."""

    write: float = 0.0
    """PUT, POST and DELETE."""
    read: float = 0.0
    """GET and HEAD."""


WIDE_AREA = Delays(write=0.025, read=0.015)


class Message(NamedTuple):
    """A request or an answer, whole."""

    start: bytes
    headers: dict[bytes, bytes]
    head: bytes
    body: bytes

    @property
    def lasting(self) -> bool:
        return self.headers.get(b"connection", b"").lower() != b"close"


class Relay:
    """The proxy's work, inside an event loop."""

    def __init__(self, upstream: int, delays: Delays, rule: Rule | None) -> None:
        self._upstream = upstream
        self._delays = delays
        self._rule = rule
        self._tasks: set[asyncio.Task[Any]] = set()
        self.counts: Counter[str] = Counter()
        self.port = 0

    async def serve(self, ready: Any, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, limit=LIMIT, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream = Upstream(self._upstream)
        try:
            while request := await _receive(reader, writer):
                if not await self._exchange(request, upstream, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side went away; the client sees its connection close, as it would without us
        finally:
            self._tasks.discard(task)
            upstream.close()
            writer.transport.abort()

    async def _exchange(self, request: Message, upstream: Upstream, writer: asyncio.StreamWriter) -> bool:
        """Whether the client's connection goes on."""
        method, path, _ = request.start.split(b" ", 2)
        if path.startswith(CONTROL.encode()):
            writer.write(self._control(path))
            return True
        asked = Request(_kind(method, path, request.headers), path.partition(b"?")[0].decode())
        self.counts[asked.kind] += 1
        self.counts["bytes"] += len(request.body)
        fault = (self._rule(asked) if self._rule else None) or Fault()
        delay = self._delays.read if method in (b"GET", b"HEAD") else self._delays.write
        left = await _pause(delay / 2, delay)
        answer = None
        if fault.send:
            answer = await upstream.ask(request)
            self.counts[f"{asked.kind} {answer.start.split(b' ', 2)[1].decode()}"] += 1
        if fault.again:
            self._later(request, fault.again)
        await _pause(left + fault.hold, 0)
        if fault.status:
            answer = _made_up(fault)
        if answer is None or not fault.answer:
            return False
        if fault.cut:
            writer.write(answer.head + answer.body[: len(answer.body) // 2])
        else:
            writer.write(answer.head + answer.body)
        if request.lasting and answer.lasting and not fault.cut:
            await writer.drain()
            return True
        writer.close()
        await writer.wait_closed()
        return False

    def _later(self, request: Message, seconds: float) -> None:
        async def again() -> None:
            await asyncio.sleep(seconds)
            upstream = Upstream(self._upstream)
            try:
                answer = await upstream.ask(request)
            except OSError:
                self.counts["again failed"] += 1
            else:
                self.counts[f"again {answer.start.split(b' ', 2)[1].decode()}"] += 1
            finally:
                upstream.close()

        task = asyncio.create_task(again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _control(self, path: bytes) -> bytes:
        body = json.dumps(self.counts).encode()
        if path.endswith(b"/reset"):
            self.counts.clear()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def _pause(seconds: float, of: float) -> float:
    """Sleep; what is then left of a longer pause. The loop oversleeps by a millisecond or so, which adds up."""
    if seconds <= 0:
        return of
    began = time.monotonic()
    await asyncio.sleep(max(0.0, seconds - 0.0005))
    return max(0.0, of - (time.monotonic() - began))


class Upstream:
    """One connection to the server, made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: Message) -> Message:
        if self._reader is None or self._writer is None or self._reader.at_eof() or self._writer.is_closing():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=LIMIT)
        self._writer.write(request.head + request.body)
        await self._writer.drain()
        answer = await _receive(self._reader, None, bodiless=request.start.startswith(b"HEAD "))
        if answer is None:
            raise ConnectionResetError("the server closed the connection instead of answering")
        if not answer.lasting:
            self.close()
        return answer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


async def _receive(
    reader: asyncio.StreamReader, client: asyncio.StreamWriter | None, *, bodiless: bool = False
) -> Message | None:
    """The next message; None where the connection ends before it. With a `client`, it is a request of that one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    start, *lines = head[:-4].split(b"\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if client is None:
        status = int(start.split(b" ", 2)[1])
        if status < 200:
            return await _receive(reader, client, bodiless=bodiless)
        bodiless = bodiless or status in (204, 304)
    elif headers.pop(b"expect", b"").lower() == b"100-continue":
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        kept = [line for line in lines if not line.lower().startswith(b"expect:")]
        head = b"\r\n".join([start, *kept, b"", b""])
    if bodiless:
        body = b""
    elif headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        body = await _chunks(reader)
    elif b"content-length" in headers:
        body = await reader.readexactly(int(headers[b"content-length"]))
    elif client is None:
        headers[b"connection"] = b"close"
        body = await reader.read()
    else:
        body = b""
    return Message(start, headers, head, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body as it is sent, trailers included."""
    parts = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        parts.append(line)
        if size == 0:
            while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
                parts.append(trailer)
            return b"".join([*parts, b"\r\n"])
        parts.append(await reader.readexactly(size + 2))


def _kind(method: bytes, path: bytes, headers: dict[bytes, bytes]) -> str:
    if method == b"PUT" and (b"if-match" in headers or b"if-none-match" in headers):
        return "SWAP"
    if method == b"GET" and b"list-type=2" in path:
        return "LIST"
    return method.decode()


def _made_up(fault: Fault) -> Message:
    body = f"<Error><Code>{fault.code}</Code><Message>made up by a test</Message></Error>".encode()
    start = b"HTTP/1.1 %d %s" % (fault.status, fault.code.encode())
    head = start + b"\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
    return Message(start, {}, head, body)


class Running:
    """What the proxy in a thread and the one in a process have in common."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def counts(self, *, reset: bool = False) -> Counter[str]:
        """Requests by kind, and by kind and status; "bytes" of bodies sent; "again 412" of late repetitions."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", CONTROL + ("/reset" if reset else "/counts"))
            return Counter(json.loads(connection.getresponse().read()))
        finally:
            connection.close()


class S3Proxy(Running):
    """The proxy in a thread: for tests, whose rule may be any function."""

    def __init__(self, upstream: int, rule: Rule | None = None, delays: Delays = Delays()) -> None:
        self._relay = Relay(upstream, delays, rule)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="s3proxy", daemon=True)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._relay.serve(self._ready.set, self._stop)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        self.port = self._relay.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


class S3ProxyProcess(Running):
    """The proxy in a process of its own: for throughput, so that it shares no interpreter with what is measured."""

    def __init__(self, upstream: int, delays: Delays = WIDE_AREA, rule: Seeded | None = None) -> None:
        drawn = {key: value for key, value in vars(rule).items() if not key.startswith("_")} if rule else None
        self._task = json.dumps({"upstream": upstream, "delays": asdict(delays), "rule": drawn})

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.s3proxy", self._task],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)  # it ends when its input does, also if we are killed


async def _main(task: str) -> None:
    given = json.loads(task)
    rule = Seeded(**given["rule"]) if given["rule"] else None
    relay = Relay(given["upstream"], Delays(**given["delays"]), rule)
    stop = asyncio.Event()
    watched = asyncio.create_task(_until_closed(stop))
    await relay.serve(lambda: print(relay.port, flush=True), stop)
    await watched


async def _until_closed(stop: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with contextlib.suppress(OSError):
        await reader.read()
    stop.set()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
