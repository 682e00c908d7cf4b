/*
 * Static probes, for bpftrace, perf, SystemTap and the like: a no-op each until somebody attaches to it, all of them off the hot paths.
 *
 *   otel_memory:alloc   address, bytes, bytes that the sample stands for      a sampled block was allocated (prof:true)
 *   otel_memory:free    address                                               a sampled block is about to be freed
 *   hz3:flush           bytes held, cause (enum hz3_flush_cause)              a remote buffer is sent off
 *   hz3:drain           number of the owner, blocks                           an owner has taken in remote frees
 *   hz3:purge           address, bytes                                        free memory was given back to the system
 *
 * The first two are as OpenTelemetry's contract for heap profiling has them, so that its profiler needs no more than prof:true:
 * https://github.com/open-telemetry/opentelemetry-ebpf-profiler, design document 3.
 */
#ifndef HZ3_USDT_H
#define HZ3_USDT_H

#include "base.h"

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#define HZ3_USDT1(provider, name, a) DTRACE_PROBE1(provider, name, a)
#define HZ3_USDT2(provider, name, a, b) DTRACE_PROBE2(provider, name, a, b)
#define HZ3_USDT3(provider, name, a, b, c) DTRACE_PROBE3(provider, name, a, b, c)
#else
#define HZ3_USDT1(provider, name, a) ((void)(a))
#define HZ3_USDT2(provider, name, a, b) ((void)(a), (void)(b))
#define HZ3_USDT3(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
