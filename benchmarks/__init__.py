"""What the platform costs: the real stack under load, and its bill per job (`python -m benchmarks`)."""
