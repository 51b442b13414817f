/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/version_copy.h"
#include "server/security/access.h"
#include "server/service/context.h"
#include "server/service/push_door.h"
#include "server/service/record_store.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"
#include "server/service/version_info.h"
#include "server/service/versions.h"

static int check_names(const struct version_copy_request *request, struct refusal *why,
                       struct error *err)
{
    const struct {
        const char *text, *pointer;
        enum name_kind kind;
    } names[] = {
        { request->project, "/project", NAME_PROJECT },
        { request->app, "/app", NAME_APP },
        { request->version, "/version", NAME_VERSION },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].text == NULL && names[i].kind != NAME_VERSION)
            return refusal_at(why, names[i].pointer,
                              error_set(err, -EINVAL, "%s has to be said", names[i].pointer + 1));
        if (names[i].text != NULL && name_check(names[i].kind, span_text(names[i].text), err) < 0)
            return refusal_at(why, names[i].pointer, -EINVAL);
    }
    return 0;
}

static int answer(struct services *services, const struct push_result *result, bool *out_created,
                  struct version_info *out, struct refusal *why, struct error *err)
{
    const struct version *version = &result->version;

    if (result->answer == PUSH_ANSWER_CONFLICT)
        return push_refuse_conflict(&result->existing, why, err);
    event_written(services);
    version_fact_forget(services, version->project, version->app, version->name);
    /* It stands, whatever becomes of this; record_store.h says who writes it otherwise. */
    record_store_ensure(services, version, NULL);
    *out_created = result->answer == PUSH_ANSWER_CREATED;
    return version_info_of(version, out, err);
}

int versions_copy(struct services *services, const struct caller *caller, const char *project,
                  const char *app, const char *reference,
                  const struct version_copy_request *request, bool *out_created,
                  struct version_info *out, struct refusal *why, struct error *err)
{
    cleanup(push_result_release) struct push_result result = { .push = push_empty(),
                                                               .version = version_empty() };
    cleanup(version_release) struct version from = version_empty();
    struct version_copy copy = { .project = request->project,
                                 .app = request->app,
                                 .by = caller_actor(caller) };
    int r = access_check(services, &caller->identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why,
                         err);

    if (r == 0)
        r = check_names(request, why, err);
    if (r == 0) {
        r = access_check(services, &caller->identity, ACCESS_PUSH, ACCESS_WHOLE, request->project,
                         request->app, why, err);
        if (r < 0)
            r = error_prefix(err, r, "to %s/%s", request->project, request->app);
    }
    if (r == 0)
        r = version_resolve(services, &caller->identity, project, app, reference, &from, why, err);
    if (r < 0)
        return r;
    copy.from_id = from.id;
    copy.version = request->version != NULL ? request->version : from.name;
    r = version_copy(services->database, &copy, &result, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, r);
    if (r == -EIO)
        return refusal_set(why, REFUSAL_STORAGE, r);
    return r < 0 ? r : answer(services, &result, out_created, out, why, err);
}
