#!/bin/bash
# Every rule of the protocols is needed: each broken copy of the headers is found by the interleaver.  HZ3_STRESS=long: all of
# them; else one in four, and of the others only that they still break something.
#
# broken NAME PROGRAM FILE SCRIPT: a sed script for all of the file (of src/, or the steps of mini_heap.h) as one line, which must
# change something; then some run of PROGRAM must fail.

set -u
. "$HZ3_SRCDIR/test/interleave/common.sh"

failed=0
controls=0
one_in=4
[ "${HZ3_STRESS:-}" != long ] || one_in=1

broken() {
	local name=$1 program=$2 file=$3 script=$4 flags=${5:--zE} copy=$work/copy
	controls=$((controls + 1))
	sed "$flags" "$script" "$whole/$file" >"$work/broken"
	if cmp -s "$whole/$file" "$work/broken"; then
		echo "FAIL: $name: there is no such line in $file any more"
		failed=1
		return
	fi
	[ $((controls % one_in)) = 0 ] || return
	rm -rf "$copy"
	cp -r "$whole" "$copy"
	mv "$work/broken" "$copy/$file"
	if ! build "$program" "$copy" -O0 2>"$work/log"; then
		echo "FAIL: $name: $file does not compile"
		cat "$work/log"
		failed=1
	elif timeout 60 "$work/$program" -r 2000 >"$work/log" 2>&1; then
		echo "FAIL: $name: not found"
		failed=1
	elif ! grep -q '^FAILED' "$work/log"; then
		echo "FAIL: $name: $program died"
		cat "$work/log"
		failed=1
	else
		echo "ok: $name: $(sed -nE 's/^FAILED: ([a-z_]+): [^ ]*: /\1: /p' "$work/log")"
	fi
}

# The same, by another line of one function: weaker NAME PROGRAM FILE FUNCTION FROM TO.
weaker() {
	broken "$1" "$2" "$3" "/(^|^static.*[ *])$4\\(/,/^\\}/s/$5/$6/" -E
}

can_build
build_interleaver || exit 1
whole=$work/sources
copy_sources "$whole" || exit 1

# ---- The stash ----
broken "push: the tail is not linked again" stash owner.h 's/(do \{\n)(\t\thz3_message_link\(last, old\);\n)/\2\1/'
weaker "push: not a release" stash owner.h hz3_stash_push 'seq_cst, relaxed' 'relaxed, relaxed'
weaker "take: not an acquire" stash owner.h hz3_stash_take 'NULL, acquire' 'NULL, relaxed'
broken "take: in two steps" stash owner.h \
	's/return hz3_atomic_exchange\(stash, NULL, acquire\)/struct hz3_message *m = hz3_atomic_load(stash, acquire);\nhz3_atomic_store(stash, NULL, release);\nreturn m/'

# ---- The page word and the queue ----
broken "push: the tail is not linked again" queue page_remote.h 's/\tpush->link\(push->context, list\);/if (push->tries == 0) push->link(push->context, list);/'
weaker "push: not a release" queue page_remote.h hz3_remote_push 'new, seq_cst' 'new, acquire'
broken "push: the list's last block is lost" queue page_remote.h 's/list\.count \? list\.last : chain\.last/chain.last/'
broken "push: QUEUED is lost" queue page_remote.h 's/hz3_remote_pack\(sum\) \| \(old & HZ3_REMOTE_QUEUED\)/hz3_remote_pack(sum)/'
broken "push: queued one too late" queue page_remote.h 's/sum\.count >= push->wake/sum.count > push->wake/'
broken "push: everybody queues" queue page_remote.h 's/new & ~old & HZ3_REMOTE_QUEUED/new \& HZ3_REMOTE_QUEUED/'
broken "take: the list first, then the flag, as the question pack's drain" queue page_remote.h \
	's/return hz3_remote_unpack\(hz3_atomic_exchange\(&remote->word, 0, acq_rel\)\)/uint64_t w = hz3_atomic_fetch_and(\&remote->word, HZ3_REMOTE_QUEUED, acq_rel);\nhz3_atomic_fetch_and(\&remote->word, ~HZ3_REMOTE_QUEUED, acq_rel);\nreturn hz3_remote_unpack(w)/'
broken "take: the flag first, then the list" queue page_remote.h \
	's/return hz3_remote_unpack\(hz3_atomic_exchange\(&remote->word, 0, acq_rel\)\)/hz3_atomic_fetch_and(\&remote->word, ~HZ3_REMOTE_QUEUED, acq_rel);\nreturn hz3_remote_unpack(hz3_atomic_exchange(\&remote->word, 0, acq_rel))/'
weaker "take: not an acquire" queue page_remote.h hz3_remote_take '0, acq_rel' '0, release'
broken "drain: the link after the word" queue page_remote.h \
	's/(\*next = [^\n]*\n)([^}]*)return hz3_remote_take\(remote\);/\2struct hz3_remote_list l = hz3_remote_take(remote);\n\1return l;/'
broken "peel: clears QUEUED" queue page_remote.h 's/HZ3_REMOTE_QUEUED \| HZ3_REMOTE_TAKEN, acquire/0, acquire/'
weaker "peel: not an acquire" queue page_remote.h hz3_remote_peel 'TAKEN, acquire' 'TAKEN, relaxed'
broken "queue: the last page is not linked again" queue page_remote.h \
	's/(do \{\n)(\t\t\/\* relaxed: released by the CAS. \*\/\n\t\thz3_atomic_store\(&last->queue_next[^\n]*\n)/\2\1/'
weaker "queue: the push is not a release" queue page_remote.h hz3_queue_push 'seq_cst, relaxed' 'relaxed, relaxed'
weaker "queue: the take is not an acquire" queue page_remote.h hz3_queue_take '0, acquire' '0, relaxed'
weaker "retire: while QUEUED is set" queue page_remote.h hz3_remote_is_clear 'acquire\) == 0' 'acquire) != 1'
broken "drain: only the sink of the moment" queue mini_heap.h 's/uint32_t slice = queue \?/uint32_t slice = queue \&\& !stash ?/;s/(while \(hz3_inbox_pending\(&owner->inbox\)\));/while (0);/'
broken "drain: a chain of another owner is taken in" queue mini_heap.h 's/if \(owner == me\)/if (owner)/'
broken "drain: the rest is forgotten" queue mini_heap.h 's/hz3_inbox_leave\(&owner->inbox, message, slice\)/hz3_inbox_leave(\&owner->inbox, message, 0)/'

# ---- Handover ----
broken "claim: while QUEUED is set" handover page_remote.h 's/ && !\(old & HZ3_REMOTE_QUEUED\);/;/'
broken "claim: of a page that is awake" handover mini_heap.h 's/result == HZ3_PUSH_CLAIMED && !hz3_remote_is_asleep\(&page->remote\)/0/'
weaker "claim: not an acquire" handover page_remote.h hz3_remote_push 'new, seq_cst' 'new, release'
weaker "sleep: not a release" handover page_remote.h hz3_remote_set_asleep 'asleep, release' 'asleep, relaxed'
weaker "asleep: not an acquire" handover page_remote.h hz3_remote_is_asleep 'asleep, acquire' 'asleep, relaxed'
broken "sleep: the mark before the last write" handover mini_heap.h \
	's/(\tpage->state = ASLEEP;\n)(\thz3_remote_set_asleep\(&page->remote, true\);\n)/\2\1/'
broken "take over: of a page that is awake" handover page_remote.h 's/return hz3_remote_is_asleep\(remote\) &&/return/'
weaker "take over: while QUEUED is set" handover page_remote.h hz3_remote_take_over 'hz3_atomic_cas_strong[^;]*' '(hz3_atomic_exchange(\&remote->word, HZ3_REMOTE_TAKEN, acquire), empty == 0)'
weaker "take over: leaves no TAKEN" handover page_remote.h hz3_remote_take_over '&empty, HZ3_REMOTE_TAKEN' '\&empty, 0'
weaker "take over: not an acquire" handover page_remote.h hz3_remote_take_over 'TAKEN, acquire' 'TAKEN, relaxed'
broken "drain: the sleep mark after the word" handover page_remote.h \
	's/(\t\*asleep = [^\n]*\n)\treturn hz3_remote_take\(remote\);/\tstruct hz3_remote_list l = hz3_remote_take(remote);\n\1\treturn l;/'
broken "drain: an empty sleeping page is touched" handover mini_heap.h 's/if \(list\.count \|\| !asleep\)/(void)asleep;/'
broken "peel: clears TAKEN" handover page_remote.h 's/HZ3_REMOTE_QUEUED \| HZ3_REMOTE_TAKEN, acquire/HZ3_REMOTE_QUEUED, acquire/'
broken "format: clears QUEUED" handover page_remote.h 's/hz3_atomic_fetch_and\(&remote->word, HZ3_REMOTE_QUEUED, release\)/hz3_atomic_store(\&remote->word, 0, release)/'
weaker "format: not a release" handover page_remote.h hz3_remote_reset 'QUEUED, release' 'QUEUED, relaxed'
broken "hold: of a page that is taken" handover page_remote.h 's/if \(old & HZ3_REMOTE_TAKEN\)/if (0)/'
broken "unhold: not an acquire" handover page_remote.h 's/(hz3_atomic_load\(&remote->word, )acquire(\);\n\n\tdo)/\1relaxed\2/;s/release, acquire/release, relaxed/'
weaker "unhold: not a release" handover page_remote.h hz3_remote_unhold 'release, acquire' 'acquire, acquire'
weaker "unhold: does not queue" handover page_remote.h hz3_remote_unhold 'return true' 'break'
broken "scavenger: a page that is not whole" handover mini_heap.h 's/list\.count == CAPACITY && hz3_remote_is_asleep/hz3_remote_is_asleep/;s/if \(!hz3_remote_seems_whole\(&page->remote, CAPACITY\)\)/if (0)/'
broken "scavenger: a page that is awake" handover mini_heap.h 's/list\.count == CAPACITY && hz3_remote_is_asleep\(&page->remote\)/list.count == CAPACITY/;s/if \(!hz3_remote_seems_whole\(&page->remote, CAPACITY\)\)/if (0)/'
broken "scavenger: clears posted last" handover mini_heap.h \
	's/(\thz3_owner_clear_posted\(owner\);\n)(\tmove_stash[^{}]*)(\tif \(!hz3_owner_runs)/\2\1\3/'
weaker "scavenger: looks without seq_cst" handover owner.h hz3_stash_seems_full 'stash, seq_cst' 'stash, relaxed'
weaker "scavenger: looks into words without seq_cst" handover page_remote.h hz3_remote_seems_whole 'word, seq_cst' 'word, relaxed'
weaker "leave: a release only" handover owner.h hz3_inbox_leave 'messages, seq_cst' 'messages, release'

# ---- Exit and adoption ----
weaker "post: posted is not looked at in order" exit owner.h hz3_owner_note_post 'posted, seq_cst' 'posted, acquire'
weaker "post: posted is not stored in order" exit owner.h hz3_owner_note_post '1, seq_cst' '1, release'
weaker "post: the state is not looked at in order" exit owner.h hz3_owner_runs 'state, seq_cst' 'state, acquire'
weaker "post: not seq_cst" exit owner.h hz3_stash_push 'first, seq_cst' 'first, release'
weaker "park: not stored in order" exit owner.h hz3_owner_park 'PARKED, seq_cst' 'PARKED, release'
weaker "park: nobody looks again" exit owner.h hz3_owner_park 'if \(![^)]*\)\)' 'if (1)'
broken "park: looks first" exit owner.h \
	's/(\thz3_atomic_store\(&owner->state, HZ3_OWNER_PARKED, seq_cst\);\n)\tif \(!(hz3_inbox_pending\(&owner->inbox\))\)/\tbool pending = \2;\n\1\tif (!pending)/'
broken "scavenger: does not look whether the owner has parked" exit mini_heap.h 's/if \(!hz3_owner_runs\(owner\)\) \{/if (0) {/'
weaker "park: posted is not set" exit owner.h hz3_owner_park 'hz3_owner_note_post\(owner\);' ''
weaker "drain: posted is not cleared in order" exit owner.h hz3_owner_clear_posted '0, seq_cst' '0, release'
broken "drain: posted is cleared last" exit mini_heap.h 's/(\tif \(hz3_owner_was_posted\(owner\)\)\n\t\thz3_owner_clear_posted\(owner\);\n)(\tdo\n[^}]*)\}/\2\1}/'
weaker "drain: the inbox is not looked at in order" exit owner.h hz3_inbox_pending 'stash, seq_cst' 'stash, acquire'
broken "drain of parked heaps: the request is forgotten last" exit exit.c \
	's/(\thz3_atomic_store\(&all\.drain_wanted, 0, seq_cst\);\n)([^}]*)(\til_unlock)/\2\1\3/'
weaker "drain of parked heaps: posted is not looked at in order" exit owner.h hz3_owner_was_posted 'posted, seq_cst' 'posted, acquire'

# ---- Borrowing ----
broken "borrow: no barrier" borrow borrow.c 's/\til_barrier_everywhere\(\);\n//'
weaker "borrow: of a busy thread" borrow heap.h hz3_heap_is_lent 'return !' 'return 1 | '
weaker "borrow: not an acquire" borrow heap.h hz3_heap_is_lent 'busy, acquire' 'busy, relaxed'
weaker "hand back: not a release" borrow heap.h hz3_heap_hand_back '0, release' '0, relaxed'
weaker "enter: not an acquire" borrow heap.h hz3_heap_enter 'borrowed, acquire' 'borrowed, relaxed'
broken "enter: busy after the look" borrow heap.h \
	's/(\thz3_atomic_store\(&heap->busy, 1, relaxed\);\n)([^}]*)return !hz3_unlikely\(([^;]*)\);/\2bool b = \3;\n\1\treturn !b;/'
weaker "leave: not a release" borrow heap.h hz3_heap_leave '0, release' '0, relaxed'

broken "take a page: at the end of its countdown" borrow borrow.c 's/\tif \(in_word == 0 \|\| left == 0\)\n\t\treturn false;\n//'
broken "take a page: with a block in use" borrow borrow.c 's/state == AWAKE && left == in_word/state == AWAKE/'
broken "take a page: without a loan" borrow borrow.c 's/if \(hz3_heap_is_lent\(&heap\) && page_is_free/if (page_is_free/'

# ---- The lock ----
weaker "unlock: not a release" mutex lock.c release '0, release' '0, relaxed'
weaker "unlock: sleepers are looked for first" mutex lock.c release 'if \(hz3_unlikely\(hz3_atomic_exchange\(&lock->word, 0, release\) & WAITERS\)\)' \
	'bool sleepers = hz3_atomic_load(\&lock->word, relaxed) \& WAITERS; hz3_atomic_store(\&lock->word, 0, release); if (sleepers)'
weaker "unlock: nobody is woken" mutex lock.c release '& WAITERS' '\& 0'
weaker "lock: not an acquire" mutex lock.c take_if_free 'acquire, relaxed' 'relaxed, relaxed'
weaker "lock: after a sleep, not an acquire" mutex lock.c sleep_and_take 'acquire, relaxed' 'relaxed, relaxed'
weaker "lock: after a sleep, other sleepers are forgotten" mutex lock.c sleep_and_take 'my_identity\(\) \| WAITERS, acquire' 'my_identity(), acquire'
weaker "lock: sleeps without leaving a mark" mutex lock.c sleep_and_take 'word \| WAITERS, relaxed' 'word, relaxed'

# ---- The sequence lock ----
weaker "write: the words are not released" seqlock seqlock.h hz3_seqlock_write 'from\[i\], release' 'from[i], relaxed'
weaker "write: the end is not released" seqlock seqlock.h hz3_seqlock_write 'before \+ 2, release' 'before + 2, relaxed'
weaker "write: the number is not odd meanwhile" seqlock seqlock.h hz3_seqlock_write 'before \+ 1, relaxed' 'before, relaxed'
weaker "read: the first look is not an acquire" seqlock seqlock.h hz3_seqlock_read 'number, acquire' 'number, relaxed'
weaker "read: the words are not acquired" seqlock seqlock.h hz3_seqlock_read 'words\[i\], acquire' 'words[i], relaxed'
weaker "read: no second look" seqlock seqlock.h hz3_seqlock_read 'hz3_atomic_load\(number, relaxed\) == before' 'true'
weaker "read: while it is being written" seqlock seqlock.h hz3_seqlock_read 'before % 2 != 0' '0'

echo "one in $one_in of $controls controls"
exit $failed
