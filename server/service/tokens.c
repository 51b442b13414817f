/* SPDX-License-Identifier: MIT */
#include "server/service/tokens.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/yaml.h"
#include "server/db/tokens.h"
#include "server/service/context.h"
#include "server/service/refusal.h"
#include "server/service/services.h"

static int check_request(const struct token_request *request, int64_t now_s, struct refusal *why,
                         struct error *err)
{
    size_t name_size = request->name == NULL ? 0 : strlen(request->name);

    if (name_size < 1 || name_size >= sizeof(((struct token *)NULL)->name) ||
        !yaml_text_is_plain(span_of(request->name, name_size)))
        return refusal_at(why, "/name",
                          error_set(err, -EINVAL, "a token's name is 1 to 64 bytes of plain text"));
    if (request->app != NULL && request->project == NULL)
        return refusal_at(why, "/project", error_set(err, -EINVAL, "an app needs its project"));
    if (request->project != NULL && name_check(NAME_PROJECT, span_text(request->project), err) < 0)
        return refusal_at(why, "/project", -EINVAL);
    if (request->app != NULL && name_check(NAME_APP, span_text(request->app), err) < 0)
        return refusal_at(why, "/app", -EINVAL);
    if (request->permissions == 0 || (request->permissions & ~(uint32_t)ACCESS_ALL) != 0)
        return refusal_at(why, "/allow",
                          error_set(err, -EINVAL, "at least one of pull, push, promote, admin"));
    if (request->expires_at_s != 0 && request->expires_at_s <= now_s)
        return refusal_at(why, "/expires", error_set(err, -EINVAL, "the expiry is in the past"));
    return 0;
}

static void info_of(const struct token *token, struct token_info *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->identity.id, token->id, sizeof(out->identity.id));
    memcpy(out->identity.name, token->name, sizeof(out->identity.name));
    memcpy(out->identity.project, token->project, sizeof(out->identity.project));
    memcpy(out->identity.app, token->app, sizeof(out->identity.app));
    out->identity.permissions = token->permissions;
    out->identity.expires_at_s = token->expires_at_s;
    out->created_at_s = token->created_at_s;
    out->last_used_at_s = token->last_used_s;
    out->revoked_at_s = token->revoked_at_s;
}

static void copy_text(char *out, const char *text)
{
    if (text != NULL)
        memcpy(out, text, strlen(text) + 1);
}

int tokens_create(struct services *services, const struct caller *caller,
                  const struct token_request *request, char out_text[TOKEN_SECRET_TEXT_SIZE],
                  struct token_info *out_info, struct refusal *why, struct error *err)
{
    cleanup(token_secret_wipe) struct token_secret secret = { 0 };
    const struct actor by = caller_actor(caller);
    struct token token = { 0 };
    int r = check_request(request, services_now(services), why, err);

    if (r < 0)
        return r;
    copy_text(token.name, request->name);
    copy_text(token.project, request->project);
    copy_text(token.app, request->app);
    token.permissions = request->permissions;
    token.expires_at_s = request->expires_at_s;
    r = token_secret_make(&secret, err);
    if (r == 0)
        r = token_secret_hash(&secret, token.hash, err);
    if (r < 0)
        return r;
    memcpy(token.id, secret.id, sizeof(token.id));
    r = token_create(services->database, &token, &by, err);
    if (r == 0)
        r = token_get(services->database, token.id, &token, err);
    if (r < 0)
        return r;
    event_written(services);
    token_secret_format(&secret, out_text);
    info_of(&token, out_info);
    return 0;
}

int tokens_list(struct services *services, struct token_info **out_items, size_t *out_count,
                struct error *err)
{
    cleanup_memory struct token *tokens = NULL;
    cleanup_memory struct token_info *items = NULL;
    size_t count;
    int r = token_list(services->database, &tokens, &count, err);

    if (r < 0)
        return r;
    items = memory_array(count, sizeof(*items));
    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        info_of(&tokens[i], &items[i]);
    *out_items = take_pointer(&items);
    *out_count = count;
    return 0;
}

int tokens_revoke(struct services *services, const struct caller *caller, const char *id,
                  struct error *err)
{
    const struct actor by = caller_actor(caller);
    int r = token_revoke(services->database, id, &by, err);

    if (r == -ENOENT)
        return error_set(err, r, "no token with this id");
    if (r == 0)
        event_written(services);
    return r;
}
