"""A queue in the memory of one process: for tests, and where a queue need not outlive its process."""

from pqueue_memory.backend import MemoryBackend, MemorySettings, forget

__all__ = ["MemoryBackend", "MemorySettings", "forget"]
