/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/versions.h"

/* channels - which version of an app is the current one on a channel. History: promotions. */
#define CHANNEL_DEFAULT "live"

/* Points the channel at a ready version, in one transaction with history and event. expect: NULL no
 * matter; "" none believed; else the version believed current: -EBUSY when it differs. *out (may be
 * NULL) is the version. -ENOENT: no such ready version. */
int channel_promote(struct database *database, const char *project, const char *app,
                    const char *channel, const char *version, const char *expect, const char *actor,
                    struct version *out, struct error *err);
