"""A bucket's folder in plain requests: what is sent, and which answers are no errors."""

from __future__ import annotations

from base64 import b64encode
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import md5
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, TypeVar

from pqueue.abc import Blob, StoreTime
from pqueue.errors import StoreRefused
from pqueue.runtime import REAL
from pqueue_s3.client import Client
from pqueue_s3.errors import Answer, answer, spoken, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from mypy_boto3_s3 import S3Client

    from pqueue_s3.settings import S3Settings

T = TypeVar("T")

BATCH: Final = 1000
"""The most names that DeleteObjects takes and ListObjectsV2 gives."""

UNCHANGED, MISSING, CONFLICT, FAILED, BEHIND_END = 304, 404, 409, 412, 416
NOT_MET: Final = frozenset({MISSING, CONFLICT, FAILED})
NO_BATCHES: Final = frozenset(
    {"NotImplemented", "MethodNotAllowed", "MissingContentMD5", "InvalidRequest", "InvalidDigest"}
)


class Options(TypedDict, total=False):
    """How a new object is kept."""

    StorageClass: Any
    ServerSideEncryption: Any
    SSEKMSKeyId: str


class Condition(TypedDict, total=False):
    """What must hold for a request to be carried out."""

    IfMatch: str
    IfNoneMatch: str


class Range(TypedDict, total=False):
    """The bytes to get."""

    Range: str


class Got(NamedTuple):
    """An object, or the range asked for."""

    body: bytes
    etag: str
    now: StoreTime
    partial: bool


class Stored(NamedTuple):
    """An object that was put."""

    etag: str
    now: StoreTime


@lru_cache(maxsize=64)
def _time(date: str | None) -> StoreTime:
    try:
        return StoreTime("", int(parsedate_to_datetime(date or "").timestamp()) * 1000)
    except ValueError as error:
        raise StoreRefused(
            f"the service's answers tell no time (Date: {date!r}), which leases are counted by"
        ) from error


def _headers(response: Any) -> Any:
    return response["ResponseMetadata"]["HTTPHeaders"]


class Bucket:
    """The objects whose keys start with `prefix/`, by their names behind that."""

    def __init__(self, settings: S3Settings) -> None:
        self._client = Client(settings)
        self._name = settings.bucket
        self._root = f"{settings.prefix}/" if settings.prefix else ""
        self._attempts = settings.request_attempts
        self._batches = True

    def put(self, name: str, body: bytes, options: Options, condition: Condition | None = None) -> Stored | Answer:
        """Put an object; the answer instead where it says that the condition does not hold."""
        when = condition or Condition()
        # Of a client that is killed between headers and body, SeaweedFS keeps an empty object, conditional or not: seen
        # as a head of 0 bytes. With a digest no service takes what it did not get whole.
        digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
        response = self._ask(
            f"write {name}",
            lambda s3: s3.put_object(
                Bucket=self._name, Key=self._root + name, Body=body, ContentMD5=digest, **options, **when
            ),
            NOT_MET if condition else (),
            effect=True,
        )
        if isinstance(response, Answer):
            return response
        return Stored(response["ETag"], _time(_headers(response).get("date")))

    def get(self, name: str, condition: Condition | None = None, part: Range | None = None) -> Got | Answer:
        """Get an object or a part; the answer instead for a missing one, an unchanged one and a part behind the end."""
        when, what = condition or Condition(), part or Range()

        def fetch(s3: S3Client) -> Got:
            left = self._attempts
            while True:
                left -= 1
                response = s3.get_object(Bucket=self._name, Key=self._root + name, **when, **what)
                body = response["Body"]
                try:
                    partial = response["ResponseMetadata"]["HTTPStatusCode"] != 200  # noqa: PLR2004
                    return Got(body.read(), response["ETag"], _time(_headers(response).get("date")), partial)
                except Exception:
                    # Cut off within the body, where boto3 does not ask again by itself.
                    if not left:
                        raise
                finally:
                    body.close()

        return self._ask(f"read {name}", fetch, (UNCHANGED, MISSING, BEHIND_END), effect=False)

    def page(self, prefix: str, after: str, limit: int = BATCH) -> tuple[Sequence[Blob], bool]:
        """The next names behind `after`, and whether there are more."""
        behind: Any = {"StartAfter": self._root + after} if after else {}
        response = self._ask(
            f"list {prefix}*",
            lambda s3: s3.list_objects_v2(Bucket=self._name, Prefix=self._root + prefix, MaxKeys=limit, **behind),
            (),
            effect=False,
        )
        assert not isinstance(response, Answer)
        found = [Blob(each["Key"][len(self._root) :], each["Size"]) for each in response.get("Contents", ())]
        return found, bool(found) and response["IsTruncated"]

    def delete(self, names: Sequence[str]) -> None:
        """Delete up to `BATCH` objects; absent ones are no error."""
        if self._batches and len(names) > 1:
            self._batches = self._delete_batch(names)
            if self._batches:
                return
        for name in names:
            self._delete_one(name)

    def _delete_one(self, name: str) -> None:
        key = self._root + name
        self._ask(
            f"delete {name}",
            lambda s3: s3.delete_object(Bucket=self._name, Key=key),
            (MISSING,),
            effect=True,
        )

    def _delete_batch(self, names: Sequence[str]) -> bool:
        """Whether the service takes several names at once."""
        doing = f"delete {len(names)} objects from {names[0]} on"
        batch: Any = {"Objects": [{"Key": self._root + name} for name in names], "Quiet": True}
        response = self._ask(
            doing,
            lambda s3: s3.delete_objects(Bucket=self._name, Delete=batch),
            NO_BATCHES,
            effect=True,
        )
        if isinstance(response, Answer):
            return False
        for each in response.get("Errors", ()):
            if each.get("Code") != "NoSuchKey":
                said = Answer(200, each.get("Code", ""), f"{each.get('Key')}: {each.get('Message')}", retried=False)
                raise spoken(said, self._at(doing), effect=True)
        return True

    def requests(self) -> Mapping[str, int]:
        """What was sent, by kind."""
        return self._client.sent.told()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _at(self, doing: str) -> str:
        return f"can't {doing} in s3://{self._name}/{self._root}"

    def _ask(
        self, doing: str, request: Callable[[S3Client], T], expected: Container[int | str], *, effect: bool
    ) -> T | Answer:
        """A request's result, or the answer itself where it has one of the `expected` statuses or codes."""

        def send() -> T | Answer:
            try:
                with self._client as s3:
                    return request(s3)
            except Exception as error:
                said = answer(error)
                if (
                    said is not None
                    and (said.status in expected or said.code in expected)
                    and said.code != "NoSuchBucket"
                ):
                    return said
                ours = translated(error, self._at(doing), effect=effect)
                if ours is error:
                    raise
                raise ours from error

        # Ctrl-C, and whatever else a signal's handler raises, comes to the main thread, and the client's libraries have locks
        # that it may leave taken for good: seen in urllib3's pool of connections. So the main thread only waits; what it was
        # interrupted in may still happen, as with a lost answer.
        return REAL.start(send).result() if current_thread() is main_thread() else send()
