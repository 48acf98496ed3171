"""Settings, URLs, and what may be opened."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from pqueue.errors import NotAQueue, QueueAbsent, SettingsError, StoreRefused
from pqueue_local import LocalBackend, LocalSettings, mounts


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///var/spool/jobs", "/var/spool/jobs"),
        ("file://localhost/var/jobs", "/var/jobs"),
        ("file:/var/jobs", "/var/jobs"),
        ("file:///var/my%20jobs%23%3F%C3%BC", "/var/my jobs#?ü"),
        ("file:///var/jobs?mode=0o770", "/var/jobs"),
    ],
)
def test_reads_urls(url, path):
    settings = LocalBackend.from_url(url)
    assert LocalSettings(**settings).path == Path(path)
    assert settings["backend"] == "local"


@pytest.mark.parametrize(
    "url",
    [
        "http:///var/jobs",
        "file://host/var/jobs",
        "file://user:secret@localhost/var/jobs",
        "file://user@/var/jobs",
        "file:jobs",
        "file:///var/jobs#part",
        "file:///var/%00",
        "file://[/x",
        "file:",
    ],
)
def test_refuses_other_urls(url):
    with pytest.raises(SettingsError) as caught:
        LocalBackend.from_url(url)
    assert "secret" not in str(caught.value)


def test_a_mode_as_text_is_octal():
    assert LocalSettings(path=Path("/x"), mode="0o770").mode == LocalSettings(path=Path("/x"), mode="770").mode == 0o770


@pytest.mark.parametrize("mode", [0o600, 0o077, "0o500", "abc", 0o10700])
def test_a_mode_lets_its_owner_in(mode):
    with pytest.raises(ValidationError):
        LocalSettings(path=Path("/x"), mode=mode)


def test_what_is_not_there_is_not_made_unless_asked(tmp_path):
    with pytest.raises(QueueAbsent):
        LocalBackend.open(LocalSettings(path=tmp_path / "a" / "b"), create=False)
    assert not (tmp_path / "a").exists()
    LocalBackend.open(LocalSettings(path=tmp_path / "a" / "b"), create=True).close()
    LocalBackend.open(LocalSettings(path=tmp_path / "a" / "b"), create=False).close()


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("below", ["", "queue"])
def test_a_file_is_not_a_queue(tmp_path, create, below):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotAQueue):
        LocalBackend.open(LocalSettings(path=tmp_path / "file" / below), create=create)


def test_a_file_in_the_place_of_a_part_is_refused(tmp_path):
    (tmp_path / "seg").write_text("x")
    store = LocalBackend.open(LocalSettings(path=tmp_path), create=True)
    assert store.strangers() == ["seg"]
    with pytest.raises(StoreRefused, match="move it away"):
        store.write("seg/a", b"x")
    store.close()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_network_file_systems_are_refused(tmp_path, monkeypatch, kind):
    table = tmp_path / "mountinfo"
    table.write_text(
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        f"28 27 0:50 / /mnt/a\\040b rw shared:1 - {kind} host:/export rw\n"
        "29 28 0:51 / /mnt/a\\040b/local rw - ext4 /dev/vdb rw\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", table)
    for path in ("/mnt/a b", "/mnt/a b/x/y"):
        with pytest.raises(StoreRefused, match="network"):
            mounts.refuse_network(Path(path))
    for path in ("/mnt/a", "/mnt/a b/local/x", "/mnt/a bc", "/"):
        mounts.refuse_network(Path(path))


def test_of_two_mounts_on_one_point_the_later_counts(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text("1 1 0:1 / /mnt rw - ext4 /dev/vda rw\n2 1 0:2 / /mnt rw - nfs host:/x rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    with pytest.raises(StoreRefused, match="network"):
        mounts.refuse_network(Path("/mnt/x"))


def test_windows_is_refused_in_so_many_words():
    """The package is imported without fcntl, and says on opening what to do."""
    code = """
import sys
from pathlib import Path
import pqueue.abc, pqueue.errors, pydantic, tempfile
sys.modules["fcntl"] = None
sys.platform = "win32"
from pqueue_local import LocalBackend, LocalSettings
try:
    LocalBackend.open(LocalSettings(path=Path("x")), create=True)
except pqueue.errors.StoreRefused as error:
    print(error)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{root}:{root / 'backends'}"},
        check=True,
    )
    assert "Windows" in done.stdout
