"""Tests of the engine against real servers, in this process."""
