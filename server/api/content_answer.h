/* SPDX-License-Identifier: MIT */
#pragma once

struct content;
struct error;
struct http_exchange;

/*
 * content_answer - an open content as the answer: conditions, ranges, and the bytes by the best way
 * that it has (a descriptor, its memory, or reads on workers). Takes the content, also on failure.
 */
#define CONTENT_IMMUTABLE "private, max-age=31536000, immutable"
#define CONTENT_NOT_KEPT "no-store"

/* cache_control: NULL for bytes whose name may mean others tomorrow. */
int content_answer(struct http_exchange *exchange, struct content *content, const char *media_type,
                   const char *cache_control, struct error *err);
