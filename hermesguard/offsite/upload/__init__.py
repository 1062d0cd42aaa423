"""Copying what is new, and removing what the store no longer keeps."""
