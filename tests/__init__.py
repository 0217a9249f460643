"""Everything that proves the platform, against real servers that the tests start themselves."""
