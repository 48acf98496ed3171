"""From settings to an open queue: `pqueue.open`."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from pqueue import plugins
from pqueue.abc import Codec, SegmentStore, Serializer
from pqueue.address import FOLDER
from pqueue.oldrecipe import refuse
from pqueue.queue import Queue
from pqueue.reopening import Origin
from pqueue.settings import QueueSettings
from pqueue.typed import ItemType
from pqueue.where import Where, parse

T = TypeVar("T")


@overload
def open(where: Where, /, *, item: type[T], **settings: Any) -> Queue[T]: ...  # noqa: A001  # as gzip.open


@overload
def open(where: Where, /, *, item: Any = None, **settings: Any) -> Queue[Any]: ...  # noqa: A001


def open(where: Where, /, *, item: Any = None, **settings: Any) -> Queue[Any]:  # noqa: A001
    """Open a queue; where none is, make one, unless `create=False`.

    Args:
        where: a folder's path; a URL, like `s3://BUCKET/PREFIX?region=eu-central-1`, `file:///var/spool/jobs` or
            `memory://NAME`, whose query may hold settings; the name of a queue in `pqueue.toml` or the environment, where
            a name that none of them has is refused unless a folder has it; or the settings themselves.
        item: what every item is: a pydantic model, a dataclass, a TypedDict, or any other type that pydantic can
            validate. It is this opener's own; what is stored are plain values. None: whatever the serializer takes.
        settings: fields of `QueueSettings` and of its store's settings, over those of `where`.

    Raises:
        SettingsError: a setting is unknown or wrong, or is not what the queue was made with; or pydantic does not know
            the type `item`.
        QueueAbsent: there is none, and `create` is False.
        NotAQueue, NewerFormat, QueueGone: something else is there.
        StoreError: the store does not answer, or refuses; see `retry`.
    """
    return connect(parse(where, settings), None if item is None else ItemType(item))


def connect(settings: QueueSettings, item: ItemType | None = None) -> Queue[Any]:
    """The queue of these settings; see `open`."""
    serializer, codecs = parts(settings)
    store = connect_store(settings)
    try:
        with settings.blamed():
            return Queue(
                store,
                serializer,
                item=item,
                create=settings.create,
                codecs=codecs,
                fixed=settings.fixed(),
                lease=settings.lease,
                auto_extend=settings.auto_extend,
                retry_delay=settings.retry_delay,
                ack_linger=settings.ack_linger,
                prefetch=settings.prefetch,
                origin=Origin(settings, item),
            )
    except BaseException:
        store.close()
        raise


def connect_store(settings: QueueSettings) -> SegmentStore:
    """The store of these settings.

    Raises:
        NotAQueue: a folder of the original recipe's is there, or a file.
        StoreError: see `open`.
    """
    if settings.store.backend == FOLDER:
        refuse(settings.store.path)  # type: ignore[attr-defined]  # which that backend's settings have
    return plugins.backend(settings.store.backend).open(settings.store, create=settings.create)


def parts(settings: QueueSettings) -> tuple[Serializer | None, list[Codec] | None]:
    """The serializer and codecs that these settings name; None where they are silent.

    Raises:
        SettingsError: one is unknown, or does not take its options.
    """
    choice, chosen = settings.serializer, settings.codecs
    with settings.blamed("serializer"):
        serializer = None if choice is None else plugins.serializer(choice.name, **choice.options)
    with settings.blamed("codecs"):
        codecs = None if chosen is None else [plugins.codec(one.name, **one.options) for one in chosen]
    return serializer, codecs
