#!/bin/bash
# libhz3.so exports the names of src/hz3.map with their version, malloc and its family and dlopen without one, and nothing else.

set -eu

if [ -n "$HZ3_SANITIZER" ]; then
	echo "SKIP: a sanitizer adds symbols"
	exit 77
fi
if [ ! -e "$HZ3_LIB" ] || ! command -v nm >/dev/null; then
	echo "SKIP: needs $HZ3_LIB and nm"
	exit 77
fi

family=(malloc calloc realloc free reallocarray posix_memalign aligned_alloc memalign valloc pvalloc
	malloc_usable_size cfree free_sized free_aligned_sized malloc_trim mallopt mallinfo mallinfo2 malloc_info
	malloc_stats)
libc=(__libc_malloc __libc_calloc __libc_realloc __libc_reallocarray __libc_free __libc_memalign __libc_valloc
	__libc_pvalloc __posix_memalign)
cxx=(_Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
	_ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t _ZdlPv _ZdaPv _ZdlPvm _ZdaPvm
	_ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t _ZdlPvmSt11align_val_t
	_ZdaPvmSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t _ZdaPvSt11align_val_tRKSt9nothrow_t)

expected() {
	sed -n 's/^\t\(hz3_[a-z0-9_]*\);$/\1@@HZ3_1/p' "$HZ3_SRCDIR/src/hz3.map"
	for name in "${family[@]}"; do
		case $HZ3_MALLOC_PREFIX$name in
		hz3_*) ;; # the map has it
		*) echo "$HZ3_MALLOC_PREFIX$name" ;;
		esac
	done
	if [ -z "$HZ3_MALLOC_PREFIX" ]; then
		printf '%s\n' "${libc[@]}" "${cxx[@]}"
		# Ours where there is a flag to leave out.
		if printf '#define _GNU_SOURCE\n#include <dlfcn.h>\nint flag = RTLD_DEEPBIND;\n' | $CC -fsyntax-only -xc - 2>/dev/null; then
			echo dlopen
		fi
	fi
}

exported() {
	nm -D --defined-only --with-symbol-versions "$HZ3_LIB" | awk '$2 != "A" { print $3 }'
}

if diff <(expected | LC_ALL=C sort) <(exported | LC_ALL=C sort); then
	echo "$(exported | wc -l) symbols as expected"
else
	echo "FAIL: < is missing from $HZ3_LIB, > should not be exported"
	exit 1
fi
