#!/bin/bash
# Tests common/bazel/fetch against stand-ins for apt-get, apt-cache and npm.
set -uo pipefail

fetch=$PWD/common/bazel/fetch
failures=0
cd "$(mktemp -d -p "$TEST_TMPDIR")"
mkdir bin unpacked
export HOME=$PWD PATH=$PWD/bin:$PATH
unset XDG_CACHE_HOME

stand_in() {  # NAME: its body is read from the standard input
  { echo '#!/bin/bash'; cat; } >"bin/$1"
  chmod +x "bin/$1"
}

expect_line() {  # TEST EXPECTED COMMAND...
  local test=$1 expected=$2 printed
  shift 2
  printed=$(cd unpacked && "$@" 2>&1)
  if [[ $printed != "$expected" ]]; then
    printf 'FAILED %s\n  expected: %s\n  printed:  %s\n' "$test" "$expected" "$printed"
    failures=$((failures + 1))
  fi
}

stand_in apt-get <<<'exit 100'
stand_in apt-cache <<<'[[ $1 == show ]] || echo "libx-dev |      1.2 | main"'
stand_in npm <<<'[[ $1 == view ]]'

expect_line withdrawn_deb__names_relock \
  'flightrec: pin libx-dev=1.1 is no longer served: run apt-get update, then common/bazel/relock' \
  "$fetch" deb libx-dev 1.1 00
expect_line withdrawn_npm_version__names_relock \
  'flightrec: pin left@1.0.0 is no longer served: run common/bazel/relock' \
  "$fetch" npm left 1.0.0 00
expect_line served_deb_does_not_arrive__blames_the_network \
  'flightrec: apt-get download libx-dev=1.2 failed (): check the network, or run apt-get update' \
  "$fetch" deb libx-dev 1.2 00

stand_in apt-cache <<<'exit 100'
expect_line no_package_lists__names_apt_get_update \
  'flightrec: apt knows no package libx-dev: run apt-get update' \
  "$fetch" deb libx-dev 1.2 00

mkdir package && echo text >package/file
tar -czf left.tgz package
sha256=$(sha256sum <left.tgz | cut -d' ' -f1)
stand_in npm <<<"cp $PWD/left.tgz ."
expect_line changed_content__is_refused \
  "flightrec: left 1.0.0 has SHA-256 $sha256, the lock says 00: find out why before running common/bazel/relock" \
  "$fetch" npm left 1.0.0 00
expect_line right_content__is_unpacked '' "$fetch" npm left 1.0.0 "$sha256"
expect_line right_content__lies_in_place text cat file
stand_in npm <<<'exit 1'
expect_line second_fetch__comes_from_the_cache '' "$fetch" npm left 1.0.0 "$sha256"

exit $((failures > 0))
