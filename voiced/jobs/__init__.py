"""Background work with progress, always below conversation in priority. docs/jobs.md."""
