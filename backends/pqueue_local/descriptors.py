"""Descriptors that are kept open, and what a fork does to them."""

import os
import threading
from abc import ABC, abstractmethod
from typing import Generic, TypeVar
from weakref import WeakSet


class Descriptor:
    """A raw descriptor that goes with its last user: dropping it from a cache never closes it under a call."""

    __slots__ = ("__weakref__", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        _descriptors.add(self)

    def shut(self) -> None:
        """Close it now; only where nobody else uses it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if hasattr(self, "fd"):  # else interrupted as it was made
            self.shut()


class Holder(ABC):
    """Something that keeps descriptors, or locks of this process, across calls."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        _holders.add(self)

    @abstractmethod
    def drop(self) -> None:
        """Let go of all descriptors that are kept; they are opened again when they are needed."""


D = TypeVar("D", bound=Descriptor)


class Cache(Holder, Generic[D]):
    """A few descriptors by name; the one that came first goes first."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._kept: dict[str, D] = {}
        self.get = self._kept.get

    def add(self, name: str, descriptor: D) -> D:
        """Keep it under the name."""
        with self.lock:
            self._kept[name] = descriptor
            while len(self._kept) > self._limit:
                del self._kept[next(iter(self._kept))]
        return descriptor

    def forget(self, name: str) -> None:
        """Keep none under the name."""
        with self.lock:
            self._kept.pop(name, None)

    def drop(self) -> None:
        """Keep none."""
        with self.lock:
            self._kept.clear()


_descriptors: WeakSet[Descriptor] = WeakSet()
_holders: WeakSet[Holder] = WeakSet()


def _in_child() -> None:
    # rule 31: closed at once, never unlocked, since an open description and its flock are shared with the parent
    for descriptor in list(_descriptors):
        descriptor.shut()
    for holder in list(_holders):
        holder.lock = threading.Lock()  # a thread that is not in the child may have held it
        holder.drop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
