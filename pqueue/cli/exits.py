"""Exit codes."""

NOTHING = 1
"""`get` or `peek` on a queue with nothing to hand out; `rm` or `clear` that were not wanted after all."""
USAGE = 2
"""The command line or a setting is wrong."""
FAILED = 3
"""No queue is there, it can't be used, or the store did not do as asked."""
DATA = 4
"""An item was refused, or could not be read."""
INTERNAL = 70
"""A mistake of this program's own."""
CLOSED = 141
"""Whoever reads the output went away; as a shell shows SIGPIPE."""
