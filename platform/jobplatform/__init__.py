"""The engine of the job platform."""
