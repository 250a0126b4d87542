#!/bin/sh
# Makes a fresh checkout ready: pinned dependencies, the Debian packages that the given profiles need,
# and dist/. Plain sh, works with Node 20. Usage: bootstrap.sh [--no-install] [PROFILE...]
# Profiles: (none) = build only; test, demo, bench add real peers. A second run only looks.
# --no-install: system packages are only reported.
set -eu
cd "$(dirname "$0")/.."

fail() {
  echo "error: $1" >&2
  echo "next: $2" >&2
  exit "${3:-1}"
}

install=yes
packages="libatomic1"
for word in "$@"; do
  case $word in
    --no-install) install=no ;;
    test) packages="$packages runc e2fsprogs ca-certificates erofs-utils docker-registry skopeo openssl python3 tar xz-utils" ;;
    demo) packages="$packages runc e2fsprogs ca-certificates erofs-utils docker-registry skopeo tar xz-utils" ;;
    bench) packages="$packages runc e2fsprogs ca-certificates erofs-utils docker-registry skopeo containerd gocryptfs fuse3 fio git umoci tar xz-utils" ;;
    *) fail "unknown argument $word [USAGE]" "use --no-install, test, demo or bench" 2 ;;
  esac
done

command -v npm >/dev/null 2>&1 ||
  fail "npm is missing [PACKAGE_MISSING]" "install Node.js 20 or later with npm"

# Two at once in one checkout would undo each other's node_modules. The lock ends with this process.
mkdir -p .bootstrap
exec 9>.bootstrap/lock
flock 9

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
  for package in $packages; do
    # shellcheck disable=SC2016 # the ${...} is dpkg-query's
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
  done
else
  echo "bootstrap: not a Debian system; what Debian calls $packages must be here" >&2
fi

# A package's services must not start: tests start their own copies on ports of their own. The file is
# ours if it says so, also when an earlier run was killed before it could remove it.
guard=/usr/sbin/policy-rc.d
mark="# of enclave-cc's scripts/bootstrap.sh, which removes it"
drop_guard() {
  if grep -qsF "$mark" $guard; then rm -f $guard; fi
}

if [ -n "$missing" ]; then
  echo "bootstrap: Debian packages needed:$missing" >&2
  [ "$install" = yes ] ||
    fail "Debian packages are missing:$missing [PACKAGE_MISSING]" "apt-get install -y$missing"
  [ "$(id -u)" = 0 ] ||
    fail "installing Debian packages needs root [ROOT_REQUIRED]" \
      "run as root, or: sudo apt-get install -y$missing"
  log=$(mktemp)
  trap 'drop_guard; rm -f "$log"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if [ ! -e $guard ]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >$guard
    chmod 755 $guard
  fi
  # An index that is there may do; a machine that has none, or an old one, fetches it.
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 # one word a package
  apt() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1 9>&-; }
  # shellcheck disable=SC2086
  if ! apt install -y --no-install-recommends $missing &&
    ! { apt update && apt install -y --no-install-recommends $missing; }; then
    tail -n 20 "$log" >&2
    fail "installing$missing failed [PACKAGE_MISSING]" \
      "apt-get update && apt-get install -y$missing"
  fi
  drop_guard
  rm -f "$log"
  trap - EXIT HUP INT TERM
elif [ "$(id -u)" = 0 ]; then
  drop_guard
fi

lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ ! -x node_modules/.bin/node ] || [ "$(cat node_modules/.lock-hash 2>/dev/null)" != "$lock" ]; then
  echo "bootstrap: installing npm dependencies" >&2
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 9>&- ||
    fail "npm ci failed [PACKAGE_MISSING]" "check the network and the registry that npm is set up with"
  [ -x node_modules/.bin/node ] ||
    fail "there is no pinned Node for this machine [PACKAGE_MISSING]" \
      "use Linux on x64 or arm64, and let npm install optional dependencies"
  echo "$lock" >node_modules/.lock-hash
fi
ln -sfn ../../bin/enclave-cc node_modules/.bin/enclave-cc

# Folders too: one is newer where a file was removed.
if [ ! -f dist/build.json ] ||
  [ -n "$(find src scripts/build.ts scripts/programs.ts package.json package-lock.json -newer dist/build.json 2>/dev/null | head -n 1)" ]; then
  node_modules/.bin/node scripts/build.ts >&2 9>&-
fi
