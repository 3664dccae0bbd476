"""Tests of election-bench."""
