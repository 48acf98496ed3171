"""A tiny S3 look-alike whose honesty is a setting: for what no real server at hand does wrong."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.loopback import bypass_proxies

if TYPE_CHECKING:
    from types import TracebackType


@dataclass
class S3Like:
    """A server of one bucket, in memory, on loopback; it checks no signature."""

    heeds_none_match: bool = True
    heeds_match: bool = True
    heeds_match_of_absent: bool = True
    quotes: str = "either"
    """How an ETag is wanted in a condition: "either", "with", "without" or "never" (no form is right)."""
    etag_of_content: bool = True
    dated: bool = True
    ranges: bool = True
    ordered: bool = True
    pages: bool = True
    """Whether StartAfter is heeded."""
    batches: bool = True
    unsupported: frozenset[str] = frozenset()
    """Request headers that are answered by 501."""
    refuses: tuple[int, str] | None = None
    """How every request is answered."""
    refused_names: frozenset[str] = frozenset()
    """Names that a batch of deletions fails to delete."""
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def settings(self, **more: Any) -> dict[str, Any]:
        return {
            "bucket": "bucket",
            "prefix": "queue",
            "endpoint_url": f"http://127.0.0.1:{self._server.server_port}",
            "access_key_id": "key",
            "secret_access_key": "secret",
            "region": "us-east-1",
            "addressing_style": "path",
            "request_attempts": 1,
            **more,
        }

    def etag(self, data: bytes) -> str:
        return hashlib.md5(data if self.etag_of_content else b"").hexdigest()

    def matches(self, given: str, data: bytes) -> bool:
        etag = self.etag(data)
        forms = {"either": {etag, f'"{etag}"'}, "with": {f'"{etag}"'}, "without": {etag}, "never": set()}
        return given in forms[self.quotes]

    def __enter__(self) -> Self:
        bypass_proxies()
        like = self

        class Handler(_Handler):
            place: S3Like = like

        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet, or each answer waits 40 ms for an acknowledgement
    place: S3Like

    timeout = 5

    def do_PUT(self) -> None:
        self._answer(*self._put())

    def do_GET(self) -> None:
        self._answer(*self._get())

    def do_DELETE(self) -> None:
        self._answer(*self._delete())

    def do_POST(self) -> None:
        self._answer(*self._post())

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").lstrip("/")

    def _put(self) -> tuple[Any, ...]:
        body = self._body()
        if odd := self._odd():
            return odd
        place, old = self.place, self.place.objects.get(self.key)
        match, none_match = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        with place.lock:
            if none_match == "*" and place.heeds_none_match and old is not None:
                return 412, "PreconditionFailed"
            if match is not None and place.heeds_match:
                if old is None and place.heeds_match_of_absent:
                    return 404, "NoSuchKey"
                if old is not None and not place.matches(match, old):
                    return 412, "PreconditionFailed"
            place.objects[self.key] = body
        return 200, b"", {"ETag": f'"{place.etag(body)}"'}

    def _get(self) -> tuple[Any, ...]:
        if odd := self._odd():
            return odd
        if "list-type=2" in self.path:
            return self._list()
        data = self.place.objects.get(self.key)
        if data is None:
            return 404, "NoSuchKey"
        headers = {"ETag": f'"{self.place.etag(data)}"'}
        if self.place.matches(self.headers.get("If-None-Match", ""), data):
            return 304, b"", headers
        wanted = self.headers.get("Range")
        if not wanted or not self.place.ranges:
            return 200, data, headers
        first, last = wanted.removeprefix("bytes=").split("-")
        if int(first) >= len(data):
            return 416, "InvalidRange"
        return 206, data[int(first) : int(last) + 1 if last else None], headers

    def _list(self) -> tuple[Any, ...]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        after = query.get("start-after", "") if self.place.pages else ""
        names = [
            name for name in sorted(self.place.objects) if name.startswith(query.get("prefix", "")) and name > after
        ]
        page = names[: int(query.get("max-keys", 1000))]
        if not self.place.ordered:
            page.reverse()
        found = "".join(
            f"<Contents><Key>{name}</Key><Size>{len(self.place.objects[name])}</Size></Contents>" for name in page
        )
        more = str(len(names) > len(page)).lower()
        return 200, f"<ListBucketResult><IsTruncated>{more}</IsTruncated>{found}</ListBucketResult>".encode(), {}

    def _delete(self) -> tuple[Any, ...]:
        if odd := self._odd():
            return odd
        self.place.objects.pop(self.key, None)
        return 204, b"", {}

    def _post(self) -> tuple[Any, ...]:
        body = self._body().decode()
        if odd := self._odd():
            return odd
        if not self.place.batches:
            return 501, "NotImplemented"
        errors = ""
        for part in body.split("<Key>")[1:]:
            name = part.partition("</Key>")[0]
            if name.rpartition("/")[2] in self.place.refused_names:
                errors += f"<Error><Key>{name}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
            else:
                self.place.objects.pop(name, None)
        return 200, f"<DeleteResult>{errors}</DeleteResult>".encode(), {}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _odd(self) -> tuple[int, str] | None:
        self.place.requests.append(f"{self.command} {self.key}")
        if any(name in self.headers for name in self.place.unsupported):
            return 501, "NotImplemented"
        return self.place.refuses

    def _answer(self, status: int, what: bytes | str, headers: dict[str, str] | None = None) -> None:
        said = f"<Error><Code>{what!s}</Code><Message>said so</Message></Error>".encode()
        body = said if isinstance(what, str) else what
        self.send_response_only(status)
        if self.place.dated:
            self.send_header("Date", self.date_time_string())
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002
