/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "server/service/projects.h"

struct error;
struct refusal;

/*
 * cursor - where the next page of a list starts, as opaque text.
 *
 * Lower-case hex of one byte (which list) and a sort key. It carries no right: the
 * list checks the identity again. Whoever changes one gets another place of the
 * same list, or -EINVAL.
 */
#define CURSOR_KEY_MAX ((CURSOR_SIZE - 1) / 2 - 1)

enum cursor_list {
    CURSOR_PROJECTS = 1,
    CURSOR_APPS,
    CURSOR_VERSIONS,
    CURSOR_FILES,
    CURSOR_TRASH,
    CURSOR_PROMOTIONS,
    CURSOR_JOBS,
    CURSOR_LEASES,
    CURSOR_RETENTION,
};

/* key.size <= CURSOR_KEY_MAX (programming error otherwise). */
void cursor_format(enum cursor_list list, struct span key, char out[CURSOR_SIZE]);

/* *out_size 0 for "" and NULL: the start. -EINVAL with REFUSAL_VALIDATION and the pointer
 * "/cursor". */
int cursor_parse(enum cursor_list list, const char *text, uint8_t out_key[CURSOR_KEY_MAX],
                 size_t *out_size, struct refusal *why, struct error *err);

/* The limit to use. -EINVAL above PAGE_LIMIT_MAX. */
int page_limit(const struct page_request *request, uint32_t *out_limit, struct refusal *why,
               struct error *err);

/* For lists in the order of names: the limit, and the name behind which the page starts, kept in
 * `name`; *out_after is NULL at the start. */
int page_start(enum cursor_list list, const struct page_request *request, uint32_t *out_limit,
               char name[CURSOR_KEY_MAX + 1], const char **out_after, struct refusal *why,
               struct error *err);

/* For lists in the order of `count` numbers, a time and an id or so: the limit, and the numbers of
 * the item behind which the page starts; zeroes at the start. */
#define PAGE_NUMBERS_MAX 2
int page_start_behind(enum cursor_list list, const struct page_request *request,
                      uint32_t *out_limit, int64_t *out_numbers, size_t count, struct refusal *why,
                      struct error *err);
void page_end_at(enum cursor_list list, const int64_t *numbers, size_t count,
                 char out[CURSOR_SIZE]);
