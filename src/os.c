/* The beginning of the layer over the system. */
#include "os.h"

#include "base.h"
#include "os_memory.h"
#include "os_process.h"

static bool initialised;	/* written while there is one thread */

void hz3_os_init(void)
{
	if (initialised)
		return;
	initialised = true;
	hz3_os_meet_memory();
	hz3_os_meet_machine();
}
