/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/model/names.h"

struct rooms;

/*
 * channel_memory - what a channel pointed to when it was last looked at, kept in the cache: what
 * an attach shows that begins while the server is away.
 *
 * One small file for each (store, token, app, channel). Losing it costs that start only, so
 * failures are passed over.
 */
void channel_memory_keep(const struct rooms *rooms, const char *channel, const char *version);
/* -ENOENT: nothing that could be read, or that is no version's name. */
int channel_memory_recall(const struct rooms *rooms, const char *channel,
                          char out_version[VERSION_TEXT_SIZE]);
