/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/*
 * notify - tells the service manager how it goes: one datagram to the socket named by NOTIFY_SOCKET
 * (sd_notify(3)), without its library. Without that variable, or when it fails: nothing. A system
 * without such managers has a notify_windows.c that does nothing.
 */
void notify_manager(const char *state);

#define NOTIFY_DESCRIPTORS_MAX 16

/* The same with descriptors, as FDSTORE=1 wants them; they stay the caller's. */
void notify_manager_with(const char *state, const int *descriptors, size_t count);
