"""What several tests and benchmarks need, and no user does."""
