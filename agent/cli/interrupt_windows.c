/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <windows.h>

#include "agent/cli/interrupt.h"
#include "agent/cli/interrupt_signal.h"
#include "common/base/error.h"

/* Windows calls this on a thread of its own. */
static BOOL WINAPI on_control(DWORD type)
{
    interrupt_arrived();
    return TRUE;
}

int interrupt_start(struct error *err)
{
    if (!SetConsoleCtrlHandler(on_control, TRUE))
        return error_set(err, -EIO, "cannot watch for Ctrl-C");
    return 0;
}
