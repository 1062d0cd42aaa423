"""What the system tests make of their host: each machine in them has cgroups of its own, whichever hierarchies the host has."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FINDMNT = """#!/bin/sh
case "$*" in
  *--types=cgroup2*) place=$HOST/unified ;;
  *--types=cgroup\\ *) place=$HOST/systemd ;;
esac
[ -d "$place" ] && echo "$place"
"""
MAKES_AND_REMOVES = """
set -euo pipefail
program=test
say() { printf '%s\\n' "$*"; }
source script/lib/trees.bash
cgroups_of[1]=$(new_cgroups machine)
find "$HOST" -name machine
remove_cgroups 1
remove_cgroups 1
"""
TWO_AT_ONCE = """
set -euo pipefail
program=test scratch=$HOST/scratch
say() { printf '%s\n' "$*"; }
source script/lib/trees.bash
start first
start second
printf '%s\n' "${cgroups_of[@]}"
clean_up
"""


@pytest.mark.parametrize("hierarchies", [["unified"], ["unified", "systemd"], ["systemd"], []])
def test_a_machine_has_a_cgroup_in_each_hierarchy_that_there_is(
    tmp_path: Path, hierarchies: list[str]
) -> None:
    """Nearly all hosts have one alone; to look for the other one ended the script there."""
    host, done = run_on(tmp_path, hierarchies, MAKES_AND_REMOVES)
    assert set(done.stdout.split()) == {str(host / name / "machine") for name in hierarchies}
    assert sorted(path.name for path in host.rglob("*")) == sorted(hierarchies), "none is left"


def test_two_machines_at_once_have_each_its_own(tmp_path: Path) -> None:
    host, done = run_on(tmp_path, ["unified", "systemd"], TWO_AT_ONCE)
    made = done.stdout.split()
    assert len(set(made)) == len(made) == 4
    assert sorted(path.name for path in host.rglob("*")) == ["systemd", "unified"], "none is left"


def run_on(
    tmp_path: Path, hierarchies: list[str], script: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Run a script that makes cgroups where a host has these hierarchies; nothing is started there but what waits."""
    host, programs = tmp_path / "host", tmp_path / "programs"
    for directory in (host, programs, *(host / name for name in hierarchies)):
        directory.mkdir()
    for name, text in (("findmnt", FINDMNT), ("unshare", "#!/bin/sh\nexec sleep 60\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "HOST": str(host), "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return host, done
