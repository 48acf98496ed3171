"""What a plug-in's author runs: conformance suites for stores (`pqueue.testing.stores`) and serializers."""

from contextlib import suppress

with suppress(ImportError):  # the simulator and the fault stores work without pytest
    import pytest

    # Before either is imported, or their users see bare AssertionErrors.
    pytest.register_assert_rewrite("pqueue.testing.stores", "pqueue.testing.serializers")
