"""What was lost before the guard came, rebuilt from what hermes-webui and hermes-agent left elsewhere on the disk.

Data flows one way: readers (one for each kind of trace, read-only) -> align and merge -> standing -> rebuild. All but the readers
and the survey are pure. What the daemon runs imports nothing of this.
"""
