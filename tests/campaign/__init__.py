"""Random faults of the host, the real agent, and the host's own truth as the judge."""
