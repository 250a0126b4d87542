#!/bin/sh
# Makes a fresh checkout ready: pinned dependencies, the Debian packages that the given profiles need,
# and dist/. Plain sh, works with Node 20. Usage: bootstrap.sh [--no-install] [PROFILE...]
# Profiles: (none) = build only; test, demo, bench add real peers. A second run only looks.
set -eu
cd "$(dirname "$0")/.."

install=yes
packages="libatomic1"
for word in "$@"; do
  case $word in
    --no-install) install=no ;;
    test) packages="$packages runc ca-certificates erofs-utils docker-registry skopeo umoci openssl tar xz-utils" ;;
    demo) packages="$packages runc ca-certificates erofs-utils docker-registry skopeo tar xz-utils" ;;
    bench) packages="$packages runc ca-certificates erofs-utils docker-registry skopeo umoci gocryptfs tar xz-utils" ;;
    *) echo "error: unknown profile $word [USAGE]" >&2; exit 2 ;;
  esac
done

missing=""
for package in $packages; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
  echo "bootstrap: Debian packages needed:$missing" >&2
  if [ "$install" = no ]; then
    echo "error: Debian packages are missing:$missing [PACKAGE_MISSING]" >&2
    echo "next: apt-get install -y$missing" >&2
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    echo "error: installing Debian packages needs root [ROOT_REQUIRED]" >&2
    echo "next: run as root, or: sudo apt-get install -y$missing" >&2
    exit 1
  fi
  # The packages' services must not start: tests start their own copies on ports of their own.
  guard=/usr/sbin/policy-rc.d
  if [ ! -e $guard ]; then
    printf '#!/bin/sh\nexit 101\n' >$guard
    chmod 755 $guard
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
  fi
  log=$(mktemp)
  if ! { apt-get install -y -qq --no-install-recommends $missing >"$log" 2>&1 ||
    { apt-get update -qq >>"$log" 2>&1 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >>"$log" 2>&1; }; }; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "error: installing$missing failed [PACKAGE_MISSING]" >&2
    echo "next: apt-get update && apt-get install -y$missing" >&2
    exit 1
  fi
  rm -f "$log"
fi

lock=$(sha256sum package-lock.json | cut -d' ' -f1)
if [ ! -x node_modules/.bin/node ] || [ "$(cat node_modules/.lock-hash 2>/dev/null)" != "$lock" ]; then
  echo "bootstrap: installing npm dependencies" >&2
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  echo "$lock" >node_modules/.lock-hash
fi
ln -sf ../../bin/enclave-cc node_modules/.bin/enclave-cc

if [ ! -f dist/build.json ] || [ -n "$(find src scripts/build.ts package-lock.json -newer dist/build.json 2>/dev/null | head -n 1)" ]; then
  node_modules/.bin/node scripts/build.ts >&2
fi
