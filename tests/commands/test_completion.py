"""Completion: the scripts are those that the parser gives, and a real shell completes words and ids with them."""

import shutil
import subprocess
import sys

import pytest

from hermesguard.cli import main as cli
from hermesguard.events.catalog import EVENTS
from tests.helpers import cli_store
from tools.docs import completion

BASH = f"""
source {completion.DIRECTORY / completion.FILES["bash"]}
while read -r -a COMP_WORDS; do
    [[ ${{COMP_WORDS[-1]}} == _ ]] && COMP_WORDS[-1]=
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMPREPLY=()
    _shtab_hermesguard
    echo "${{COMPREPLY[*]}}"
done
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return cli_store.make(tmp_path_factory.mktemp("completion"))


@pytest.mark.parametrize("shell", completion.FILES)
def test_the_scripts_cannot_drift(shell, capsys):
    written = (completion.DIRECTORY / completion.FILES[shell]).read_text("utf-8")
    assert written == completion.script(shell), "write them anew: python -m tools.docs.completion"
    assert cli.main(["completion", shell]) == 0
    assert capsys.readouterr().out == written


@pytest.mark.parametrize("shell", completion.FILES)
def test_the_shell_understands_its_script(shell):
    if shell != "bash" and not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = completion.DIRECTORY / completion.FILES[shell]
    result = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_bash_completes_verbs_flags_ids_and_numbers(scene, tmp_path):
    command = tmp_path / "hermesguard"
    command.write_text(f'#!/bin/sh\ncd {cli_store.ROOT} && exec {sys.executable} -m hermesguard "$@"\n')
    command.chmod(0o755)
    for name in ("hostname", "hosts", "other"):
        (tmp_path / name).touch()
    wanted = {
        "hermesguard sta": "status",
        "hermesguard show _": " ".join(sorted((scene.whole, scene.wiped, scene.undone, scene.odd))),
        "hermesguard show 3f2a": scene.wiped,
        "hermesguard log --session cron": scene.odd,
        "hermesguard undo _": "1",
        "hermesguard explain unc": "uncertain",
        "hermesguard list --state unc": "uncertain",
        "hermesguard status --na": "--nagios",
        "hermesguard config _": "show check",
        f"hermesguard --config {tmp_path}/host": "",
    }
    environment = scene.environment()
    result = subprocess.run(
        ["bash", "--norc", "-c", BASH],
        input="".join(f"{line}\n" for line in wanted),
        env=environment | {"PATH": f"{tmp_path}:{environment['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(zip(wanted, result.stdout.splitlines(), strict=True))
    files = f"hermesguard --config {tmp_path}/host"
    assert set(found.pop(files).split()) == {str(tmp_path / name) for name in ("hostname", "hosts")}
    del wanted[files]
    assert found == wanted


def test_the_words_that_the_scripts_ask_for(scene, monkeypatch, capsys):
    for name, value in scene.environment().items():
        monkeypatch.setenv(name, value)
    words = {}
    for what in ("sessions", "incidents", "subjects"):
        assert cli.main(["completion", what]) == 0
        words[what] = capsys.readouterr().out.split()
    assert words["sessions"] == sorted((scene.whole, scene.wiped, scene.undone, scene.odd))
    assert words["incidents"] == ["1"]
    assert words["subjects"] == ["1", *(event.name for event in EVENTS)]
