"""The boto3 client: made once for each open store, and anew in a forked child."""

from __future__ import annotations

import io
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from pqueue.errors import SettingsError, StoreRefused
from pqueue_s3.listed import read_listed
from pqueue_s3.sent import Sent

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_s3 import S3Client
    from pydantic import SecretStr

    from pqueue_s3.settings import S3Settings

IN_BLOCKS: Final = 8 << 20
"""Bytes from which a body is sent in blocks: in one piece, all of it has to get through within one time-out."""
_making = threading.Lock()
"""boto3's sessions are not made for several threads."""
_loader: Any = None
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def make(settings: S3Settings) -> S3Client:
    """A new client of these settings.

    Raises:
        SettingsError: boto3 is not installed, or can't make one of these settings.
    """
    try:
        import boto3  # noqa: PLC0415  # a tenth of a second, paid by whoever opens a bucket
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import get_session  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("a queue in a bucket needs boto3: pip install 'pqueue-segments[s3]'") from error
    options: dict[str, Any] = {
        "connect_timeout": settings.connect_timeout,
        "read_timeout": settings.read_timeout,
        "max_pool_connections": settings.max_pool_connections,
        "retries": {"mode": "standard", "total_max_attempts": settings.request_attempts},
        "s3": {"addressing_style": settings.addressing_style},
        "tcp_keepalive": True,
        # Its checks of our own parameters are an eighth of a request's processor time.
        "parameter_validation": False,
    }
    # Else checksums travel as trailers, which many services other than Amazon's refuse. Known from 1.36 on.
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if name in Config.OPTION_DEFAULTS:
            options[name] = "when_required"
    try:
        with _making:
            core = get_session()
            _share_loader(core)
            session = boto3.Session(
                botocore_session=core,
                aws_access_key_id=_plain(settings.access_key_id),
                aws_secret_access_key=_plain(settings.secret_access_key),
                aws_session_token=_plain(settings.session_token),
                region_name=settings.region,
                profile_name=settings.profile,
            )
            parsers = core.get_component("response_parser_factory")
            core.register_component("response_parser_factory", _dateless())
            client = session.client("s3", endpoint_url=settings.endpoint_url, config=Config(**options))
            # What fetches the credentials of a profile is made by this session, too, later, and their dates matter.
            core.register_component("response_parser_factory", parsers)
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(f"boto3 can't make a client of these settings: {error}") from error
    client.meta.events.register("before-call.s3.PutObject", _in_one_piece)
    client.meta.events.register_first("before-parse.s3.ListObjectsV2", read_listed)
    return client


def _dateless() -> Any:
    """What reads answers and leaves dates as they are sent, since none of them is used."""
    from botocore.parsers import ResponseParserFactory  # noqa: PLC0415  # as above

    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=str)
    return factory


def _in_one_piece(params: dict[str, Any], **_: object) -> None:
    """Send a body of moderate size along with its headers.

    boto3 makes a file of any body, and before it sends a file it asks whether it may: a round trip more each time.
    """
    body = params["body"]
    if isinstance(body, io.BytesIO) and len(data := body.getvalue()) < IN_BLOCKS:
        params["body"] = data


def _share_loader(session: Session) -> None:
    """Let all sessions share what the first one loads: the description of S3, 60 ms and some MB for each otherwise."""
    global _loader  # noqa: PLW0603  # a cache of files that do not change
    if _loader is None:
        _loader = session.get_component("data_loader")
    else:
        session.register_component("data_loader", _loader)


class Client:
    """A client that a forked child makes anew, since it must not write into its parent's connections."""

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._owned = settings.client is None
        self._lock = threading.Lock()
        self._closed = False
        self.sent = Sent()
        self._client: S3Client | None = self._made() if self._owned else settings.client
        if not self._owned:
            self.sent.watch(settings.client)
        _clients.add(self)

    def get(self) -> S3Client:
        """The client.

        Raises:
            StoreRefused: closed.
        """
        client = self._client
        return self._renewed() if client is None else client

    def __enter__(self) -> S3Client:
        """The client; what this thread sends by it within the context is counted."""
        client = self.get()
        self.sent.begin()
        return client

    def __exit__(self, *_: object) -> None:
        self.sent.end()

    def _made(self) -> S3Client:
        client = make(self._settings)
        self.sent.watch(client)
        return client

    def _renewed(self) -> S3Client:
        with self._lock:
            if self._closed:
                raise StoreRefused("this store was closed; open it again")
            if self._client is None:
                self._client = self._made()
            return self._client

    def close(self) -> None:
        """Close the connections, unless the client is somebody else's."""
        with self._lock:
            client, self._client, self._closed = self._client, None, True
        if client is not None:
            self.sent.unwatch(client)
            if self._owned:
                client.close()

    def forked(self) -> None:
        """In the child: drop what was inherited; nothing is sent by that."""
        self._lock = threading.Lock()
        self.sent.forked()
        if self._owned:
            self._client = None


def _forked() -> None:
    global _making  # noqa: PLW0603  # another thread of the parent may have held it
    _making = threading.Lock()
    for client in list(_clients):
        client.forked()


os.register_at_fork(after_in_child=_forked)
