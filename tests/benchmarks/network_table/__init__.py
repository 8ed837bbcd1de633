"""Tests of benchmarks.network_table."""
