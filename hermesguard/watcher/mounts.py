"""Which file system a path lies on, and whether the kernel reports every change there."""

import os
from collections.abc import Iterator
from pathlib import Path

_NETWORK = frozenset({"afs", "cifs", "coda", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"})
_CLUSTER = frozenset(
    {
        "acfs",
        "beegfs",
        "ceph",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ocfs2",
        "orangefs",
        "pvfs2",
        "wekafs",
    }
)
_SHARED_BY_A_HOST = frozenset({"9p", "prl_fs", "vboxsf", "virtiofs", "vmhgfs"})
_UNHEARD = _NETWORK | _CLUSTER | _SHARED_BY_A_HOST | {"fuse"}


def filesystem_type(path: Path) -> str:
    """Return the type of the file system that `path` lies on, in the words of `/proc/self/mountinfo` ("ext4").

    The kernel itself says which mount it is (`mnt_id`, proc_pid_fdinfo(5)), so bind mounts, mounts over
    mounts and odd characters in paths need no guessing. "" when /proc does not say. Raises OSError when
    there is no such path.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", "rb") as lines:
            mount_id = next(line.split()[1] for line in lines if line.startswith(b"mnt_id:"))
        for mount, filesystem in _mounts():
            if mount.startswith(mount_id + b" "):
                return os.fsdecode(filesystem)
    except (OSError, StopIteration):
        return ""
    finally:
        os.close(descriptor)
    return ""


def type_by_name(path: Path) -> str:
    """As `filesystem_type`, by the path's words alone: the path is not touched, for what is mounted there may not answer."""
    words, found, longest = os.fsencode(os.path.abspath(path)) + b"/", b"", -1
    try:
        for mount, filesystem in _mounts():
            point = mount.split(b" ", 5)[4]
            if b"\\" in point:
                point = point.decode("unicode_escape").encode("latin-1")
            prefix = point.rstrip(b"/") + b"/"
            if words.startswith(prefix) and len(prefix) >= longest:
                found, longest = filesystem, len(prefix)
    except (OSError, IndexError, UnicodeError):
        return ""
    return os.fsdecode(found)


def _mounts() -> Iterator[tuple[bytes, bytes]]:
    """Yield what the kernel says of each mount, and the type of its file system. Raises OSError."""
    with open("/proc/self/mountinfo", "rb") as lines:
        for line in lines:
            mount, _, source = line.partition(b" - ")
            yield mount, source.split(b" ", 1)[0]


def hears_every_change(filesystem: str) -> bool:
    """Return whether inotify reports all changes on this type of file system.

    It reports what passes through this kernel's own view of the mount. Another machine (network and cluster
    file systems), the host (9p, virtiofs, shared folders) and the process behind a FUSE change files unheard.
    An overlay is heard, for nothing may write beneath a mounted one (the kernel's overlayfs.rst).
    """
    return filesystem not in _UNHEARD and not filesystem.startswith("fuse.")
