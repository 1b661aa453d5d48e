"""Engines that are other servers, in the shapes of OpenAI's HTTP API.

Imported only where the settings name such a server: the HTTP client costs memory and start-up.
"""
