/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/yaml.h"
#include "server/db/versions.h"
#include "server/service/context.h"
#include "server/service/protected.h"
#include "server/service/refusal.h"
#include "server/service/version_fact.h"
#include "server/service/version_info.h"
#include "server/service/version_record.h"

/* Who may change it, and which one. */
static int enter(struct services *services, const struct caller *caller, const char *project,
                 const char *app, const char *name, struct version *out, struct refusal *why,
                 struct error *err)
{
    int r = access_check(services, &caller->identity, ACCESS_ADMIN, ACCESS_WHOLE, project, app, why,
                         err);

    return r < 0 ? r : version_resolve_exact(services, project, app, name, out, why, err);
}

/* It was purged since it was found; whatever else went wrong says nothing of that. */
static int gone(int r, struct refusal *why, struct error *err)
{
    if (r == -ENOENT || r == -ESTALE)
        return refusal_set(why, REFUSAL_PURGED,
                           error_set(err, -ESTALE, "this version was removed for ever"));
    return r;
}

static int check_wish(const struct version_wish *wish, struct refusal *why, struct error *err)
{
    const char *note = wish->set_note ? wish->note : NULL;

    if (note != NULL && (strlen(note) > NOTE_MAX_SIZE || !yaml_text_is_plain(span_text(note))))
        return refusal_at(why, "/note",
                          error_set(err, -EINVAL, "a note is at most %d bytes of plain text",
                                    NOTE_MAX_SIZE));
    return 0;
}

int versions_change(struct services *services, const struct caller *caller, const char *project,
                    const char *app, const char *name, const struct version_wish *wish,
                    struct version_info *out, struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    cleanup(version_release) struct version changed = version_empty();
    cleanup_memory char *labels = NULL;
    struct version_change change = { .set_pinned = wish->set_pinned,
                                     .pinned = wish->pinned,
                                     .set_labels = wish->set_labels,
                                     .set_note = wish->set_note,
                                     .by = caller_actor(caller) };
    int r = enter(services, caller, project, app, name, &version, why, err);

    if (r == 0 && version.state != VERSION_READY)
        r = refusal_set(why, REFUSAL_NOT_FOUND,
                        error_set(err, -ENOENT, "this version is in the trash"));
    if (r == 0)
        r = check_wish(wish, why, err);
    if (r == 0 && wish->set_labels && wish->labels != NULL)
        r = version_record_labels(wish->labels, &labels, err);
    if (r < 0)
        return r;
    change.labels = labels;
    change.note = wish->note != NULL && wish->note[0] != '\0' ? wish->note : NULL;
    r = gone(version_change(services->database, version.id, &change, &changed, err), why, err);
    if (r < 0)
        return r;
    event_written(services);
    return version_info_whole(services, &changed, out, err);
}

/* As it is after a change of its state. */
static int answer_state(struct services *services, const char *project, const char *app,
                        const char *name, struct version_info *out, struct refusal *why,
                        struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    int r = version_resolve_exact(services, project, app, name, &version, why, err);

    event_written(services);
    return r < 0 ? r : version_info_whole(services, &version, out, err);
}

int versions_delete(struct services *services, const struct caller *caller, const char *project,
                    const char *app, const char *name, bool force, struct version_info *out,
                    struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    const struct actor by = caller_actor(caller);
    struct protection protection;
    int r = enter(services, caller, project, app, name, &version, why, err);

    if (r < 0)
        return r;
    r = version_trash(services->database, version.id, &by, "deleted", force, &protection, err);
    if (r == -EBUSY)
        return refuse_protected(&protection, why, r);
    r = gone(r, why, err);
    return r < 0 ? r : answer_state(services, project, app, name, out, why, err);
}

int versions_restore(struct services *services, const struct caller *caller, const char *project,
                     const char *app, const char *name, struct version_info *out,
                     struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    const struct actor by = caller_actor(caller);
    int r = enter(services, caller, project, app, name, &version, why, err);

    if (r < 0)
        return r;
    r = gone(version_restore(services->database, version.id, &by, err), why, err);
    return r < 0 ? r : answer_state(services, project, app, name, out, why, err);
}
