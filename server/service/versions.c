/* SPDX-License-Identifier: MIT */
#include "server/service/versions.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/versions.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"
#include "server/service/version_info.h"
#include "server/service/version_record.h"

void version_info_release(struct version_info *info)
{
    record_release(&info->record);
    memset(info, 0, sizeof(*info));
}

void version_page_release(struct version_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        version_info_release(&page->items[i]);
    memory_free(page->items);
    memset(page, 0, sizeof(*page));
}

int version_info_of(const struct version *version, struct version_info *out, struct error *err)
{
    struct version_info info = { .id = version->id,
                                 .pinned = version->pinned,
                                 .trashed = version->state != VERSION_READY };
    int r;

    record_init(&info.record);
    r = version_record_of(version, &info.record, err);
    if (r < 0) {
        record_release(&info.record);
        return error_prefix(err, r == -ENOMEM ? r : -EIO, "version row");
    }
    *out = info;
    return 0;
}

int versions_get(struct services *services, const struct identity *identity, const char *project,
                 const char *app, const char *reference, struct version_info *out,
                 struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = version_resolve(services, project, app, reference, &version, why, err);
    if (r == 0)
        r = version_info_of(&version, out, err);
    return r;
}

/* created_at and id of the last version of the page before. */
static int list_start(const struct page_request *request, int64_t *out_before_s,
                      int64_t *out_before_id, struct refusal *why, struct error *err)
{
    uint8_t key[CURSOR_KEY_MAX];
    size_t size;
    int r = cursor_parse(CURSOR_VERSIONS, request != NULL ? request->cursor : NULL, key, &size, why,
                         err);

    if (r < 0)
        return r;
    if (size != 0 && size != 16)
        return refusal_at(why, "/cursor", error_set(err, -EINVAL, "not a cursor of this list"));
    *out_before_s = size == 0 ? 0 : (int64_t)bytes_u64(key);
    *out_before_id = size == 0 ? 0 : (int64_t)bytes_u64(key + 8);
    return 0;
}

static int fill_page(const struct version *rows, size_t count, struct version_page *out,
                     struct error *err)
{
    cleanup(version_page_release) struct version_page page = { 0 };
    int r;

    page.items = memory_array(count, sizeof(*page.items));
    if (page.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        r = version_info_of(&rows[i], &page.items[i], err);
        if (r < 0)
            return r;
        page.count++;
    }
    *out = page;
    memset(&page, 0, sizeof(page));
    return 0;
}

int versions_list(struct services *services, const struct identity *identity, const char *project,
                  const char *app, const struct page_request *request, struct version_page *out,
                  struct refusal *why, struct error *err)
{
    struct version *rows = NULL;
    int64_t before_s, before_id;
    uint8_t key[16];
    uint32_t limit;
    size_t count = 0;
    bool more;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = page_limit(request, &limit, why, err);
    if (r == 0)
        r = list_start(request, &before_s, &before_id, why, err);
    if (r < 0)
        return r;
    r = version_list(services->database, project, app, before_s, before_id, limit + 1, &rows,
                     &count, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such app"));
    if (r < 0)
        return r;
    more = count > limit;
    r = fill_page(rows, more ? limit : count, out, err);
    if (r == 0 && more) {
        bytes_set_u64(key, (uint64_t)rows[limit - 1].created_at_s);
        bytes_set_u64(key + 8, (uint64_t)rows[limit - 1].id);
        cursor_format(CURSOR_VERSIONS, span_of(key, sizeof(key)), out->next_cursor);
    }
    version_list_free(rows, count);
    return r;
}
