"""Tests of whole processes, from the outside."""
