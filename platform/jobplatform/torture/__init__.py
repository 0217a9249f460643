"""Tortures the platform and proves that nothing is lost: ``python -m jobplatform torture``.

Starts the real stack (`stack`), submits jobs from outside (`submitter`), does what hurts (`faults`, `crash_points`),
and then compares what was promised to the outside (`oracle`) and what was done (`effects`) with what is on record
(`examiner`). `baseline` does the same to plain Dramatiq.
"""
