"""File systems in a file, mounted for the length of a test, whose power can be cut (EXT4_IOC_SHUTDOWN, which xfs has too)."""

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.helpers.waiting import until

_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2
_NEW_MOUNTS = 0x20000  # CLONE_NEWNS
_MEBIBYTE = 1024 * 1024
_SMALLEST_BYTES = {"ext4": 8 * _MEBIBYTE, "xfs": 300 * _MEBIBYTE}
_MAKE = {"ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"), "xfs": ("mkfs.xfs", "-q", "-f")}

_libc = ctypes.CDLL(None, use_errno=True)


class Image:
    """A file system of that kind in `directory`, mounted at `path`."""

    def __init__(self, directory: Path, kind: str, size_bytes: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / f"{kind}.image"
        self.path = directory / "mounted"
        self.path.mkdir()
        self.kind = kind
        with open(self.file, "wb") as file:
            file.truncate(size_bytes or _SMALLEST_BYTES[kind])
        _run(*_MAKE[kind], str(self.file))

    def mount(self, *options: str) -> None:
        """Mount it; what a power cut left is put in order by the kernel, as at a start of the machine."""
        _run("mount", "-o", ",".join(("loop", *options)), str(self.file), str(self.path))

    def unmount(self) -> None:
        """Take it off; whoever looks at all mounts (df, a monitor) may have it open for an instant."""
        until(
            lambda: subprocess.run(["umount", str(self.path)], stderr=subprocess.DEVNULL).returncode == 0,
            seconds=5,
        )

    def sync(self) -> None:
        """Bring all of it onto the disk."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _libc.syncfs(descriptor):
                raise OSError(ctypes.get_errno(), "syncfs")
        finally:
            os.close(descriptor)

    def cut(self) -> None:
        """Cut the power: what is not on the disk by now never will be."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def remount(self, *options: str) -> None:
        """Change the options of the mount ("ro", "rw")."""
        _run("mount", "-o", ",".join(("remount", *options)), str(self.path))


@contextlib.contextmanager
def mounted(directory: Path, kind: str = "ext4", size_bytes: int | None = None) -> Iterator[Image]:
    """Yield a new file system, mounted; nothing of it is left afterwards."""
    _keep_mounts_to_ourselves()
    image = Image(directory, kind, size_bytes)
    try:
        image.mount()
        yield image
    finally:
        # A file system without power cannot even be asked whether it is mounted.
        subprocess.run(["umount", "--lazy", str(image.path)], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(directory)


@cache
def _keep_mounts_to_ourselves() -> None:
    """Move this process into mounts of its own: a container that is booted meanwhile takes a copy of all mounts along, and
    would not let go of ours. They also end with this process, however it ends; what others unmount, it lets go of, too.
    """
    if _libc.unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    _run("mount", "--make-rslave", "/")


def require(kind: str = "ext4") -> None:
    """Skip the test, and say why, where no file system of that kind can be made and mounted."""
    if os.geteuid() != 0:
        pytest.skip("to mount a file system takes root")
    if not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"there is no mkfs.{kind} (Debian: {'xfsprogs' if kind == 'xfs' else 'e2fsprogs'})")
    if not Path("/dev/loop-control").exists():
        pytest.skip("there are no loop devices here")


def _run(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
