#!/usr/bin/env bash
# Prints the path of a `library` source tree that belongs to exactly the installed rustc.
#
# usage: rust-src.sh CACHE_FOLDER
#
# Looks for rustup's rust-src component and for Debian's rust-src package; failing both, fetches that package (not
# installing it) from the Debian mirror that this machine already uses, adding the suites that carry newer compilers.
# Signatures are checked against the machine's Debian keyring. Never calls rustup.
set -euo pipefail
cache=$1
version=$(rustc -V | cut -d' ' -f2)
packaged=usr/src/rustc-$version/library

for library in "$(rustc --print sysroot)/lib/rustlib/src/rust/library" "/$packaged" "$cache/$packaged"; do
  if [ -f "$library/core/src/lib.rs" ]; then
    echo "$library"
    exit 0
  fi
done

give_up() {
  echo "rust-src.sh: $1; with rustup: rustup component add rust-src" >&2
  exit 1
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
command -v apt-get >/dev/null || give_up "no sources of rustc $version here and no apt-get to fetch them"
[ -f "$keyring" ] || give_up "no Debian keyring to check a fetched package with"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
[ -n "$mirror" ] || give_up "apt knows no Debian mirror"

# Lists and downloads of our own: the machine's package state stays as it is.
apt=$cache/apt
rm -rf "$apt"
mkdir -p "$apt/lists/partial" "$apt/download"
for suite in ${RUST_SRC_SUITES:-trixie-backports sid}; do
  echo "deb [signed-by=$keyring] $mirror $suite main"
done >"$apt/sources.list"
options=(
  -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/nonexistent
  -o Dir::State::Lists="$apt/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
  -o Acquire::Languages=none -o APT::Sandbox::User="$(id -un)"
)
apt-get "${options[@]}" -qq update >&2
package=$(apt-cache "${options[@]}" madison rust-src |
  awk -F' *[|] *' -v wanted="$version+" 'index($2, wanted) == 1 { print $2; exit }')
[ -n "$package" ] || give_up "Debian has no rust-src of $version in the suites ${RUST_SRC_SUITES:-trixie-backports sid}"
(cd "$apt/download" && apt-get "${options[@]}" -qq download "rust-src=$package" >&2)
dpkg-deb --fsys-tarfile "$apt"/download/rust-src_*.deb | tar -x -C "$cache" "./$packaged"
rm -rf "$apt"
echo "$cache/$packaged"
