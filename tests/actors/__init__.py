"""Actors that behave as tests need it."""
