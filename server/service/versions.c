/* SPDX-License-Identifier: MIT */
#include "server/service/versions.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/channels.h"
#include "server/db/versions.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/policy.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"
#include "server/service/version_info.h"
#include "server/service/version_record.h"

void version_info_release(struct version_info *info)
{
    record_release(&info->record);
    memory_free(info->note);
    memory_free(info->trashed_by);
    memory_free(info->trash_reason);
    memory_free(info->channels);
    memset(info, 0, sizeof(*info));
}

void version_page_release(struct version_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        version_info_release(&page->items[i]);
    memory_free(page->items);
    memset(page, 0, sizeof(*page));
}

static int copy_text(const char *text, char **out, struct error *err)
{
    if (text == NULL)
        return 0;
    *out = memory_text(text);
    return *out == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int version_info_of(const struct version *version, struct version_info *out, struct error *err)
{
    struct version_info info = { .id = version->id,
                                 .pinned = version->pinned,
                                 .trashed = version->state != VERSION_READY,
                                 .trashed_at_s = version->trashed_at_s };
    int r;

    record_init(&info.record);
    r = version_record_of(version, &info.record, err);
    if (r == 0)
        r = copy_text(version->note, &info.note, err);
    if (r == 0)
        r = copy_text(version->trashed_by, &info.trashed_by, err);
    if (r == 0)
        r = copy_text(version->trash_reason, &info.trash_reason, err);
    if (r < 0) {
        version_info_release(&info);
        return error_prefix(err, r == -ENOMEM ? r : -EIO, "version row");
    }
    *out = info;
    return 0;
}

static int trash_age(struct services *services, int64_t *out_s, struct error *err)
{
    struct policy policy;
    int r = policy_get(services, &policy, err);

    if (r == 0)
        *out_s = policy.trash_age_s;
    return r;
}

int version_info_whole(struct services *services, const struct version *version,
                       struct version_info *out, struct error *err)
{
    cleanup(version_info_release) struct version_info info = { 0 };
    int64_t life_s = 0;
    int r = version_info_of(version, &info, err);

    if (r == 0)
        r = channel_list_of(services->database, version->id, &info.channels, &info.channel_count,
                            err);
    if (r == 0 && info.trashed)
        r = trash_age(services, &life_s, err);
    if (r < 0)
        return r;
    info.purge_at_s = info.trashed ? info.trashed_at_s + life_s : 0;
    *out = info;
    memset(&info, 0, sizeof(info));
    return 0;
}

int versions_get(struct services *services, const struct identity *identity, const char *project,
                 const char *app, const char *reference, struct version_info *out,
                 struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = version_resolve(services, identity, project, app, reference, &version, why, err);
    if (r == 0)
        r = version_info_whole(services, &version, out, err);
    return r;
}

static int fill_page(const struct version *rows, size_t count, int64_t life_s,
                     struct version_page *out, struct error *err)
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
        if (page.items[i].trashed)
            page.items[i].purge_at_s = page.items[i].trashed_at_s + life_s;
        page.count++;
    }
    *out = page;
    memset(&page, 0, sizeof(page));
    return 0;
}

static int rows_list(struct services *services, const char *project, const char *app, bool trashed,
                     int64_t before_s, int64_t before_id, size_t limit, struct version **out_rows,
                     size_t *out_count, struct error *err)
{
    if (trashed)
        return version_list_trash(services->database, project, app, before_s, before_id, limit,
                                  out_rows, out_count, err);
    return version_list(services->database, project, app, before_s, before_id, limit, out_rows,
                        out_count, err);
}

/* The time (of making, or of trashing) and the id. */
static void next_cursor(enum cursor_list list, const struct version *last, char out[CURSOR_SIZE])
{
    const int64_t numbers[] = { list == CURSOR_TRASH ? last->trashed_at_s : last->created_at_s,
                                last->id };

    page_end_at(list, numbers, 2, out);
}

int versions_list(struct services *services, const struct identity *identity, const char *project,
                  const char *app, bool trashed, const struct page_request *request,
                  struct version_page *out, struct refusal *why, struct error *err)
{
    const enum cursor_list list = trashed ? CURSOR_TRASH : CURSOR_VERSIONS;
    struct version *rows = NULL;
    int64_t before[2], life_s = 0;
    uint32_t limit;
    size_t count = 0;
    bool more;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = page_start_behind(list, request, &limit, before, 2, why, err);
    if (r == 0 && trashed)
        r = trash_age(services, &life_s, err);
    if (r < 0)
        return r;
    r = rows_list(services, project, app, trashed, before[0], before[1], limit + 1, &rows, &count,
                  err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such app"));
    if (r < 0)
        return r;
    more = count > limit;
    r = fill_page(rows, more ? limit : count, life_s, out, err);
    if (r == 0 && more)
        next_cursor(list, &rows[limit - 1], out->next_cursor);
    version_list_free(rows, count);
    return r;
}
