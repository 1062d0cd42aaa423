"""The units as they are shipped: alike where they should be, as tight as they were, and every reason in its place."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from hermesguard.events.catalog import BY_NAME, EVENTS
from hermesguard.events.event import Priority

PACKAGING = Path(__file__).parents[2] / "packaging"
SYSTEM = PACKAGING / "hermesguard.service"
TEMPLATE = PACKAGING / "hermesguard@.service"
USER = PACKAGING / "user" / "hermesguard.service"
UNITS = pytest.mark.parametrize("unit", [SYSTEM, TEMPLATE, USER], ids=["system", "template", "user"])
NOTIFIERS = [
    unit.with_name(unit.name.replace("hermesguard", "hermesguard-notify"))
    for unit in (SYSTEM, TEMPLATE, USER)
]
COPIERS = [
    unit.with_name(unit.name.replace("hermesguard", "hermesguard-offsite"))
    for unit in (SYSTEM, TEMPLATE, USER)
]

SCRIPTS = sorted(path for path in (PACKAGING / "examples").rglob("hermesguard-*") if not path.suffix)

Settings = dict[tuple[str, str], list[str]]


def settings(unit: Path) -> Settings:
    """Return what a unit says: (section, key) to its values in order."""
    found: Settings = {}
    section = ""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault((section, key), []).append(value)
    return found


def difference(one: Path, other: Path) -> set[str]:
    first, second = settings(one), settings(other)
    return {
        key
        for _, key in first.keys() | second.keys()
        if any(
            first.get((section, key)) != second.get((section, key))
            for section in ("Unit", "Service", "Install")
        )
    }


def test_template_and_system_service_differ_only_in_whom_they_guard() -> None:
    assert difference(SYSTEM, TEMPLATE) == {
        "Description",
        "RequiresMountsFor",
        "User",
        "StateDirectory",
        "ReadWritePaths",
    }


def test_a_users_service_differs_only_in_what_its_manager_cannot_do() -> None:
    assert difference(TEMPLATE, USER) == {
        "Description",
        "RequiresMountsFor",
        "User",
        "StateDirectory",
        "StateDirectoryMode",
        "ReadWritePaths",
        "Environment",
        "ExecStart",
        "ExecStartPre",
        "OOMScoreAdjust",
        "PrivateIPC",
        "PrivateNetwork",
        "IPAddressDeny",
        "ProtectKernelLogs",
        "WantedBy",
    }


@UNITS
def test_the_parent_of_the_sessions_is_writable_and_need_not_exist(unit: Path) -> None:
    home = {SYSTEM: "/home/hermeswebui", TEMPLATE: "/home/%i", USER: "%h"}[unit]
    assert settings(unit)["Service", "ReadWritePaths"][0] == f"-{home}/.hermes/webui"


@UNITS
def test_it_is_started_again_however_often_it_dies(unit: Path) -> None:
    said = settings(unit)
    assert said["Unit", "StartLimitIntervalSec"] == ["0"]
    assert said["Service", "Restart"] == ["always"]
    assert said["Service", "Type"] == ["notify"]


@UNITS
def test_the_journal_keeps_every_entry(unit: Path) -> None:
    said = settings(unit)
    assert said["Service", "LogRateLimitIntervalSec"] == ["1s"]
    assert said["Service", "LogRateLimitBurst"] == ["1000000"]


@UNITS
def test_the_hardening_gives_its_reasons(unit: Path) -> None:
    blocks = re.split(r"\n(?=#)", unit.read_text(encoding="utf-8").partition("# -- limits")[2])
    for block in blocks:
        lines = [line for line in block.splitlines() if line and not line.startswith(("#", "["))]
        assert len(lines) <= 6, f"many settings for one reason: {lines}"


@UNITS
def test_each_line_of_the_sandbox_is_documented(unit: Path) -> None:
    service = (PACKAGING.parent / "docs" / "service.md").read_text(encoding="utf-8")
    table = service.partition("| setting |")[2].partition("\n\n")[0]
    explained = {key for line in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", line.split("|")[1])}
    hardening = unit.read_text(encoding="utf-8").partition("# -- limits")[2].partition("[Install]")[0]
    assert set(re.findall(r"^(\w+)=", hardening, re.MULTILINE)) <= explained


def check_exposure(unit: Path, threshold: str) -> None:
    """Fail when a unit is more exposed than `threshold`, in tenths."""
    command = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        "--no-pager",
        f"--threshold={threshold}",
        str(unit),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:]


@UNITS
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_no_unit_becomes_less_tight(unit: Path) -> None:
    # In tenths, as systemd-analyze has it without a running system, which is up to 0.1 more than with one.
    threshold = "16" if unit is USER else "4"
    check_exposure(unit, threshold)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", NOTIFIERS, ids=["system", "template", "user"])
def test_no_notifier_becomes_less_tight(unit: Path) -> None:
    threshold = "19" if unit.parent == USER.parent else "15"
    check_exposure(unit, threshold)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", COPIERS, ids=["system", "template", "user"])
def test_no_copier_becomes_less_tight(unit: Path) -> None:
    threshold = "20" if unit.parent == USER.parent else "15"
    check_exposure(unit, threshold)


def test_a_copier_may_write_nothing_but_its_state() -> None:
    assert difference(*COPIERS[:2]) == {"Description", "After", "User", "StateDirectory", "Environment"}
    for unit in COPIERS:
        said = settings(unit)
        assert said["Service", "ProtectSystem"] == ["strict"]
        assert said["Service", "ProtectHome"] == ["read-only"]
        for path in said.get(("Service", "ReadWritePaths"), []) + said.get(("Service", "StateDirectory"), []):
            assert path.endswith(".offsite")


def test_what_has_the_network_sees_no_conversation_and_the_guard_has_none() -> None:
    for unit, guard in zip(NOTIFIERS, (SYSTEM, TEMPLATE, USER), strict=True):
        (hidden,) = settings(unit)["Service", "InaccessiblePaths"]
        assert [path.rpartition("/")[2] for path in hidden.split()] == [".hermes", "shadows", "history"]
        assert settings(guard)["Service", "RestrictAddressFamilies"] == ["AF_UNIX"]
        assert settings(unit)["Unit", "After"][0].split()[0] == guard.name.replace("@", "@%i")
        said = [line.partition("=") for line in settings(unit)["Service", "Environment"]]
        assert {name: value for name, _, value in said}["HERMESGUARD_NOTIFY_UNIT"] == guard.name.replace(
            "@", "@%i"
        )


def test_the_notifiers_differ_only_in_whom_they_serve() -> None:
    assert difference(*NOTIFIERS[:2]) == {
        *("Description", "After", "User", "StateDirectory", "Environment", "InaccessiblePaths"),
    }


def test_every_example_that_a_unit_names_is_there() -> None:
    for unit in (SYSTEM, TEMPLATE, USER):
        for name in re.findall(r"packaging/(examples/[\w./-]+)", unit.read_text(encoding="utf-8")):
            assert (PACKAGING / name).is_file(), name


def test_the_rules_for_loki_and_vector_know_the_events() -> None:
    rules = (PACKAGING / "examples" / "alloy" / "loki-rules.yaml").read_text(encoding="utf-8")
    named = {name for match in re.findall(r'event=~?"([\w|]+)"', rules) for name in match.split("|")}
    assert named <= BY_NAME.keys()
    assert {event.name for event in EVENTS if event.priority <= Priority.CRITICAL} <= named
    vector = tomllib.loads(
        (PACKAGING / "examples" / "vector" / "hermesguard.toml").read_text(encoding="utf-8")
    )
    for kind in ("transforms", "sinks"):
        for part in vector[kind].values():
            assert set(part["inputs"]) <= vector["sources"].keys() | vector["transforms"].keys()


def test_the_rules_for_prometheus_know_the_metrics_and_the_events() -> None:
    rules = (PACKAGING / "examples" / "prometheus" / "hermesguard-rules.yaml").read_text(encoding="utf-8")
    service = (PACKAGING.parent / "docs" / "service.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\bhermesguard_\w+", rules))
    assert len(named) > 5
    assert named <= set(re.findall(r"^\| `(hermesguard_\w+)`", service, re.MULTILINE))
    events = {name for match in re.findall(r'event=~"([\w|]+)"', rules) for name in match.split("|")}
    assert events
    assert events <= {event.name for event in EVENTS if event.priority <= Priority.WARNING}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_a_program(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)


ROOT = PACKAGING.parent


def test_the_packages_for_compiling_are_those_that_setup_installs() -> None:
    setup = (ROOT / "script" / "setup").read_text("utf-8")
    called_for = [
        line for line in setup.splitlines() if 'install_packages "compiling systemd-python"' in line
    ]
    packages = {name for line in called_for for name in line.partition('systemd-python"')[2].split()}
    assert packages == {"gcc", "libc6-dev", "pkg-config", "libsystemd-dev", "python3-dev"}
    commands = re.findall(r"^sudo apt install (.*)", (ROOT / "docs" / "service.md").read_text("utf-8"), re.M)
    with_debians, compiled = (set(command.split()) for command in commands)
    assert with_debians == {"pipx", "python3-venv", "python3-systemd"}
    assert compiled == {"pipx", "python3-venv"} | packages


def test_nothing_tells_to_install_what_is_not_published() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [name for extra in extras.values() for name in extra]
    published = {re.split(r"[^\w.-]", name)[0] for name in wanted} - {project["name"]}
    sources = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "hermesguard").rglob("*.py")]
    found = 0
    for path in sources:
        for line in re.findall(
            r"\b(?:pipx?|uv tool) install ((?:--[\w-]+ )*[\w'\".,\[\]-]+)", path.read_text("utf-8")
        ):
            name = line.split()[-1].strip("'\"")
            found += 1
            assert name.startswith(".") or re.split(r"[^\w-]", name)[0] in published, (path, line)
    assert found >= 7
