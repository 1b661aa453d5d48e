"""Plugins of all tests; pytest takes them from here only."""

pytest_plugins = ["tests.clients.oracle_plugin"]
