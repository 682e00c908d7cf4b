/*
 * The control tree's thread.*: the calling thread; and background_thread, the library's own.
 */
#include "control_row.h"

#include "account.h"
#include "background.h"
#include "os_process.h"
#include "thread.h"

#include <errno.h>
#include <string.h>

static int act_flush(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
		     const union hz3_control_value *value HZ3_UNUSED)
{
	hz3_thread_flush_buffer();
	return 0;
}

static int act_idle(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
		    const union hz3_control_value *value HZ3_UNUSED)
{
	hz3_thread_go_idle();
	return 0;
}

/* The string is the thread's own: it stays until the thread has another name. */
static void get_thread_name(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	struct hz3_heap *heap = hz3_thread_begin();
	char name[HZ3_FLOW_NAME_BYTES];

	value->string = "";
	if (heap == NULL)
		return;
	if (heap != hz3_thread_shared_heap()) {
		hz3_os_get_thread_name(name);
		hz3_flow_name_set(&heap->owner->frees->name, name);
	}
	value->string = (const char *)&heap->owner->frees->name;
	hz3_thread_end(heap);
}

static int set_thread_name(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
			   const union hz3_control_value *value)
{
	if (value->string == NULL || strlen(value->string) >= HZ3_FLOW_NAME_BYTES)
		return EINVAL;
	hz3_os_name_thread(value->string);
	return 0;
}

static void get_thread_arena(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->number = hz3_thread_arena();
}

static int set_thread_arena(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
			    const union hz3_control_value *value)
{
	return hz3_thread_set_arena(value->number) ? 0 : EINVAL;
}

static bool has_counters(size_t index HZ3_UNUSED)
{
	return HZ3_STATS;
}

static void get_thread_allocated(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
				 union hz3_control_value *value)
{
	value->size = hz3_account_read().allocated;
}

static void get_thread_deallocated(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
				   union hz3_control_value *value)
{
	value->size = hz3_account_read().freed;
}

static void get_background_thread(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED,
				  union hz3_control_value *value)
{
	value->flag = hz3_background_runs();
}

static const struct hz3_control_row rows[] = {
	{.name = "thread.flush", .type = HZ3_CONTROL_ACTION, .set = act_flush},
	{.name = "thread.idle", .type = HZ3_CONTROL_ACTION, .set = act_idle},
	{.name = "thread.name", .type = HZ3_CONTROL_STRING, .get = get_thread_name, .set = set_thread_name},
	{.name = "thread.arena", .type = HZ3_CONTROL_UNSIGNED, .get = get_thread_arena, .set = set_thread_arena},
	{.name = "thread.allocated", .type = HZ3_CONTROL_SIZE, .get = get_thread_allocated, .has = has_counters},
	{.name = "thread.deallocated", .type = HZ3_CONTROL_SIZE, .get = get_thread_deallocated, .has = has_counters},
	{.name = "background_thread", .type = HZ3_CONTROL_BOOL, .get = get_background_thread},
};

const struct hz3_control_table hz3_control_thread = HZ3_CONTROL_TABLE(rows);
