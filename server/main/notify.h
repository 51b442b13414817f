/* SPDX-License-Identifier: MIT */
#pragma once

/* notify - tells the service manager how it goes: one datagram to the socket named by NOTIFY_SOCKET
 * (sd_notify(3)), without its library. Without that variable, or when it fails: nothing. */
void notify_manager(const char *state);
