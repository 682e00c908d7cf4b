#!/bin/bash
# tar of hz3's own tree: the same archive, list and files, through gzip in a child process.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need tar gzip
sinks=default

cp -r "$HZ3_SRCDIR/src" "$HZ3_SRCDIR/test" "$work/"
chmod -R u+w "$work"
compare create tar -C "$work" --sort=name --owner=0 --group=0 --mtime=@1700000000 --mode=u+rw -I 'gzip -n' \
	-cf archive.tgz src test
expect_success create
archive=$work/create/glibc/files/archive.tgz
compare list tar -tvzf "$archive"
expect_success list
compare extract tar -xzf "$archive" --transform 's/^/copy-/'
expect_success extract
diff -r "$work/src" "$work/extract/glibc/files/copy-src" || fail "the files changed"
head -c 10000 "$archive" >"$work/cut.tgz"
compare truncated tar -tzf "$work/cut.tgz"
