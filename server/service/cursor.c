/* SPDX-License-Identifier: MIT */
#include "server/service/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/codec/hex.h"
#include "server/service/refusal.h"

void cursor_format(enum cursor_list list, struct span key, char out[CURSOR_SIZE])
{
    uint8_t bytes[1 + CURSOR_KEY_MAX];

    if (key.size > CURSOR_KEY_MAX)
        abort();
    bytes[0] = (uint8_t)list;
    memcpy(bytes + 1, key.bytes, key.size);
    hex_encode(bytes, 1 + key.size, out);
}

static int refuse_cursor(struct refusal *why, struct error *err)
{
    return refusal_at(why, "/cursor",
                      error_set(err, -EINVAL, "the cursor is not one that this list gave"));
}

int cursor_parse(enum cursor_list list, const char *text, uint8_t out_key[CURSOR_KEY_MAX],
                 size_t *out_size, struct refusal *why, struct error *err)
{
    uint8_t bytes[1 + CURSOR_KEY_MAX];
    size_t digits = text == NULL ? 0 : strnlen(text, CURSOR_SIZE);

    if (digits == 0) {
        *out_size = 0;
        return 0;
    }
    if (digits >= CURSOR_SIZE || digits % 2 != 0 || digits < 4 ||
        hex_decode(span_of(text, digits), bytes) < 0 || bytes[0] != (uint8_t)list)
        return refuse_cursor(why, err);
    *out_size = digits / 2 - 1;
    memcpy(out_key, bytes + 1, *out_size);
    return 0;
}

int page_limit(const struct page_request *request, uint32_t *out_limit, struct refusal *why,
               struct error *err)
{
    uint32_t limit = request == NULL || request->limit == 0 ? PAGE_LIMIT_DEFAULT : request->limit;

    if (limit > PAGE_LIMIT_MAX)
        return refusal_at(why, "/limit", error_set(err, -EINVAL, "limit is at most 500"));
    *out_limit = limit;
    return 0;
}

/* The limit, and the key of the cursor. */
static int read_request(enum cursor_list list, const struct page_request *request,
                        uint32_t *out_limit, uint8_t out_key[CURSOR_KEY_MAX], size_t *out_size,
                        struct refusal *why, struct error *err)
{
    int r = page_limit(request, out_limit, why, err);

    return r < 0 ? r
                 : cursor_parse(list, request != NULL ? request->cursor : NULL, out_key, out_size,
                                why, err);
}

int page_start(enum cursor_list list, const struct page_request *request, uint32_t *out_limit,
               char name[CURSOR_KEY_MAX + 1], const char **out_after, struct refusal *why,
               struct error *err)
{
    uint8_t key[CURSOR_KEY_MAX];
    size_t size;
    int r = read_request(list, request, out_limit, key, &size, why, err);

    if (r < 0)
        return r;
    memcpy(name, key, size);
    name[size] = '\0';
    *out_after = size > 0 ? name : NULL;
    return 0;
}

int page_start_behind(enum cursor_list list, const struct page_request *request,
                      uint32_t *out_limit, int64_t *out_numbers, size_t count, struct refusal *why,
                      struct error *err)
{
    uint8_t key[CURSOR_KEY_MAX];
    size_t size;
    int r = read_request(list, request, out_limit, key, &size, why, err);

    if (r < 0)
        return r;
    if (size != 0 && size != count * sizeof(*out_numbers))
        return refuse_cursor(why, err);
    for (size_t i = 0; i < count; i++)
        out_numbers[i] = size == 0 ? 0 : (int64_t)bytes_u64(key + i * sizeof(*out_numbers));
    return 0;
}

void page_end_at(enum cursor_list list, const int64_t *numbers, size_t count, char out[CURSOR_SIZE])
{
    uint8_t key[PAGE_NUMBERS_MAX * sizeof(*numbers)];

    if (count > PAGE_NUMBERS_MAX)
        abort();
    for (size_t i = 0; i < count; i++)
        bytes_set_u64(key + i * sizeof(*numbers), (uint64_t)numbers[i]);
    cursor_format(list, span_of(key, count * sizeof(*numbers)), out);
}
