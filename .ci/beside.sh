# Sourced by get-server and msrv: puts packages of another Debian suite beside the system.
#
# apt resolves and fetches them under a configuration of its own, dpkg unpacks them into a folder, and wrappers start
# their programs through the loader that came with them. So nothing is installed, no package database is touched, root
# is not needed, and a program may want a newer libc than the system's.
# shellcheck shell=bash disable=SC2016 # what stands in single quotes is apt's and the wrappers'

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# beside_mirror: the mirror of Debian's own archive that this machine is set up to use.
beside_mirror() {
  local found
  found=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p')
  if [ -z "$found" ] && [ "$(id -u)" = 0 ]; then # apt names the mirror only once it has the mirror's lists
    apt-get -qq -o Acquire::Retries=3 update >&2
    found=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p')
  fi
  echo "${found%%$'\n'*}"
}

# beside_is KEY DEST: DEST already holds what KEY names.
beside_is() { [ "$(cat "$2/.beside" 2>/dev/null)" = "$1" ]; }

# beside_done KEY DEST: to be called last: an unpacking that was cut short has to start again.
beside_done() { echo "$1" >"$2/.beside"; }

# beside_unpack SUITE DEST PATTERN PACKAGE...: unpacks into DEST/root the packages and those libraries that they need.
# Of the names that apt would install, those that match PATTERN (extended, whole name) are left out.
beside_unpack() {
  local suite=$1 dest=$2 leave_out=$3 tool mirror keyring apt wanted deb
  shift 3
  for tool in apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool, which is not on this system"; done
  mirror=$(beside_mirror)
  [ -n "$mirror" ] || fail "apt knows no mirror of Debian here (run 'apt-get update' once, or this is not Debian)"
  for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp} ''; do [ ! -r "$keyring" ] || break; done
  [ -n "$keyring" ] || fail "the package debian-archive-keyring is missing"

  # whatever is removed here was made here
  if [ -n "$(ls -A "$dest" 2>/dev/null)" ] && [ ! -e "$dest/.beside" ]; then fail "$dest is not empty"; fi
  rm -rf "$dest"
  apt=$dest/apt
  mkdir -p "$apt"/{etc/{apt.conf.d,preferences.d,sources.list.d},lists/partial,cache/archives/partial,log} "$dest"/{debs,root}
  touch "$apt/status" "$dest/.beside"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$apt/etc/sources.list"
  other() {
    apt-get -o Dir::Etc="$apt/etc" -o Dir::Etc::sourcelist="$apt/etc/sources.list" -o Dir::Etc::sourceparts="$apt/etc/sources.list.d" \
      -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" -o Dir::Log="$apt/log" \
      -o Dir::Cache="$apt/cache" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
      -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
  }
  other -qq update >&2 || fail "could not fetch the package lists of Debian $suite"
  wanted=$(other install -s "$@" | awk -v out="^($leave_out)\$" '/^Inst/ && $2 !~ out { print $2 }') ||
    fail "Debian $suite does not offer: $*"
  # shellcheck disable=SC2086 # one word for each package
  (cd "$dest/debs" && other -qq download $wanted >&2) || fail "could not fetch from Debian $suite: $*"
  for deb in "$dest"/debs/*.deb; do dpkg -x "$deb" "$dest/root"; done
  rm -rf "$apt" "$dest/debs"
}

# beside_wrap DEST PROGRAM [FLAG...]: replaces DEST/root/PROGRAM by a script that runs it with its own libraries; FLAGs
# follow the caller's. It becomes the same process, so that a signal to it reaches the program.
beside_wrap() {
  local root=$1/root program=$1/root/$2 real loader libs
  shift 2
  real=$(dirname "$program")/real/${program##*/}
  loader=$(find "$root" -name 'ld-linux-*.so.*' | head -n 1)
  libs=$(dirname "$(find "$root" -name 'libc.so.6' | head -n 1)")
  [ -n "$loader" ] || fail "no C library among what was unpacked into $root"
  mkdir -p "$(dirname "$real")"
  mv "$program" "$real"
  {
    echo '#!/bin/sh'
    printf 'exec %q --library-path %q %q "$@"' "$loader" "$libs:$root/usr/lib:$root/lib" "$real"
    [ $# = 0 ] || printf ' %q' "$@"
    echo
  } >"$program"
  chmod +x "$program"
}
