"""Encrypted copies of the store on other storage: S3 or a directory. A process of its own, which only reads the store."""
