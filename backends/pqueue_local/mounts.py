"""Network file systems, which a folder must not be on: there locks get lost and mapped pages go stale."""

import os
import re
from pathlib import Path

from pqueue.errors import StoreRefused

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    "9p|acfs|afs|beegfs|ceph|cifs|coda|davfs|gfs2?|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|pvfs2|smb3|smbfs|"
    r"fuse\.(ceph-fuse|davfs|gcsfuse|glusterfs|goofys|juicefs|mount-s3|rclone|s3fs|seaweedfs|sshfs)"
)


def refuse_network(path: Path) -> None:
    """Check the file system on which `path` is, or would be.

    Raises:
        StoreRefused: it is a network's.
    """
    kind = _file_system(os.path.realpath(path))
    if _NETWORK.fullmatch(kind):
        raise StoreRefused(
            f"{path} is on a network file system ({kind}), where locks don't hold: keep the queue on a local disk,"
            " or in a bucket for several hosts"
        )


def _file_system(path: str) -> str:
    """The type of the mount that holds the path; "" where the system does not tell."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return ""
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), before.split(" ")[4])
        holds = path == point or path.startswith(point.rstrip("/") + "/")
        if holds and len(point) >= len(best):  # of two on one point, the later one hides the earlier
            best, kind = point, after.split(" ")[0]
    return kind
