/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/base/span.h"

struct error;
struct get_options;
struct get_result;
struct remote_tree;

/*
 * get_manifest - meta.yaml of a version, as the mount shows it: made here, of the record and the
 * verified tree.
 *
 * It is `.kkartifact/meta.yaml`, and `meta.yaml` where the tree has no entry of that name. It has
 * mode 0444 and the time at which the version was made. Of the options `index` is not looked at.
 */
bool get_manifest_may_be(struct span path);
bool get_manifest_is_path(const struct remote_tree *tree, struct span path);

/* As get_run() treats a file. */
int get_manifest_run(const struct get_options *options, struct get_result *out, struct error *err);
int get_manifest_stream(const struct get_options *options, int fd, struct get_result *out,
                        struct error *err);
