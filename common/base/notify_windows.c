/* SPDX-License-Identifier: MIT */
#include "common/base/notify.h"

void notify_manager(const char *state)
{
}

void notify_manager_with(const char *state, const int *descriptors, size_t count)
{
}
