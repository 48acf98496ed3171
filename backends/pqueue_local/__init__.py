"""A queue in a folder, for the threads and processes of one machine.

Segments are files that grow by appends under their flock, documents are files of three checksummed slots, swapped in
place. Local file systems of Linux, and of macOS; docs/format-folder.md holds the bytes.
"""

from pqueue_local.backend import LocalBackend
from pqueue_local.settings import LocalSettings

__all__ = ["LocalBackend", "LocalSettings"]
