"""Recordings and speech as files: coded and decoded in processes of their own."""
