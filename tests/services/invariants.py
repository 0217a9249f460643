"""What must be true of every database at every moment, whatever a test did to it."""

from jobplatform.torture.histories import examine_histories


def assert_sound(url: str) -> int:
    """Compare every job with the fold of its transitions, in one snapshot. Returns the number of jobs.

    Raises:
        AssertionError: names each job that breaks a rule, and the rule.
    """
    jobs, faults = examine_histories(url)
    assert not faults, "\n".join(faults)
    return jobs
