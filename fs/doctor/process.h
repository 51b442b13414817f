/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

/*
 * process - another process, from /proc alone: it is not asked, and need not answer.
 */

/* 'R', 'S', 'D', 'T' (stopped), 'Z' ...; 0: there is none. */
char process_state(int64_t pid);
/* "stopped", "dead (not reaped)", "waiting for a disk or a request (state D)" ...; for people. */
const char *process_state_text(char state);

/* The first of its children; 0: none. */
int64_t process_first_child(int64_t pid);

/* Where it stands, without touching that place. False: it cannot be told. */
bool process_directory(int64_t pid, char *out, size_t size);

/* The service of systemd that it runs in, by its control group ("cups.service"). False: none. */
bool process_service(int64_t pid, char *out, size_t size);

/* The pure parts: of the texts of /proc/PID/stat and /proc/PID/cgroup. */
char process_state_parse(struct span stat);
bool process_service_parse(struct span cgroup, char *out, size_t size);
