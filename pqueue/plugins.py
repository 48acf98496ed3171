"""Plug-ins by name: entry points, looked up once and imported when first asked for.

One that can't be imported breaks only what asks for it.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar

from pqueue.abc import Codec, SegmentStore, Serializer, StoreSettings
from pqueue.errors import SettingsError

log = logging.getLogger("pqueue")

T = TypeVar("T")


class Kind(NamedTuple):
    """One of the three kinds of plug-ins."""

    word: str
    group: str
    """Of entry points."""


BACKEND = Kind("backend", "pqueue.backends")
SERIALIZER = Kind("serializer", "pqueue.serializers")
CODEC = Kind("codec", "pqueue.codecs")


def names(kind: Kind) -> Sequence[str]:
    """What is installed, whether or not it can be imported."""
    return sorted(_installed(kind))


def backends() -> Mapping[str, type[SegmentStore]]:
    """Every backend that can be imported, by its name."""
    found = {}
    for name in names(BACKEND):
        try:
            found[name] = backend(name)
        except SettingsError as error:
            log.debug("skipped: %s", error)
    return found


@cache
def backend(name: str) -> type[SegmentStore]:
    """The backend of this name.

    Raises:
        SettingsError: none is installed, or it can't be imported; names those that are, or says what to install.
    """
    found = _load(BACKEND, name, SegmentStore)
    model = getattr(found, "Settings", None)
    if not (isinstance(model, type) and issubclass(model, StoreSettings)):
        raise SettingsError(f"the backend {name!r} is broken: {found.__qualname__}.Settings is no StoreSettings")
    lacking = sorted(found.__abstractmethods__)
    if lacking:
        raise SettingsError(f"the backend {name!r} is broken: {found.__qualname__} lacks {_listed(lacking)}")
    return found


@cache
def backend_for_scheme(scheme: str) -> type[SegmentStore]:
    """The backend that reads URLs of this scheme.

    Raises:
        SettingsError: none does; names the schemes that are known.
    """
    known: list[str] = []
    broken: list[str] = []
    # The one called as its scheme first, so that `s3://` imports nothing else and `file://` no boto3.
    for name in sorted(_installed(BACKEND), key=lambda name: (name != scheme, name)):
        try:
            found = backend(name)
        except SettingsError as error:
            if name == scheme:
                raise
            broken.append(str(error))
            continue
        if scheme in found.schemes:
            return found
        known += found.schemes
    urls = [f"{one}://" for one in sorted(known)]
    text = f"no backend reads {scheme}:// URLs{meant(f'{scheme}://', urls, 0.8)}; known: {_listed(urls)}"
    raise SettingsError("; ".join([text, *broken]))


def serializer(name: str, **options: Any) -> Serializer:
    """A serializer of this name, made with its options.

    Raises:
        SettingsError: see `backend`; or it does not take these options.
    """
    made: Serializer = _make(SERIALIZER, name, _load(SERIALIZER, name, Serializer), options)
    return made


def codec(name: str, **options: Any) -> Codec:
    """A codec of this name, made with its options.

    Raises:
        SettingsError: see `backend`; or it does not take these options.
    """
    made: Codec = _make(CODEC, name, _load(CODEC, name, Codec), options)
    return made


def recorded_serializer(name: str) -> Serializer:
    """The serializer that a queue's meta names, where the opener names none.

    Raises:
        SettingsError: see `backend`; or a hostile record could do harm, so its caller must name it.
    """
    if name not in _installed(SERIALIZER):
        raise SettingsError(
            f"this queue was made with the serializer {name!r}, which is not installed here: install the package that has it"
        )
    found = serializer(name)
    if not found.safe:
        raise SettingsError(
            f"this queue was made with the serializer {name!r}, which a hostile record can make run what it likes: if "
            f'you trust everyone who can write to this queue, open it with serializer="{name}"'
        )
    return found


def _make(kind: Kind, name: str, made: type[T], options: Mapping[str, Any]) -> T:
    if getattr(made, "name", None) != name:
        raise SettingsError(f"the {kind.word} {name!r} is broken: {made.__qualname__}.name is not {name!r}")
    try:
        return made(**options)
    except (TypeError, ValueError) as error:
        # Not the options themselves: an encrypting codec's hold a key.
        known = [one for one in inspect.signature(made).parameters.values() if one.kind is not one.VAR_KEYWORD]
        raise SettingsError(
            f"the {kind.word} {name!r} does not take {_listed(sorted(options))}: {error}; it takes "
            f"{_listed([str(one).partition(':')[0] for one in known])}"
        ) from error


@cache
def _installed(kind: Kind) -> Mapping[str, tuple[EntryPoint, ...]]:
    """Entry points by name; more than one where distributions are at odds."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=kind.group):
        same = found.setdefault(entry.name, [])
        # An editable installation is found twice if its folder is on the path, too.
        if all(one.value != entry.value for one in same):
            same.append(entry)
    return {name: tuple(same) for name, same in found.items()}


@cache
def _load(kind: Kind, name: str, base: type[T]) -> type[T]:
    entries = _installed(kind).get(name, ())
    if not entries:
        raise SettingsError(
            f"no {kind.word} is called {name!r}{meant(name, names(kind))}; known: {_listed(names(kind))}"
        )
    if len(entries) > 1:
        sources = _listed([_source(entry) for entry in entries])
        raise SettingsError(f"several {kind.word}s are called {name!r}, uninstall all but one: {sources}")
    entry = entries[0]
    try:
        found = entry.load()
    except ModuleNotFoundError as error:
        raise SettingsError(f"the {kind.word} {name!r} needs {error.name}: {_remedy(entry, error)}") from error
    except Exception as error:  # whatever a stranger's module does when it is imported
        raise SettingsError(f"the {kind.word} {name!r} of {_source(entry)} can't be imported: {error!r}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise SettingsError(f"the {kind.word} {name!r} of {_source(entry)} is broken: it is no {base.__name__}")
    return found


def meant(name: str, known: Sequence[str], cutoff: float = 0.6) -> str:
    """What to say of a name that is close to a known one."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _source(entry: EntryPoint) -> str:
    return f"{entry.value} ({entry.dist.name})" if entry.dist else entry.value


def _remedy(entry: EntryPoint, error: ModuleNotFoundError) -> str:
    """What to do about what is missing: the command that installs it, mostly."""
    if entry.dist is None:
        return "install it"
    package = (error.name or "").partition(".")[0]
    if package == entry.module.partition(".")[0] and find_spec(package) is not None:
        return f"{entry.dist.name} is installed without it, or names a module that it does not have ({entry.value})"
    missing = _plain(package)
    sizes: Counter[str] = Counter()
    holding = []
    for requirement in entry.dist.requires or ():
        match = _EXTRA.match(requirement)
        if match:
            sizes[match["extra"]] += 1
            if _plain(match["name"]) == missing:
                holding.append(match["extra"])
    extras = [entry.name] if entry.name in sizes else sorted(holding, key=lambda extra: (sizes[extra], extra))
    what = f"{entry.dist.name}[{extras[0]}]" if extras else f"{entry.dist.name}"
    return f"pip install {'' if extras else '--force-reinstall '}'{what}'"


_EXTRA = re.compile(r"""(?P<name>[\w.-]+).*\bextra\s*==\s*['"](?P<extra>[^'"]+)""")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"
