# Sourced by the scripts that prove something on fresh systems: bare trees of distributions, and entering them.
#
# Whoever sources this has sourced packages.bash, and calls `use_trees` once. Everything happens below $scratch and ends
# with the script, however that ends.

# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154  # variables for and from whoever sources this

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hermesguard-trees
ubuntu_keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
scratch=""
children=()
declare -A cgroups_of
started=0

# use_trees WHY: makes $scratch and sees to its end; installs what is needed to make and enter trees.
use_trees() {
  [[ $(id -u) == 0 ]] || fail "making a system tree takes root" "Run: sudo script/$program"
  install_packages "$1" debootstrap systemd-container
  local place=${TMPDIR:-/var/tmp}
  # The upper part of an overlay cannot lie on another overlay, which is what a container has for a root.
  [[ $(stat --file-system --format=%T "$place") != overlayfs ]] || place=/dev/shm
  scratch=$(mktemp -d "$place/hermesguard-$program.XXXXXXXX")
  trap clean_up EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

clean_up() {
  local child
  for child in "${children[@]}"; do
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
    remove_cgroups "$child"
  done
  rm -rf --one-file-system "$cache"/*."$$"
  # The last processes may still be dying, and writing.
  rm -rf --one-file-system "$scratch" 2>/dev/null || { sleep 1 && rm -rf --one-file-system "$scratch"; }
}

# start COMMAND...: in the background, in namespaces of its own, so that with this child every process and mount of the
# command is gone (nspawn's own notes in /run too). Its process id is in $child. In cgroups of its own too: two machines in
# one take each other's units for theirs, and end them.
start() {
  local cgroups
  started=$((started + 1))
  cgroups=$(new_cgroups "hermesguard-$program.$$.$started")
  unshare --mount --pid --fork --kill-child --mount-proc sh -c '
    for cgroup in $1; do echo 0 >"$cgroup/cgroup.procs"; done
    mount -t tmpfs tmpfs /run && shift && exec "$@"' sh "$cgroups" "$@" </dev/null &
  child=$!
  children+=("$child")
  cgroups_of[$child]=$cgroups
}

# new_cgroups NAME: makes a cgroup below this process's own, in the unified hierarchy and in systemd's, of which most hosts
# have the first alone; prints where.
new_cgroups() {
  local line hierarchy own
  {
    findmnt --noheadings --output=TARGET --types=cgroup2 | sed 's/^/0:: /' || true
    findmnt --noheadings --output=TARGET --types=cgroup --options=name=systemd | sed 's/^/[0-9]*:name=systemd: /' || true
  } | while read -r line hierarchy; do
    own=$hierarchy$(sed -n "s/^$line//p" /proc/self/cgroup)
    [[ -d $own ]] || own=$hierarchy
    mkdir "${own%/}/$1" && printf '%s\n' "${own%/}/$1"
  done
}

# remove_cgroups PID: those of a child that has ended. Its last processes may still be dying.
remove_cgroups() {
  local cgroup try
  for cgroup in ${cgroups_of[$1]-}; do
    for try in {1..50}; do
      find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null && break
      ((try < 50)) || say "could not be removed: $cgroup"
      sleep 0.1
    done
  done
  unset "cgroups_of[$1]"
}

# attend COMMAND...: the same, and waits for it, so that a signal to us is heeded at once.
attend() {
  local code=0
  start "$@"
  wait "$child" || code=$?
  forget "$child"
  return "$code"
}

# forget PID: of a child that has been waited for, so that nobody else is killed for it.
forget() {
  local other rest=()
  remove_cgroups "$1"
  for other in "${children[@]}"; do
    [[ $other == "$1" ]] || rest+=("$other")
  done
  children=("${rest[@]}")
}

# The mirror of this machine's apt for a distribution (Debian, Ubuntu); nothing if it has none.
host_mirror() {
  # shellcheck disable=SC2016  # apt-get fills these in
  apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
    awk -v label="$1" '$1 == label && !seen++ {print $2}'
}

# bare_tree NAME: makes $cache/NAME.tar, a system with bash, git, python3 and apt, if it is not there.
bare_tree() {
  local name=$1 tree=$scratch/bare options
  [[ -f $cache/$name.tar ]] && return
  case $name in
    debian-12) options=(bookworm "$tree" "$(host_mirror Debian)") ;;
    debian-13) options=(trixie "$tree" "$(host_mirror Debian)") ;;
    ubuntu-24.04)
      [[ -f $ubuntu_keyring ]] ||
        fail "Ubuntu's packages cannot be verified without $ubuntu_keyring" \
          "Install ubuntu-keyring (Debian 13 has it), or ask for the Debian trees only"
      # The script of the first Ubuntu serves all: this debootstrap may be older than that Ubuntu.
      options=("--components=main,universe" "--keyring=$ubuntu_keyring" noble "$tree" "$(host_mirror Ubuntu)" gutsy)
      ;;
  esac
  say "$name: making a bare tree (a minute or two; kept in $cache)"
  attend debootstrap --variant=minbase --include=git,python3 "${options[@]}" >"$scratch/debootstrap.log" 2>&1 || {
    tail -n 20 "$scratch/debootstrap.log" >&2
    fail "debootstrap could not make $name (its last words are above)" "See whether the package mirror can be reached"
  }
  pack_tree "$tree" "$name"
  rm -rf --one-file-system "$tree"
}

# pack_tree TREE NAME: keeps it as $cache/NAME.tar.
pack_tree() {
  mkdir -p "$cache"
  tar --create --numeric-owner --xattrs --file="$cache/$2.tar.$$" --directory="$1" .
  mv "$cache/$2.tar.$$" "$cache/$2.tar"
}

# unpack_tree NAME TREE
unpack_tree() {
  mkdir "$2"
  tar --extract --numeric-owner --xattrs --file="$cache/$1.tar" --directory="$2"
}

# carry_host_configuration TREE: how this machine reaches its package mirrors. Directories in which it keeps packages of
# its own are left out: a fresh system has none.
carry_host_configuration() {
  local tree=$1
  mkdir -p "$tree/etc/apt/apt.conf.d"
  cp /etc/resolv.conf "$tree/etc/resolv.conf"
  apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries|Force)' >"$tree/etc/apt/apt.conf.d/99-of-the-host" || true
  python3 - "$tree" <<'PYTHON'
import ast, configparser, os, shutil, subprocess, sys

tree = sys.argv[1]
places = {"index-url", "extra-index-url", "find-links"}
carried = places | {"trusted-host", "proxy", "cert", "timeout", "default-timeout"}
settings = {}
listing = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
for key, _, value in (line.partition("=") for line in listing.splitlines()):
    section, _, name = key.partition(".")
    if section in ("global", "install"):
        settings[name] = ast.literal_eval(value)
for key, value in os.environ.items():
    if key.startswith("PIP_"):
        settings[key.removeprefix("PIP_").lower().replace("_", "-")] = value
settings = {name: value for name, value in settings.items() if name in carried}
if cert := settings.get("cert"):
    settings["cert"] = "/etc/pip-certificates.pem"
    shutil.copy(cert, tree + settings["cert"])
for name in places & settings.keys():
    settings[name] = "\n".join(place for place in settings[name].split() if place.startswith(("http://", "https://")))
config = configparser.RawConfigParser()
config["global"] = {name: value for name, value in settings.items() if value}
with open(f"{tree}/etc/pip.conf", "w") as file:
    config.write(file)
PYTHON
}

# enter TREE COMMAND...: as root of the tree, without booting it, on this machine's network.
enter() {
  local tree=$1
  shift
  attend systemd-nspawn --directory="$tree" "${inside[@]}" "$@"
}

# enter_layer LOWER LAYER COMMAND...: the same for what LAYER makes of the tree LOWER, which stays as it is.
enter_layer() {
  local lower=$1 layer=$2
  shift 2
  mkdir -p "$layer"/{upper,work,root}
  # shellcheck disable=SC2016  # expanded by the inner shell
  attend sh -c 'mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root" && shift 2 && exec "$@"' \
    sh "$lower" "$layer" systemd-nspawn --directory="$layer/root" "${inside[@]}" "$@"
}

inside=(--quiet --register=no --keep-unit --as-pid2 --console=pipe --resolv-conf=off --timezone=off)
for variable in http_proxy https_proxy no_proxy; do
  [[ -z ${!variable-} ]] || inside+=(--setenv="$variable")
done
