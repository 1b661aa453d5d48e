"""How long a test waits for what must happen."""

from __future__ import annotations

CEILING_S = 120.0
"""Ends a test that hangs, and nothing else: no machine is so slow that it comes near.

Nothing is measured by it, and no test may pass or fail by how fast the machine is. Where a test
needs time to pass, it says so with a number of its own.
"""
