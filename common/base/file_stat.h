/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/stat.h>

#include "common/base/file.h"

/* file_stat - what stat() told as a struct file_info; for file and directory on POSIX systems. */
struct file_info file_info_of_stat(const struct stat *st);
