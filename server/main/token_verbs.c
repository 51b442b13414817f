/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/settings.h"
#include "server/main/app.h"
#include "server/main/output.h"
#include "server/main/verbs.h"
#include "server/security/access.h"
#include "server/service/services.h"
#include "server/service/tokens.h"

#define OUTPUT_MAX ((size_t)256 << 20)
#define EXPIRES_MAX_MS ((uint64_t)100 * 365 * 86400 * 1000)

static int usage(int result)
{
    return result == -EINVAL ? VERB_USAGE : result;
}

static int read_request(const struct options *options, struct token_request *out, struct error *err)
{
    const char *allow = options_get(options, "allow"), *expires = options_get(options, "expires");
    uint64_t life_ms = 0;
    int r;

    out->name = options_get(options, "name");
    out->project = options_get(options, "project");
    out->app = options_get(options, "app");
    if (out->name == NULL)
        return error_set(err, -EINVAL, "token create needs --name NAME");
    if (out->app != NULL && out->project == NULL)
        return error_set(err, -EINVAL, "--app needs --project");
    r = access_permissions_parse(allow != NULL ? allow : "pull", &out->permissions, err);
    if (r < 0)
        return error_prefix(err, r, "--allow");
    if (expires == NULL)
        return 0;
    r = number_parse_duration(span_text(expires), EXPIRES_MAX_MS, &life_ms, err);
    if (r < 0)
        return error_prefix(err, r, "--expires");
    if (life_ms < 1000)
        return error_set(err, -EINVAL, "--expires: at least 1s");
    out->expires_at_s = clock_now_s() + (int64_t)(life_ms / 1000);
    return 0;
}

static void add_member_time(struct json_writer *writer, const char *name, int64_t time_s)
{
    if (time_s != 0)
        json_time(writer, name, time_s);
}

static const char *state_of(const struct token_info *info)
{
    if (info->revoked_at_s != 0)
        return "revoked";
    if (info->identity.expires_at_s != 0 && info->identity.expires_at_s <= clock_now_s())
        return "expired";
    return "valid";
}

static void json_token(struct json_writer *writer, const struct token_info *info, const char *text)
{
    const struct identity *identity = &info->identity;
    const char *permission;

    json_begin_object(writer, NULL);
    json_text(writer, "token", text);
    json_text(writer, "id", identity->id);
    json_text(writer, "name", identity->name);
    if (identity->project[0] != '\0')
        json_text(writer, "project", identity->project);
    if (identity->app[0] != '\0')
        json_text(writer, "app", identity->app);
    json_begin_array(writer, "allow");
    for (unsigned i = 0; (permission = access_permission_name(identity->permissions, i)) != NULL;
         i++)
        json_text(writer, NULL, permission);
    json_end(writer);
    json_text(writer, "state", state_of(info));
    add_member_time(writer, "created_at", info->created_at_s);
    add_member_time(writer, "expires_at", identity->expires_at_s);
    add_member_time(writer, "last_used_at", info->last_used_at_s);
    add_member_time(writer, "revoked_at", info->revoked_at_s);
    json_end(writer);
}

int verb_token_create(const struct options *options, struct settings *settings, struct error *err)
{
    cleanup(app_close) struct app app = { 0 };
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    struct token_request request = { 0 };
    struct token_info info = { 0 };
    char text[TOKEN_SECRET_TEXT_SIZE];
    int r = read_request(options, &request, err);

    if (r < 0)
        return usage(r);
    r = app_open(settings, APP_MAKE, &app, err);
    if (r < 0)
        return r;
    r = tokens_create(app.services, NULL, &request, text, &info, NULL, err);
    if (r < 0)
        return usage(r);
    if (options_has(options, "json"))
        json_token(&writer, &info, text);
    else
        buf_add_text(&out, text);
    buf_add_byte(&out, '\n');
    memory_wipe(text, sizeof(text));
    r = output_write(&out, err);
    if (out.bytes != NULL)
        memory_wipe(out.bytes, out.size);
    return r;
}

static void add_time(struct buf *out, int64_t time_s, const char *none)
{
    char text[CLOCK_TEXT_SIZE];

    if (time_s == 0 || clock_format(time_s, text, NULL) < 0)
        buf_format(out, "  %-20s", none);
    else
        buf_format(out, "  %-20s", text);
}

static void add_line(struct buf *out, const struct token_info *info)
{
    const struct identity *identity = &info->identity;
    cleanup(buf_release) struct buf allow = buf_init(256);
    cleanup(buf_release) struct buf scope = buf_init(256);

    access_permissions_format(identity->permissions, &allow);
    buf_format(&scope, "%s%s%s", identity->project[0] != '\0' ? identity->project : "(all)",
               identity->app[0] != '\0' ? "/" : "", identity->app);
    buf_format(out, "%-12s  %-7s  %-24s  %-24s", identity->id, state_of(info), buf_text(&scope),
               buf_text(&allow));
    add_time(out, identity->expires_at_s, "never");
    add_time(out, info->last_used_at_s, "never");
    buf_format(out, "  %s\n", identity->name);
}

int verb_token_list(const struct options *options, struct settings *settings, struct error *err)
{
    cleanup(app_close) struct app app = { 0 };
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    cleanup_memory struct token_info *items = NULL;
    struct json_writer writer = json_writer_init(&out);
    size_t count = 0;
    int r = app_open(settings, APP_LOOK, &app, err);

    if (r == 0)
        r = tokens_list(app.services, &items, &count, err);
    if (r < 0)
        return r;
    if (options_has(options, "json")) {
        json_begin_object(&writer, NULL);
        json_begin_array(&writer, "items");
        for (size_t i = 0; i < count; i++)
            json_token(&writer, &items[i], NULL);
        json_end(&writer);
        json_end(&writer);
        buf_add_byte(&out, '\n');
    } else {
        buf_format(&out, "%-12s  %-7s  %-24s  %-24s  %-20s  %-20s  %s\n", "ID", "STATE", "SCOPE",
                   "ALLOW", "EXPIRES", "LAST USED", "NAME");
        for (size_t i = 0; i < count; i++)
            add_line(&out, &items[i]);
    }
    return output_write(&out, err);
}

int verb_token_revoke(const struct options *options, struct settings *settings, struct error *err)
{
    const char *id = options_operand(options, 0);
    cleanup(app_close) struct app app = { 0 };
    int r = app_open(settings, APP_LOOK, &app, err);

    if (r == 0)
        r = tokens_revoke(app.services, NULL, id, err);
    return r;
}
