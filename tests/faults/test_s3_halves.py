"""A client that is killed between the headers of a request and its body leaves nothing behind."""

import contextlib
import socket
import time

from pqueue.errors import StoreError
from pqueue_s3 import S3Backend, S3Settings


class Stop(BaseException):
    pass


def test_a_put_whose_body_never_came_is_not_there(s3_server, monkeypatch):
    store = S3Backend.open(S3Settings(**s3_server.settings(prefix="halves", request_attempts=1)), create=True)
    first = store.swap("tail", b"whole", None, sync=True)
    sent = []
    send = socket.socket.sendall

    def only_headers(self, data, *flags):
        head, blank, _ = bytes(data).partition(b"\r\n\r\n")
        if head.startswith(b"PUT"):
            send(self, head + blank, *flags)
            time.sleep(0.1)
            self.shutdown(socket.SHUT_RDWR)
            sent.append(head)
            raise Stop
        return send(self, data, *flags)

    monkeypatch.setattr(socket.socket, "sendall", only_headers)
    for act in (
        lambda: store.swap("tail", b"new", first.version, sync=True),
        lambda: store.swap("other", b"new", None, sync=True),
        lambda: store.write("seg/x", b"bytes"),
    ):
        with contextlib.suppress(Stop, StoreError):
            act()
    monkeypatch.undo()
    assert len(sent) == 3
    time.sleep(0.5)
    assert store.load("tail").data == b"whole"
    assert store.load("other") is None
    assert not list(store.list("seg/"))
    store.close()
