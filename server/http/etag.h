/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * etag - comparison of entity tags (RFC 9110, 8.8.3 and 13.1). Our tags are strong:
 * `"` hex `"`. Pure functions, any bytes.
 */

/* If-None-Match (NULL when absent: false): `*` or a list that names the tag; weak comparison. */
bool etag_none_match(const char *header, const char *etag);

/* If-Match (NULL when absent: true): `*` or a list that names the tag; strong comparison.
 * etag NULL: there is no representation. */
bool etag_match(const char *header, const char *etag);
