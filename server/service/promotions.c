/* SPDX-License-Identifier: MIT */
#include "server/service/promotions.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/codec/yaml.h"
#include "common/model/version_ref.h"
#include "server/service/context.h"
#include "server/service/cursor.h"
#include "server/service/refusal.h"
#include "server/service/versions.h"

static int check_channel(const char *channel, const char *pointer, struct refusal *why,
                         struct error *err)
{
    int r = name_check(NAME_CHANNEL, span_text(channel), err);

    return r < 0 ? refusal_at(why, pointer, r) : 0;
}

static int check_texts(const struct promotion_request *request, struct refusal *why,
                       struct error *err)
{
    int r = request->channel == NULL ? 0 : check_channel(request->channel, "/channel", why, err);

    if (r == 0 && request->expect != NULL && request->expect[0] != '\0') {
        r = name_check(NAME_VERSION, span_text(request->expect), err);
        if (r < 0)
            return refusal_at(why, "/expect", r);
    }
    if (r == 0 && request->note != NULL &&
        (strlen(request->note) > NOTE_MAX_SIZE || !yaml_text_is_plain(span_text(request->note))))
        return refusal_at(why, "/note",
                          error_set(err, -EINVAL, "a note is at most %d bytes of plain text",
                                    NOTE_MAX_SIZE));
    return r;
}

/* What is to stand there: a name, or what stands on another channel. */
static int take_version(const char *text, const char *pointer, struct version_ref *ref,
                        struct promotion *promotion, struct refusal *why, struct error *err)
{
    int r = version_ref_parse_version(span_text(text), ref, err);

    if (r == 0 && ref->kind == VERSION_REF_LATEST)
        r = error_set(err, -EINVAL,
                      "latest is what stands on live, or the newest: name the version itself");
    if (r < 0)
        return refusal_at(why, pointer, r);
    if (ref->kind == VERSION_REF_CHANNEL)
        promotion->from_channel = ref->channel;
    else
        promotion->version = ref->version;
    return 0;
}

static int answer(const struct promotion_request *request, const struct promotion_result *result,
                  struct channel *out, struct refusal *why, struct error *err)
{
    const struct channel *channel = &result->channel;

    switch (result->answer) {
    case PROMOTION_UNEXPECTED:
        if (why != NULL) {
            why->name_count = 1;
            memcpy(why->names, channel->version, sizeof(channel->version));
        }
        if (channel->version[0] == '\0')
            error_set(err, -EEXIST, "nothing is on channel %s yet", channel->name);
        else
            error_set(err, -EEXIST, "channel %s is at %s", channel->name, channel->version);
        return refusal_set(why, REFUSAL_PRECONDITION, -EEXIST);
    case PROMOTION_NO_PREVIOUS:
        return refusal_set(why, REFUSAL_NO_PREVIOUS,
                           error_set(err, -EBUSY, "nothing stood on channel %s before",
                                     channel->name));
    case PROMOTION_TOO_MANY:
        return refusal_at(why, "/channel",
                          error_set(err, -EINVAL, "an app has at most %d channels", CHANNELS_MAX));
    case PROMOTION_DONE:
    case PROMOTION_CURRENT:
    default:
        *out = *channel;
        return result->answer == PROMOTION_DONE ? 1 : 0;
    }
}

typedef int mover(struct database *database, const struct promotion *promotion,
                  struct promotion_result *out, struct error *err);

static int move(struct services *services, const struct caller *caller,
                const struct promotion_request *request, mover *function, const char *pointer,
                struct channel *out, struct refusal *why, struct error *err)
{
    struct promotion promotion = { .project = request->project,
                                   .app = request->app,
                                   .channel = request->channel == NULL ? CHANNEL_DEFAULT
                                                                       : request->channel,
                                   .expect = request->expect,
                                   .note = request->note,
                                   .by = caller_actor(caller) };
    struct promotion_result result;
    struct version_ref ref = { 0 };
    int r = access_check(services, &caller->identity, ACCESS_PROMOTE, ACCESS_WHOLE,
                         request->project, request->app, why, err);

    if (r == 0 && request->version != NULL)
        r = take_version(request->version, pointer, &ref, &promotion, why, err);
    if (r == 0)
        r = check_texts(request, why, err);
    if (r < 0)
        return r;
    r = function(services->database, &promotion, &result, err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, r);
    if (r == -ESTALE)
        return refusal_set(why, REFUSAL_PURGED,
                           error_set(err, r, "this version was removed for ever"));
    if (r < 0)
        return r;
    if (result.answer == PROMOTION_DONE)
        event_written(services);
    return answer(request, &result, out, why, err);
}

int promotions_promote(struct services *services, const struct caller *caller,
                       const struct promotion_request *request, struct channel *out,
                       struct refusal *why, struct error *err)
{
    if (request->version == NULL)
        return refusal_at(why, "/version", error_set(err, -EINVAL, "which version is missing"));
    return move(services, caller, request, channel_promote, "/version", out, why, err);
}

int promotions_rollback(struct services *services, const struct caller *caller,
                        const struct promotion_request *request, struct channel *out,
                        struct refusal *why, struct error *err)
{
    return move(services, caller, request, channel_rollback, "/to", out, why, err);
}

void promotion_page_release(struct promotion_page *page)
{
    promotion_list_free(page->items, page->count);
    memset(page, 0, sizeof(*page));
}

int promotions_list(struct services *services, const struct identity *identity, const char *project,
                    const char *app, const char *channel, const struct page_request *request,
                    struct promotion_page *out, struct refusal *why, struct error *err)
{
    struct promotion_entry *items = NULL;
    uint32_t limit;
    int64_t before;
    size_t count;
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0 && channel != NULL)
        r = check_channel(channel, "", why, err);
    if (r == 0)
        r = page_start_behind(CURSOR_PROMOTIONS, request, &limit, &before, 1, why, err);
    if (r < 0)
        return r;
    r = promotion_list(services->database, project, app, channel, before, limit + 1, &items, &count,
                       err);
    if (r == -ENOENT)
        return refusal_set(why, REFUSAL_NOT_FOUND, error_set(err, r, "no such app"));
    if (r < 0)
        return r;
    memset(out, 0, sizeof(*out));
    out->items = items;
    out->count = count;
    if (count > limit) {
        promotion_entry_release(&items[--out->count]);
        page_end_at(CURSOR_PROMOTIONS, &items[limit - 1].id, 1, out->next_cursor);
    }
    return 0;
}
