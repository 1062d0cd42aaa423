"""The sidecar's files name what is there, and the three of them agree. (script/test-system builds the image and runs it.)"""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hermesguard.cli import parser
from hermesguard.cli.commands.service import run
from hermesguard.config.options import OPTIONS

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "packaging" / "container"
DOCKERFILE, COMPOSE, KUBERNETES, STANDBY = (
    (CONTAINER / name).read_text(encoding="utf-8")
    for name in ("Dockerfile", "compose.yaml", "kubernetes.yaml", "kubernetes-standby.yaml")
)


def test_every_setting_that_is_named_exists() -> None:
    known = {option.variable for option in OPTIONS}
    for text in (DOCKERFILE, KUBERNETES, STANDBY):
        named = set(re.findall(r"\bHERMESGUARD_[A-Z_]+", text))
        assert named
        assert named <= known


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignore = (CONTAINER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names == {line.removeprefix("!") for line in ignore if line.startswith("!")}
    for name in names:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize(
    "said",
    [
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
        "network_mode: none",
        'user: "${UID:-1000}:${GID:-1000}"',
        "target: /webui",
        "- hermesguard:/store",
    ],
)
def test_compose_takes_everything_away_that_is_not_needed(said: str) -> None:
    assert f"    {said}\n" in COMPOSE


@pytest.mark.parametrize(
    "said",
    [
        "restartPolicy: Always",
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
    ],
)
def test_the_sidecar_in_kubernetes_is_as_tight(said: str) -> None:
    sidecar = KUBERNETES.partition("initContainers:")[2].partition("      containers:")[0]
    assert f" {said}\n" in sidecar


def test_the_image_runs_unprivileged_with_a_health_check() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER \$UID:\$GID$", last, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*hermesguard status", last, re.MULTILINE)
    assert not re.search(r"^EXPOSE", last, re.MULTILINE)


def test_a_guard_that_refuses_is_started_again_before_it_is_called_unhealthy() -> None:
    """As docs/troubleshooting.md says of `docker ps`; three checks are the engine's default."""
    interval = re.search(r"^HEALTHCHECK --interval=(\d+)s ", DOCKERFILE, re.MULTILINE)
    assert interval
    assert 3 * int(interval[1]) > run._RESTART_SECONDS
    table = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").partition("## It runs")[0]
    assert '`docker ps`: "health: starting" or "Restarting"' in table


def test_the_memory_is_that_of_the_units() -> None:
    unit = (ROOT / "packaging" / "hermesguard.service").read_text(encoding="utf-8")
    most = re.search(r"^MemoryMax=(\d+)M$", unit, re.MULTILINE)
    assert most
    assert f"mem_limit: {most[1]}m\n" in COMPOSE
    assert f"memory: {most[1]}Mi\n" in KUBERNETES


def test_compose_builds_from_the_sources_and_can_take_the_named_volume() -> None:
    """The application's files with two and three containers keep their files in the volume hermes-home."""
    volume = (CONTAINER / "compose.volume.yaml").read_text(encoding="utf-8")
    assert "      context: ${HERMESGUARD_SOURCE:?" in COMPOSE, (
        "a relative one would begin at the application's file"
    )
    assert "      dockerfile: packaging/container/Dockerfile\n" in COMPOSE
    target = re.search(r"target: (\S+)", volume)
    assert target
    assert f"        target: {target[1]}\n" in COMPOSE, (
        "the volume must take the place of the directory of the host"
    )
    assert f"HERMESGUARD_SESSIONS: {target[1]}/webui/sessions\n" in volume
    assert "\nvolumes:\n  hermes-home:\n" in volume
    assert "create_host_path: false" in COMPOSE, (
        "a directory that is not there must not be made, and guarded empty"
    )


class _NoKeyTwice(yaml.SafeLoader):
    """As an engine reads it: a key that stands twice in a mapping is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize(
    "name", ["compose.yaml", "compose.volume.yaml", "kubernetes.yaml", "kubernetes-standby.yaml"]
)
def test_no_key_stands_twice(name: str) -> None:
    """PyYAML takes the last one in silence, and Docker refuses the file."""
    for _ in yaml.load_all((CONTAINER / name).read_text("utf-8"), _NoKeyTwice):
        pass


def test_the_volume_takes_the_place_of_every_directory_of_the_host() -> None:
    """A host where the application lives in a volume has no ~/.hermes to mount."""
    base = yaml.safe_load(COMPOSE)["services"]["hermesguard"]
    more = yaml.safe_load((CONTAINER / "compose.volume.yaml").read_text("utf-8"))["services"]["hermesguard"]
    bound = {volume["target"]: volume for volume in base["volumes"] if isinstance(volume, dict)}
    instead = {volume["target"]: volume for volume in more["volumes"]}
    assert bound.keys() == instead.keys()
    for target, volume in instead.items():
        assert volume["source"] == "hermes-home"
        assert volume.get("read_only") == bound[target].get("read_only"), target
    assert base["environment"]["HERMES_HOME"] in bound
    assert base["environment"]["HERMESGUARD_COMMAND"] == "docker exec hermesguard hermesguard"


def test_nothing_is_asked_that_an_engine_without_rights_refuses() -> None:
    """runc and crun start nothing whose score they may not lower: it takes CAP_SYS_RESOURCE, which a rootless engine lacks."""
    base = yaml.safe_load(COMPOSE)["services"]["hermesguard"]
    assert base.get("oom_score_adj", 0) >= 0
    assert not base.get("privileged")
    assert not base.get("cap_add")


def test_what_makes_the_directory_that_docker_refuses_to_make_is_said() -> None:
    """It would make it for root, so it may not; and where it is not there yet, the application would not start either."""
    service = (ROOT / "docs" / "service.md").read_text("utf-8")
    made = 'mkdir -p "${HERMES_HOME:-$HOME/.hermes}/webui"'
    bound = yaml.safe_load(COMPOSE)["services"]["hermesguard"]["volumes"][0]
    assert bound["source"] == "${HERMES_HOME:-${HOME}/.hermes}/webui"
    for text in (COMPOSE, service):
        before, _, after = text.partition(made)
        assert "HERMESGUARD_SOURCE=" in before
        assert "docker compose --file docker-compose.yml" in after
    assert "--file $guard/compose.yaml --file $guard/compose.volume.yaml" in service


def standby() -> dict[str, dict[str, Any]]:
    """The objects of the example with a Lease, by their kind; of a kind there are several of, the last one."""
    return {one["kind"]: one for one in yaml.safe_load_all(STANDBY)}


def test_the_standby_is_as_tight_as_the_sidecar() -> None:
    [one] = standby()["Deployment"]["spec"]["template"]["spec"]["containers"]
    pod = next(one for one in yaml.safe_load_all(KUBERNETES) if one["kind"] == "Deployment")["spec"][
        "template"
    ]
    [sidecar] = pod["spec"]["initContainers"]
    for key in ("image", "env", "securityContext", "volumeMounts"):
        assert one[key] == sidecar[key], key
    own = standby()["Deployment"]["spec"]["template"]["spec"]
    for key in ("securityContext", "volumes", "terminationGracePeriodSeconds"):
        assert own[key] == pod["spec"][key], key


def test_the_standby_may_do_nothing_but_hold_its_lease() -> None:
    """What the Lease is called is said in five places; a right to make Leases could not be limited to one."""
    objects = standby()
    name = objects["Lease"]["metadata"]["name"]
    [rule] = objects["Role"]["rules"]
    assert rule == {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [name],
        "verbs": ["get", "update"],
    }
    role, account = objects["Role"]["metadata"]["name"], objects["ServiceAccount"]["metadata"]["name"]
    assert objects["RoleBinding"]["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Role",
        "name": role,
    }
    assert objects["RoleBinding"]["subjects"] == [{"kind": "ServiceAccount", "name": account}]
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account
    assert pod["automountServiceAccountToken"] is True
    [container] = pod["containers"]
    arguments = parser.build().parse_args(container["args"])
    assert (arguments.verb, arguments.lease) == ("run", name)
    kinds = [one["kind"] for one in yaml.safe_load_all(STANDBY)]
    assert kinds.index("Lease") < kinds.index("Deployment"), "it is there before it is asked for"


def test_two_guards_are_on_two_nodes_with_volumes_that_both_can_have() -> None:
    claims = [one for one in yaml.safe_load_all(STANDBY) if one["kind"] == "PersistentVolumeClaim"]
    assert [one["spec"]["accessModes"] for one in claims] == [["ReadWriteMany"]] * 2
    spec = standby()["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    assert {one["metadata"]["name"] for one in claims} == {
        one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"]
    }
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    [apart] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    labels = spec["template"]["metadata"]["labels"]
    assert apart["labelSelector"] == spec["selector"] == {"matchLabels": labels}


def test_a_guard_has_as_much_memory_with_a_lease_as_without() -> None:
    [with_lease] = re.findall(r"^ +memory: (\d+)Mi$", STANDBY.partition("limits:")[2], re.MULTILINE)
    [without] = re.findall(r"^ +memory: (\d+)Mi$", KUBERNETES.partition("limits:")[2], re.MULTILINE)
    assert int(with_lease) - int(without) == 32, "what holds the Lease takes 25 MB"
