/* SPDX-License-Identifier: MIT */
#include "server/service/projects.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/projects.h"
#include "server/db/retention.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/policy.h"
#include "server/service/refusal.h"
#include "server/service/retain.h"

static void info_of(const struct project *project, const struct identity *identity,
                    struct project_info *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->project, project->name, sizeof(out->project));
    out->created_at_s = project->created_at_s;
    out->app_count = project->app_count;
    out->retain_versions = project->retain_versions;
    if (identity->app[0] != '\0' && out->app_count > 1)
        out->app_count = 1; /* the others do not exist for it */
}

int projects_list(struct services *services, const struct identity *identity,
                  const struct page_request *request, struct project_page *out, struct refusal *why,
                  struct error *err)
{
    cleanup_memory struct project *rows = NULL;
    struct project_page page = { 0 };
    char name[CURSOR_KEY_MAX + 1];
    const char *only = identity->project[0] != '\0' ? identity->project : NULL;
    const char *after;
    uint32_t limit;
    size_t count;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_VISIBLE, NULL, NULL, why, err);

    if (r == 0)
        r = page_start(CURSOR_PROJECTS, request, &limit, name, &after, why, err);
    if (r == 0)
        r = project_list(services->database, only, after, limit + 1, &rows, &count, err);
    if (r < 0)
        return r;
    page.count = count > limit ? limit : count;
    page.items = memory_array(page.count, sizeof(*page.items));
    if (page.items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < page.count; i++)
        info_of(&rows[i], identity, &page.items[i]);
    if (count > limit)
        cursor_format(CURSOR_PROJECTS, span_text(rows[limit - 1].name), page.next_cursor);
    *out = page;
    return 0;
}

int projects_get(struct services *services, const struct identity *identity, const char *project,
                 struct project_info *out, struct refusal *why, struct error *err)
{
    struct project row;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_VISIBLE, project, NULL, why, err);

    if (r < 0)
        return r;
    r = project_get(services->database, project, &row, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such project"));
    if (r < 0)
        return r;
    info_of(&row, identity, out);
    return 0;
}

int retain_check(const int64_t *retain, struct refusal *why, struct error *err)
{
    if (retain == NULL || *retain == RETENTION_INHERIT ||
        (*retain >= 0 && *retain <= POLICY_RETAIN_MAX))
        return 0;
    return refusal_at(why, "/retain_versions",
                      error_set(err, -EINVAL, "retain_versions is null, or from 0 to %d",
                                POLICY_RETAIN_MAX));
}

int retain_put(struct services *services, const struct caller *caller, const char *project,
               const char *app, int64_t retain, struct error *err)
{
    const struct actor by = caller_actor(caller);
    int r = retention_override(services->database, project, app, retain, &by, err);
    if (r == 0)
        event_written(services);
    return r;
}

int projects_put(struct services *services, const struct caller *caller, const char *project,
                 const int64_t *retain, struct project_info *out, struct refusal *why,
                 struct error *err)
{
    const struct actor by = caller_actor(caller);
    struct project row;
    bool created = false;
    int r = access_check(services, &caller->identity, ACCESS_ADMIN, ACCESS_WHOLE, project, NULL,
                         why, err);

    if (r < 0)
        return r;
    r = name_check(NAME_PROJECT, span_text(project), err);
    if (r < 0)
        return refusal_at(why, "", r);
    r = retain_check(retain, why, err);
    if (r == 0)
        r = project_put(services->database, project, &by, &row, &created, err);
    if (r == 0 && created)
        event_written(services);
    if (r == 0 && retain != NULL)
        r = retain_put(services, caller, project, NULL, *retain, err);
    if (r == 0 && retain != NULL)
        r = project_get(services->database, project, &row, err);
    if (r < 0)
        return r;
    info_of(&row, &caller->identity, out);
    return created ? 1 : 0;
}

void project_page_release(struct project_page *page)
{
    memory_free(page->items);
    memset(page, 0, sizeof(*page));
}
