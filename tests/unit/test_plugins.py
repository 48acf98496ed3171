"""Plug-ins come by entry points: a stranger's like our own, and a broken one alone."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pqueue import plugins
from pqueue.errors import SettingsError

MODULE = """
from typing import ClassVar, Literal
from pqueue.abc import SegmentStore, Serializer, StoreSettings
from pqueue_memory import MemoryBackend, MemorySettings

class StrangeSettings(MemorySettings):
    backend: Literal["strange"] = "strange"

class Strange(MemoryBackend):
    Settings = StrangeSettings
    schemes: ClassVar = ("odd",)

class Halfway(SegmentStore):
    Settings = StrangeSettings
    schemes: ClassVar = ("half",)

class Upper(Serializer):
    name = "upper"
    safe = True
    def dumps(self, item): return item.upper().encode()
    def loads(self, record): return record.decode()

class Misnamed(Upper):
    name = "other"
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Installs distributions of a stranger's."""

    def install(name: str, points: str, requires: str = "") -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        (folder / "entry_points.txt").write_text(points)

    def fresh() -> None:
        plugins._installed.cache_clear()
        plugins._load.cache_clear()
        plugins.backend.cache_clear()
        plugins.backend_for_scheme.cache_clear()
        sys.modules.pop("strange_plugin", None)

    (tmp_path / "strange_plugin.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    fresh()
    yield install
    fresh()


def test_our_own_come_through_entry_points():
    assert {"local", "memory", "s3"} <= set(plugins.backends())
    assert {"msgpack", "json", "marshal", "pickle", "raw"} <= set(plugins.names(plugins.SERIALIZER))
    assert [plugins.serializer(name).safe for name in ("msgpack", "json", "raw", "marshal", "pickle")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert plugins.codec("zlib", level=9).name == "zlib"


def test_every_declared_plug_in_is_what_it_is_declared_to_be():
    for kind, look in (
        (plugins.BACKEND, plugins.backend),
        (plugins.SERIALIZER, plugins.serializer),
        (plugins.CODEC, plugins.codec),
    ):
        for entry in entry_points(group=kind.group):
            assert look(entry.name) is not None


def test_a_stranger_s_are_found_by_name_and_scheme(stranger):
    stranger(
        "strange",
        "[pqueue.backends]\nstrange = strange_plugin:Strange\n[pqueue.serializers]\nupper = strange_plugin:Upper\n",
    )
    assert plugins.backend_for_scheme("odd") is plugins.backend("strange")
    assert plugins.serializer("upper").dumps("x") == b"X"


def test_a_backend_that_lacks_methods_is_refused_with_their_names(stranger):
    stranger("strange", "[pqueue.backends]\nhalf = strange_plugin:Halfway\n")
    for look in (plugins.backend, plugins.backend_for_scheme):
        with pytest.raises(SettingsError, match=r"'half' is broken: Halfway lacks .*\bfrom_url, .*\bopen, .*\bswap\b"):
            look("half")


def test_an_unknown_name_is_refused_with_the_known_ones(stranger):
    stranger("strange", "[pqueue.backends]\nstrange = strange_plugin:Strange\n")
    with pytest.raises(SettingsError, match=r"no backend is called 's4'; known: local, memory, s3, strange"):
        plugins.backend("s4")
    with pytest.raises(SettingsError, match=r"no backend reads x:// URLs; known: file://, memory://, odd://, s3://"):
        plugins.backend_for_scheme("x")


@pytest.mark.parametrize(
    ("requires", "command"),
    [
        ("Requires-Dist: no_such-module>=1; extra == 'far'\nProvides-Extra: far\n", "pip install 'strange[far]'"),
        ("Requires-Dist: x; extra == 'broken'\nProvides-Extra: broken\n", "pip install 'strange[broken]'"),
        ("", "pip install --force-reinstall 'strange'"),
    ],
)
def test_what_a_missing_extra_asks_for_is_a_command(stranger, tmp_path, requires, command):
    (tmp_path / "strange_broken.py").write_text("import no_such_module.deep")
    stranger("strange", "[pqueue.backends]\nbroken = strange_broken:Store\n", requires)
    with pytest.raises(SettingsError) as caught:
        plugins.backend("broken")
    assert command in str(caught.value)
    assert "no_such_module" in str(caught.value)


def test_one_that_names_a_module_of_its_own_that_is_not_there_is_told_so(stranger, tmp_path):
    (tmp_path / "strange_parts").mkdir()
    (tmp_path / "strange_parts" / "__init__.py").write_text("")
    stranger("strange", "[pqueue.backends]\nlost = strange_parts.rows:Store\n")
    with pytest.raises(SettingsError, match=r"needs strange_parts.rows: strange is installed without it"):
        plugins.backend("lost")


@pytest.mark.parametrize("body", ["raise SystemError('boom')", "1 /", "x = 1", "Store = int"])
def test_a_broken_one_breaks_nothing_else(stranger, tmp_path, body):
    (tmp_path / "strange_broken.py").write_text(body)
    stranger("strange", "[pqueue.backends]\naaa = strange_broken:Store\nstrange = strange_plugin:Strange\n")
    try:
        assert "aaa" not in plugins.backends()
        assert plugins.backend_for_scheme("odd") is plugins.backend("strange")
        with pytest.raises(SettingsError, match="'aaa'"):
            plugins.backend("aaa")
    finally:
        sys.modules.pop("strange_broken", None)


def test_two_of_one_name_are_refused_and_a_doubled_installation_is_not(stranger):
    stranger("strange", "[pqueue.serializers]\nupper = strange_plugin:Upper\njson = strange_plugin:Upper\n")
    stranger("strange_again", "[pqueue.serializers]\nupper = strange_plugin:Upper\n")
    assert plugins.serializer("upper").name == "upper"
    with pytest.raises(SettingsError, match=r"several serializers are called 'json'.*strange_plugin:Upper \(strange\)"):
        plugins.serializer("json")


def test_one_that_has_another_name_than_its_entry_point_is_refused(stranger):
    stranger("strange", "[pqueue.serializers]\nupper = strange_plugin:Misnamed\n")
    with pytest.raises(SettingsError, match="'upper'"):
        plugins.serializer("upper")
