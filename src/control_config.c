/*
 * The control tree's config.*, and version: what the library was built with.
 */
#include "control_row.h"

#include "hz3/hz3.h"
#include "report.h"

#if HZ3_HAS_PREFIX
#define QUOTE(token) #token
#define QUOTED(token) QUOTE(token)
#define PREFIX_TEXT QUOTED(HZ3_PREFIX)
#else
#define PREFIX_TEXT ""
#endif

static void get_version(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = HZ3_VERSION;
}

/* What the library was built with: where is the answer itself. */
static void get_built(const struct hz3_control_row *row, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->flag = row->where != 0;
}

static void get_malloc_conf(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = "";
}

static void get_default_sink(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = hz3_report_sink_name(HZ3_DEFAULT_SINK);
}

static void get_prefix(const struct hz3_control_row *row HZ3_UNUSED, size_t index HZ3_UNUSED, union hz3_control_value *value)
{
	value->string = PREFIX_TEXT;
}

#define BUILT(text, answer) {.name = text, .type = HZ3_CONTROL_BOOL, .get = get_built, .where = (answer)}

static const struct hz3_control_row rows[] = {
	{.name = "version", .type = HZ3_CONTROL_STRING, .get = get_version},
	BUILT("config.debug", HZ3_DEBUG),
	BUILT("config.safety_checks", HZ3_SAFETY),
	BUILT("config.opt_safety_checks", HZ3_SAFETY),
	BUILT("config.stats", HZ3_STATS),
	BUILT("config.prof", true),
	BUILT("config.cache_oblivious", true),
	BUILT("config.fill", false),
	BUILT("config.lazy_lock", false),
	BUILT("config.utrace", false),
	BUILT("config.xmalloc", false),
	{.name = "config.malloc_conf", .type = HZ3_CONTROL_STRING, .get = get_malloc_conf},
	{.name = "config.default_sink", .type = HZ3_CONTROL_STRING, .get = get_default_sink},
	{.name = "config.prefix", .type = HZ3_CONTROL_STRING, .get = get_prefix},
};

const struct hz3_control_table hz3_control_config = HZ3_CONTROL_TABLE(rows);
