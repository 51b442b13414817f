/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct buf;
struct error;
struct mount_options;

/*
 * mount_options_json - options on their way from the process that mounts to those that answer,
 * which may be of another version: what is not known is passed over, what is absent has its
 * default.
 */
void mount_options_write(const struct mount_options *options, struct buf *out);
/* Into initialised options. */
int mount_options_read(struct mount_options *options, struct span text, struct error *err);
