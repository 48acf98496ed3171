"""A durable FIFO queue that needs no server."""
