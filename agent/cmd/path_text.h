/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct directory;
struct error;

/*
 * path_text - paths as somebody typed them, taken apart as text. Separators are those of the
 * system.
 */
bool path_is_separator(char c);
/* Of the first `size` bytes how many are left without the separators at the end; of "/" one. */
size_t path_trim(const char *path, size_t size);
/* Where the last name of the first `size` bytes begins. */
size_t path_last_name(const char *path, size_t size);
/* The directory that the first `size` bytes lead to; 0: the one we are in. */
int path_open(const char *path, size_t size, struct directory **out, struct error *err);
