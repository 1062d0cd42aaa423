"""What the tests share: worlds, processes, disks, clocks."""
