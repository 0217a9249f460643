"""What the tests talk to: servers, processes, mail, and the patience to wait for a condition."""
