/* SPDX-License-Identifier: MIT */
#pragma once

struct error;

/* directory_path - what directory.h takes as a path ("" included), on every system. -EINVAL. */
int directory_path_check(const char *path, struct error *err);
