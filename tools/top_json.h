/* The model as JSON: doc/top.schema.json. */
#ifndef HZ3_TOP_JSON_H
#define HZ3_TOP_JSON_H

#include "top_attach.h"
#include "top_model.h"

/* Raised when a key changes its meaning or goes, not when one is added. */
#define TOP_JSON_VERSION 1

/* state: "running", "silent" or "ended".  False: standard output can't be written. */
bool top_json_print(const struct top_model *model, const struct top_process *process, const char *version, const char *state);

#endif
