"""Keeping the store in order: retention, scrub, verification, takeover."""
