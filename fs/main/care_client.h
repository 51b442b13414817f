/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct json;

/*
 * care_client - asks a mount for work that takes its time (fs/care), and waits for its end.
 *
 * On a terminal it shows on stderr how far it is. SIGINT and SIGTERM end the waiting, not the work:
 * -EINTR. A daemon that is started anew in between is asked again.
 */

/* ask: "prefetch", "pin", "verify", "unpin"; version: "P/A/V" or NULL. The last answer is
 * json_free'd by the caller. */
int care_client_ask(const char *mountpoint, const char *ask, const char *version,
                    struct json **out_answer, struct error *err);

/* The exit code of what care_client_ask or the like gave. */
int care_client_exit(int code);
