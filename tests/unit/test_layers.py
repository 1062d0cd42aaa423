"""Imports go one way, down the list of packages; no circle, no crowded folder, no long file."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.helpers.sources import PACKAGE, SOURCES, nodes_of

FLOORS = (
    "cli",
    "notify page lease",
    "daemon",
    "guard salvage lookup offsite",
    "repair",
    "store judge",
    "watcher webui events config",
    "files pieces errors clock reader copying digests",
)
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages.split()}
MOST_MODULES, MOST_LINES = 10, 400


def modules(folder: Path = PACKAGE) -> list[Path]:
    return [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]


@cache
def imported(path: Path) -> frozenset[str]:
    """The packages of ours that a module imports from, wherever in it."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE.name:
            names = node.module.split(".")[1:]
            yield from names[:1] or (name.name for name in node.names)


def climbs(path: Path, package: str) -> list[str]:
    """The imports of a module in `package` that do not lead to a lower floor, or stay in the package."""
    return [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for other in imported(path)
        if other != package and other in FLOOR and FLOOR[other] <= FLOOR[package]
    ]


def test_imports_lead_downwards() -> None:
    everywhere = [path for path in SOURCES if path.relative_to(PACKAGE).parts[0] in FLOOR]
    assert len(everywhere) > 80
    assert not [line for path in everywhere for line in climbs(path, path.relative_to(PACKAGE).parts[0])]


def test_an_arrow_that_is_turned_round_is_seen(tmp_path: Path) -> None:
    module = PACKAGE / "store" / "store.py"
    assert not climbs(module, "store")
    assert climbs(PACKAGE / "guard" / "guard.py", "store"), "a store that imported what the guard imports"


def test_only_the_daemon_imports_the_watcher_and_only_the_commands_demo_salvage_and_offsite() -> None:
    for package, allowed in (("watcher", "daemon"), ("demo", "cli"), ("salvage", "cli"), ("offsite", "cli")):
        users = {path.relative_to(PACKAGE).parts[0] for path in SOURCES if package in imported(path)}
        assert users - {package} == {allowed}


def test_whoever_has_the_network_knows_nothing_of_the_daemon_but_how_to_ask_it() -> None:
    for path in (PACKAGE / "notify").glob("*.py"):
        for node in nodes_of(path):
            if isinstance(node, ast.ImportFrom) and node.module and ".daemon" in node.module:
                assert node.module == "hermesguard.daemon.control", path
    assert not {
        path
        for package in ("daemon", "guard")
        for path in (PACKAGE / package).rglob("*.py")
        if "notify" in imported(path)
    }


def test_folders_and_files_stay_small() -> None:
    folders = [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())]
    assert not {
        str(folder): len(modules(folder)) for folder in folders if len(modules(folder)) > MOST_MODULES
    }
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert not {str(path): count for path, count in lengths.items() if count > MOST_LINES}


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in SOURCES}
    arrows: dict[str, set[str]] = {}
    for name in names:
        nodes = nodes_of(PACKAGE.parent / (name.replace(".", "/") + ".py"))
        found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        arrows[name] = {f"{node.module}.{one.name}" for node in found for one in node.names} & names
        arrows[name] |= {str(node.module) for node in found} & names
    while leaves := {name for name, others in arrows.items() if not others & arrows.keys()}:
        arrows = {name: others for name, others in arrows.items() if name not in leaves}
    assert not arrows
