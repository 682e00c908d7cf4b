#!/bin/bash
# git: many commits, branches and a merge, gc with threads, clones, fsck; every process of it under hz3.

# shellcheck source=test/programs/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
need git
export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@localhost GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@localhost
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
cat >"$work/.gitconfig" <<-CONFIG
	[init]
		defaultBranch = main
	[gc]
		auto = 0
	[maintenance]
		auto = false
	[pack]
		threads = 2
	[advice]
		detachedHead = false
CONFIG

# A history for fast-import: 400 commits, files that grow, change and go.
awk 'BEGIN {
	for (i = 1; i <= 400; i++) {
		print "commit refs/heads/main"
		print "committer C <c@localhost> " 1600000000 + i " +0000"
		message = "commit " i
		printf "data %d\n%s\n", length(message), message
		for (k = 0; k < 5; k++) {
			body = ""
			for (l = 0; l < i % 60 + k; l++)
				body = body "line " l " of " k " in " int(i / (l + 1)) "\n"
			printf "M 100644 inline dir%d/file%d\ndata %d\n%s\n", (i + k) % 9, k, length(body), body
		}
		if (i % 50 == 0)
			print "D dir" i % 9
		print ""
	}
}' >"$work/history"

cat >"$work/script" <<'SCRIPT'
set -e
git init -q repo
cd repo
git fast-import --quiet --done < <(cat "$HOME/history"; echo done)
git reset -q --hard
for ((i = 0; i < 12; i++)); do
	for ((l = 0; l <= i; l++)); do echo "line $l of $((i % 5))"; done >"f$((i % 7))"
	git add .
	git commit -q -m "change $i"
done
git checkout -q -b side HEAD~5
for ((i = 0; i < 4; i++)); do
	echo "side $i" >>side
	git add side
	git commit -q -m "side $i"
done
git checkout -q main
git merge -q -m merged side
git tag -a -m 'a tag' v1
git status --short
git repack -q -a -d -f --threads=2
git gc -q --prune=now
git fsck --full --no-progress
git log --stat --format='%H %s' | git hash-object --stdin
git log -p --all -M -C | git hash-object --stdin
git rev-list --objects --all | sort | git hash-object --stdin
git shortlog -s HEAD
git blame dir3/file2 | git hash-object --stdin
git grep --threads=2 -c 'line 1 of' | git hash-object --stdin
git diff HEAD~30 HEAD --shortstat
git archive --format=tar HEAD | git hash-object --stdin
cd ..
git clone -q --local repo local
git clone -q --no-local --bare repo remote.git
git -C local fsck --no-progress
git -C remote.git rev-parse main side v1
git -C local checkout -q -b more
echo more >local/more
git -C local add more
git -C local commit -q -m more
git -C local push -q ../remote.git more
git -C remote.git log -1 --format=%H:%s more
git -C repo pull -q --ff-only ../local more
git -C repo rev-parse HEAD
git -C repo cat-file -p no-such-object || echo "status $?"
# Packs and the index depend on time and threads.
rm -rf repo/.git local/.git remote.git
SCRIPT

compare git bash "$work/script"
expect_success git
