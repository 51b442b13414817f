/* SPDX-License-Identifier: MIT */
#include "server/security/access.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* How what a route names lies to a token's scope. */
enum place { PLACE_INSIDE, PLACE_AROUND, PLACE_OUTSIDE };

static enum place place_of(const struct access_token *token, const char *project, const char *app)
{
    if (token->project == NULL)
        return PLACE_INSIDE;
    if (project == NULL)
        return PLACE_AROUND;
    if (strcmp(token->project, project) != 0)
        return PLACE_OUTSIDE;
    if (token->app == NULL)
        return PLACE_INSIDE;
    if (app == NULL)
        return PLACE_AROUND;
    return strcmp(token->app, app) == 0 ? PLACE_INSIDE : PLACE_OUTSIDE;
}

enum access_answer access_decide(const struct access_token *token, int64_t now_s,
                                 const struct access_need *need, const char *project,
                                 const char *app)
{
    enum place place;

    if (need->permissions == 0)
        return ACCESS_OK;
    if (token == NULL)
        return ACCESS_UNKNOWN;
    if (token->revoked)
        return ACCESS_REVOKED;
    if (token->expires_at_s != 0 && now_s >= token->expires_at_s)
        return ACCESS_EXPIRED;
    place = place_of(token, project, app);
    if (place == PLACE_OUTSIDE)
        return ACCESS_HIDDEN;
    if (place == PLACE_AROUND && need->reach == ACCESS_WHOLE)
        return ACCESS_FORBIDDEN;
    if ((token->permissions & ACCESS_ADMIN) != 0)
        return ACCESS_OK;
    return (need->permissions & ~token->permissions) == 0 ? ACCESS_OK : ACCESS_FORBIDDEN;
}

static const struct {
    enum access_permission bit;
    const char *name;
} permission_names[] = {
    { ACCESS_PULL, "pull" },
    { ACCESS_PUSH, "push" },
    { ACCESS_PROMOTE, "promote" },
    { ACCESS_ADMIN, "admin" },
};
#define PERMISSION_COUNT (sizeof(permission_names) / sizeof(permission_names[0]))

static uint32_t permission_bit(struct span word)
{
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if (span_equal_text(word, permission_names[i].name))
            return permission_names[i].bit;
    }
    return 0;
}

int access_permissions_parse(const char *text, uint32_t *out, struct error *err)
{
    struct span rest = span_text(text);
    struct span word;
    uint32_t permissions = 0;
    uint32_t bit;

    do {
        if (!span_cut(&rest, ',', &word))
            break;
        bit = permission_bit(word);
        if (bit == 0)
            return error_set(err, -EINVAL,
                             "unknown permission \"%.*s\": pull, push, promote, admin are known",
                             (int)(word.size > 40 ? 40 : word.size), (const char *)word.bytes);
        if ((permissions & bit) != 0)
            return error_set(err, -EINVAL, "permission given twice");
        permissions |= bit;
    } while (rest.size > 0);
    if (permissions == 0 || (text[0] != '\0' && text[strlen(text) - 1] == ','))
        return error_set(err, -EINVAL, "an empty permission: pull, push, promote, admin are known");
    *out = permissions;
    return 0;
}

void access_permissions_format(uint32_t permissions, struct buf *out)
{
    const char *name;

    for (unsigned i = 0; (name = access_permission_name(permissions, i)) != NULL; i++) {
        if (i > 0)
            buf_add_byte(out, ',');
        buf_add_text(out, name);
    }
}

const char *access_permission_name(uint32_t permissions, unsigned index)
{
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if ((permissions & permission_names[i].bit) == 0)
            continue;
        if (index-- == 0)
            return permission_names[i].name;
    }
    return NULL;
}
