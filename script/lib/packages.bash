# Sourced by the scripts here: saying things, and having the system's packages installed.
#
# Whoever sources this sets program, the name that stands before what it says.

# shellcheck shell=bash
# shellcheck disable=SC2154  # program

say() { printf '%s: %s\n' "$program" "$*" >&2; }

# fail WHAT REMEDY
fail() {
  printf '%s: %s. %s.\n' "$program" "$1" "$2" >&2
  exit 1
}

can_be_root() {
  [[ $(id -u) == 0 ]] && return
  command -v sudo >/dev/null || return 1
  sudo --non-interactive true 2>/dev/null || { [[ -t 0 ]] && sudo --validate; }
}

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

is_installed() { [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# apt_get ARGUMENTS: quiet unless it fails, then the end of what it said. (9 is the descriptor of a lock.)
apt_get() {
  local talk
  if ! talk=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes \
    -o DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null 9<&-); then
    tail -n 15 <<<"$talk" >&2
    return 1
  fi
}

package_lists_are_new=no
refresh_package_lists() {
  [[ $package_lists_are_new == yes ]] && return
  say "reading the lists of Debian packages (apt-get update)"
  apt_get update || say "some lists could not be read; going on with those that are here"
  package_lists_are_new=yes
}

apt_offers() { [[ -n $(apt-cache show --no-all-versions "$1" 2>/dev/null) ]]; }

# install_packages WHY PACKAGE...: those that are missing.
install_packages() {
  local why=$1 package missing=()
  shift
  for package; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    fail "$why needs ${missing[*]} and there is no apt-get here" "Install what corresponds to them on this system"
  can_be_root ||
    fail "$why needs the Debian packages ${missing[*]}, and only root may install them" \
      "Run this as root or with sudo at hand, or let someone run: apt-get install ${missing[*]}"
  refresh_package_lists
  say "installing packages with apt-get: ${missing[*]}"
  apt_get install --no-install-recommends "${missing[@]}" ||
    fail "the Debian packages ${missing[*]} could not be installed (apt-get's own words are above)" \
      "Most often the package mirror cannot be reached: fix that and run this again"
}
