/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/apps.h"
#include "server/db/channels.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/projects.h"
#include "server/service/refusal.h"
#include "server/service/retain.h"

static void info_of(const struct app *app, struct app_info *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->project, app->project, sizeof(out->project));
    memcpy(out->app, app->name, sizeof(out->app));
    out->created_at_s = app->created_at_s;
    out->version_count = app->version_count;
    out->retain_versions = app->retain_versions;
    memcpy(out->latest, app->latest, sizeof(out->latest));
    memcpy(out->live, app->live, sizeof(out->live));
}

int apps_list(struct services *services, const struct identity *identity, const char *project,
              const struct page_request *request, struct app_page *out, struct refusal *why,
              struct error *err)
{
    cleanup_memory struct app *rows = NULL;
    struct app_page page = { 0 };
    char name[CURSOR_KEY_MAX + 1];
    const char *only = identity->app[0] != '\0' ? identity->app : NULL;
    const char *after;
    uint32_t limit;
    size_t count;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_VISIBLE, project, NULL, why, err);

    if (r == 0)
        r = page_start(CURSOR_APPS, request, &limit, name, &after, why, err);
    if (r < 0)
        return r;
    r = app_list(services->database, project, only, after, limit + 1, &rows, &count, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such project"));
    if (r < 0)
        return r;
    page.count = count > limit ? limit : count;
    page.items = memory_array(page.count, sizeof(*page.items));
    if (page.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < page.count; i++)
        info_of(&rows[i], &page.items[i]);
    if (count > limit)
        cursor_format(CURSOR_APPS, span_text(rows[limit - 1].name), page.next_cursor);
    *out = page;
    return 0;
}

int apps_get(struct services *services, const struct identity *identity, const char *project,
             const char *app, struct app_info *out, struct refusal *why, struct error *err)
{
    struct channel *channels = NULL;
    size_t channel_count = 0;
    struct app row;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r < 0)
        return r;
    r = app_get(services->database, project, app, &row, err);
    if (r == 0)
        r = channel_list(services->database, project, app, &channels, &channel_count, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such app"));
    if (r < 0)
        return r;
    info_of(&row, out);
    out->has_channels = true;
    out->channels = channels;
    out->channel_count = channel_count;
    return 0;
}

void app_info_release(struct app_info *info)
{
    memory_free(info->channels);
    memset(info, 0, sizeof(*info));
}

int apps_put(struct services *services, const struct caller *caller, const char *project,
             const char *app, const int64_t *retain, struct app_info *out, struct refusal *why,
             struct error *err)
{
    const struct actor by = caller_actor(caller);
    struct app row;
    bool created = false;
    int r = access_check(services, &caller->identity, ACCESS_ADMIN, ACCESS_WHOLE, project, app, why,
                         err);

    if (r < 0)
        return r;
    r = name_check(NAME_PROJECT, span_text(project), err);
    if (r == 0)
        r = name_check(NAME_APP, span_text(app), err);
    if (r < 0)
        return refusal_at(why, "", r);
    r = retain_check(retain, why, err);
    if (r == 0)
        r = app_put(services->database, project, app, &by, &row, &created, err);
    if (r == 0 && created)
        event_written(services);
    if (r == 0 && retain != NULL)
        r = retain_put(services, caller, project, app, *retain, err);
    if (r == 0 && retain != NULL)
        r = app_get(services->database, project, app, &row, err);
    if (r < 0)
        return r;
    info_of(&row, out);
    return created ? 1 : 0;
}

void app_page_release(struct app_page *page)
{
    memory_free(page->items);
    memset(page, 0, sizeof(*page));
}
