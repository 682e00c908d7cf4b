/*
 * A sequence lock: one writer renews some words in place, and any number of readers, also in other processes, copy them; nobody
 * waits for anybody, and a reader that was overtaken knows it.
 *
 *   number   even: the words are whole; odd: they are being written.  0: nothing was ever written.  Only the writer stores it.
 *   words    each is stored and loaded as one.
 *
 * A reader must find the number odd, or changed, if it has seen one word of a write that is not over: the words are stored with
 * release, after the odd number, and loaded with acquire, before the second look at the number.  And it must see all the words
 * of the write whose even number it found: that is a release and an acquire, too.  (The usual fences would do the same; here every
 * order stands at its word, and a word is a plain store and a plain load on x86.)
 *
 * A writer that ends in the midst of it leaves the number odd for ever: readers have to give up at some time.
 */
#ifndef HZ3_SEQLOCK_H
#define HZ3_SEQLOCK_H

#include "atomic.h"

/* The one writer. */
static inline void hz3_seqlock_write(_Atomic uint64_t *number, _Atomic uint64_t *words, const uint64_t *from, size_t n)
{
	/* relaxed: its own; the store is ordered by those of the words. */
	uint64_t before = hz3_atomic_load(number, relaxed);

	hz3_atomic_store(number, before + 1, relaxed);
	for (size_t i = 0; i < n; i++)
		/* release: pairs with the acquire of a reader's load, whose second look then finds the odd number or a later one. */
		hz3_atomic_store(&words[i], from[i], release);
	/* release: pairs with a reader's first look. */
	hz3_atomic_store(number, before + 2, release);
}

/* False: nothing was written yet, or it is being written, and the copy is of no use. */
static inline bool hz3_seqlock_read(const _Atomic uint64_t *number, const _Atomic uint64_t *words, uint64_t *to, size_t n)
{
	/* acquire: pairs with the last store of a write. */
	uint64_t before = hz3_atomic_load(number, acquire);

	if (before == 0 || before % 2 != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		/* acquire: pairs with the store of the word. */
		to[i] = hz3_atomic_load(&words[i], acquire);
	/* relaxed: after the loads of the words, which acquire. */
	return hz3_atomic_load(number, relaxed) == before;
}

#endif
