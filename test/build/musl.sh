#!/bin/bash
# hz3 builds with musl, and API and stress tests that link musl pass with it preloaded by musl's own dynamic linker.

command -v musl-gcc >/dev/null || {
	echo "SKIP: there is no musl-gcc"
	exit 77
}
# shellcheck source=test/build/other_system.sh
. "$(dirname "${BASH_SOURCE[0]}")/other_system.sh"

build_for CC=musl-gcc
if is_long; then
	run_tests "$all $(with stress idle_owner oom spawn)"
else
	# shellcheck disable=SC2086
	run_tests "$(with api $api; with stress core_storm exit_pending fork_storm remote_storm spawn)"
fi
exit $failed
