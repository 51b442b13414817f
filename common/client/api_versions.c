/* SPDX-License-Identifier: MIT */
#include "common/client/api_versions.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define PAGE_SIZE_TEXT "500"
#define VERSION_JSON_MAX (1024 * 1024)

static void json_release(struct json **at)
{
    json_free(*at);
}

int api_bad_answer(int r, struct error *err)
{
    if (r == -ENOMEM)
        return r;
    if (err != NULL)
        err->code = -EBADMSG;
    return error_prefix(err, -EBADMSG, "the server's answer");
}

void api_version_release(struct api_version *version)
{
    record_release(&version->record);
    buf_release(&version->json);
    memset(version, 0, sizeof(*version));
}

static int check_names(const struct record *record, const char *project, const char *app,
                       const char *version, struct error *err)
{
    if (!record->has_content || !record->has_times || !record->has_tree || !record->has_tree_size ||
        !record->has_file_count || !record->has_bytes)
        return error_set(err, -EBADMSG, "the server's answer: a version without all its digests");
    if ((project != NULL && strcmp(record->project, project) != 0) ||
        (app != NULL && strcmp(record->app, app) != 0) ||
        (version != NULL && strcmp(record->version, version) != 0))
        return error_set(err, -EBADMSG, "the server's answer: another version than was asked for");
    return 0;
}

static int read_object(const struct json_value *object, const char *project, const char *app,
                       const char *version, struct api_version *out, struct error *err)
{
    const char *state = NULL;
    int r;

    memset(out, 0, sizeof(*out));
    record_init(&out->record);
    r = record_read_json(object, &out->record, err);
    if (r == 0)
        r = json_member_text(object, "state", &state, err);
    if (r == 0)
        r = json_member_bool(object, "pinned", &out->pinned, err);
    if (r < 0)
        r = api_bad_answer(r, err);
    else
        r = check_names(&out->record, project, app, version, err);
    out->trashed = state != NULL && strcmp(state, "trashed") == 0;
    if (r < 0)
        api_version_release(out);
    return r;
}

int api_version_read_member(struct span text, const char *member, const char *project,
                            const char *app, const char *version, struct api_version *out,
                            struct error *err)
{
    cleanup(json_release) struct json *json = NULL;
    const struct json_value *object;
    struct api_version read;
    int r;

    r = json_parse(text, &json, err);
    if (r < 0)
        return api_bad_answer(r, err);
    object = member == NULL ? json_root(json) : json_member(json_root(json), member);
    r = read_object(object, project, app, version, &read, err);
    if (r < 0)
        return r;
    read.json = buf_init(VERSION_JSON_MAX);
    buf_add_span(&read.json, text);
    r = buf_check(&read.json, err);
    if (r < 0) {
        api_version_release(&read);
        return r;
    }
    *out = read;
    return 0;
}

int api_version_read(struct span text, const char *project, const char *app, const char *version,
                     struct api_version *out, struct error *err)
{
    return api_version_read_member(text, NULL, project, app, version, out, err);
}

/* NULL when the name is one that the server resolves. */
static const char *exact_name(const char *version)
{
    return version[0] == '@' || strcmp(version, "latest") == 0 ? NULL : version;
}

static int get(struct api_client *client, const char *project, const char *app, const char *version,
               bool any, struct api_version *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .accept = "application/json",
                                  .body_maximum = VERSION_JSON_MAX };
    int r;

    api_path_version(&path, project, app, version);
    if (any)
        url_add_query(&path, "trashed", span_text("1"));
    spec.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = api_call_run(client, &spec, &result, err);
    if (r < 0)
        return api_problem_about(&result.problem, r, project, app, version, err);
    return api_version_read(buf_span(&result.body), project, app, exact_name(version), out, err);
}

int api_version_get(struct api_client *client, const char *project, const char *app,
                    const char *version, struct api_version *out, struct error *err)
{
    return get(client, project, app, version, false, out, err);
}

int api_version_get_any(struct api_client *client, const char *project, const char *app,
                        const char *version, struct api_version *out, struct error *err)
{
    return get(client, project, app, version, true, out, err);
}

/* Without waiting ---------------------------------------------------------- */

struct version_wait {
    api_version_done *done;
    void *context;
    char *project, *app, *version;
};

static void version_wait_free(struct version_wait *wait)
{
    memory_free(wait->project);
    memory_free(wait->app);
    memory_free(wait->version);
    memory_free(wait);
}

static void version_answered(void *context, const struct api_answer *answer)
{
    struct version_wait *wait = context;
    struct api_version version = { 0 };
    struct error err = answer->err;
    int r = answer->code;

    if (r < 0)
        api_problem_about(&answer->problem, r, wait->project, wait->app, wait->version, &err);
    if (r == 0)
        r = api_version_read(answer->body, wait->project, wait->app, exact_name(wait->version),
                             &version, &err);
    if (r == 0) {
        wait->done(wait->context, &version, NULL);
        api_version_release(&version);
    } else {
        err.code = r;
        wait->done(wait->context, NULL, &err);
    }
    version_wait_free(wait);
}

int api_version_get_start(struct api_client *client, const char *project, const char *app,
                          const char *version, api_version_done *done, void *context,
                          struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct version_wait *wait = memory_new(sizeof(*wait));
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .accept = "application/json",
                                  .body_maximum = VERSION_JSON_MAX,
                                  .done = version_answered };
    int r = -ENOMEM;

    if (wait == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    wait->done = done;
    wait->context = context;
    wait->project = memory_text(project);
    wait->app = memory_text(app);
    wait->version = memory_text(version);
    api_path_version(&path, project, app, version);
    spec.path = buf_text(&path);
    spec.context = wait;
    if (wait->project == NULL || wait->app == NULL || wait->version == NULL)
        error_set(err, r, "out of memory");
    else
        r = buf_check(&path, err);
    if (r == 0)
        r = api_call_start(client, &spec, NULL, err);
    if (r < 0)
        version_wait_free(wait);
    return r;
}

int api_version_meta(struct api_client *client, const char *project, const char *app,
                     const char *version, http_on_body *on_body, void *context, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET, .on_body = on_body, .context = context };
    int r;

    api_path_version(&path, project, app, version);
    buf_add_text(&path, "/meta.yaml");
    spec.path = buf_text(&path);
    r = buf_check(&path, err);
    return r < 0 ? r : api_call_run(client, &spec, &result, err);
}

/* Lists -------------------------------------------------------------------- */

/* One page's items; *out_cursor is the next page's, NULL at the end (memory_free it). */
static int walk_page(struct span text, api_item_each *each, void *context, char **out_cursor,
                     struct error *err)
{
    cleanup(json_release) struct json *json = NULL;
    const struct json_value *items, *item = NULL;
    const char *cursor = NULL;
    int r;

    r = json_parse(text, &json, err);
    if (r == 0)
        r = json_member_text(json_root(json), "next_cursor", &cursor, err);
    items = r == 0 ? json_member(json_root(json), "items") : NULL;
    if (r == 0 && !json_is_array(items))
        r = error_set(err, -EBADMSG, "no items");
    if (r < 0)
        return api_bad_answer(r, err);
    while ((item = json_next(items, item)) != NULL) {
        r = each(context, item, err);
        if (r != 0)
            return r;
    }
    *out_cursor = NULL;
    if (cursor != NULL && cursor[0] != '\0') {
        *out_cursor = memory_text(cursor);
        if (*out_cursor == NULL)
            return error_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static void page_path(struct buf *out, const char *path, const char *cursor)
{
    buf_clear(out);
    buf_add_text(out, path);
    url_add_query(out, "limit", span_text(PAGE_SIZE_TEXT));
    if (cursor != NULL)
        url_add_query(out, "cursor", span_text(cursor));
}

int api_walk_pages(struct api_client *client, const char *path, api_item_each *each, void *context,
                   struct api_problem *out_problem, struct error *err)
{
    cleanup(buf_release) struct buf page = buf_init(PATH_MAXIMUM);
    cleanup_memory char *cursor = NULL;
    int r;

    do {
        cleanup(api_result_release) struct api_result result = api_result_init();
        struct api_call_spec spec = { .method = HTTP_GET, .accept = "application/json" };
        char *next = NULL;

        page_path(&page, path, cursor);
        spec.path = buf_text(&page);
        r = buf_check(&page, err);
        if (r == 0)
            r = api_call_run(client, &spec, &result, err);
        *out_problem = result.problem;
        if (r == 0)
            r = walk_page(buf_span(&result.body), each, context, &next, err);
        if (r == 0 && next != NULL && cursor != NULL && strcmp(next, cursor) == 0) {
            memory_free(next);
            return error_set(err, -EBADMSG, "the server's answer: a list without an end");
        }
        if (r == 0) {
            memory_free(cursor);
            cursor = next;
        }
    } while (r == 0 && cursor != NULL);
    return r;
}

struct name_walk {
    const char *member;
    enum name_kind kind;
    const char *count;
    api_name_each *each;
    void *context;
};

static int time_member(const struct json_value *item, const char *name, int64_t *out,
                       struct error *err)
{
    const char *text = NULL;
    int r = json_member_text(item, name, &text, err);

    if (r < 0 || text == NULL)
        return r;
    return clock_parse(span_text(text), out, err);
}

static int give_name(void *context, const struct json_value *item, struct error *err)
{
    struct name_walk *walk = context;
    struct api_name name = { 0 };
    int64_t count = 0;
    int r;

    r = json_get_text(json_member(item, walk->member), walk->member, &name.name, err);
    if (r == 0)
        r = name_check(walk->kind, span_text(name.name), err);
    if (r == 0)
        r = time_member(item, "created_at", &name.created_at_s, err);
    if (r == 0)
        r = json_member_integer(item, walk->count, &count, err);
    if (r == 0)
        r = json_member_text(item, "latest", &name.latest, err);
    if (r == 0)
        r = json_member_text(item, "live", &name.live, err);
    if (r < 0)
        return api_bad_answer(r, err);
    name.count = count > 0 ? (uint64_t)count : 0;
    return walk->each(walk->context, &name, err);
}

int api_projects_list(struct api_client *client, api_name_each *each, void *context,
                      struct error *err)
{
    struct name_walk walk = { "project", NAME_PROJECT, "app_count", each, context };
    struct api_problem problem;

    api_problem_clear(&problem);
    return api_walk_pages(client, "/projects", give_name, &walk, &problem, err);
}

int api_apps_list(struct api_client *client, const char *project, api_name_each *each,
                  void *context, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct name_walk walk = { "app", NAME_APP, "version_count", each, context };
    struct api_problem problem;
    int r;

    buf_add_text(&path, "/projects");
    url_add_step(&path, project);
    buf_add_text(&path, "/apps");
    api_problem_clear(&problem);
    r = api_walk_pages(client, buf_text(&path), give_name, &walk, &problem, err);
    return api_problem_about(&problem, r, project, NULL, NULL, err);
}

struct version_walk {
    const char *project, *app;
    api_version_each *each;
    void *context;
};

static int give_version(void *context, const struct json_value *item, struct error *err)
{
    struct version_walk *walk = context;
    struct api_version version;
    int r = read_object(item, walk->project, walk->app, NULL, &version, err);

    if (r < 0)
        return r;
    r = walk->each(walk->context, &version, err);
    api_version_release(&version);
    return r;
}

static int list_state(struct api_client *client, const char *project, const char *app,
                      const char *state, api_version_each *each, void *context, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct version_walk walk = { project, app, each, context };
    struct api_problem problem;
    int r;

    api_path_app(&path, project, app);
    buf_add_text(&path, "/versions");
    if (state != NULL)
        url_add_query(&path, "state", span_text(state));
    api_problem_clear(&problem);
    r = api_walk_pages(client, buf_text(&path), give_version, &walk, &problem, err);
    return api_problem_about(&problem, r, project, app, NULL, err);
}

int api_versions_list(struct api_client *client, const char *project, const char *app,
                      api_version_each *each, void *context, struct error *err)
{
    return list_state(client, project, app, NULL, each, context, err);
}

int api_trash_list(struct api_client *client, const char *project, const char *app,
                   api_version_each *each, void *context, struct error *err)
{
    return list_state(client, project, app, "trashed", each, context, err);
}

/* Names, without waiting ------------------------------------------------------ */

struct names_wait {
    struct api_client *client;
    char *path, *member, *cursor;
    struct api_names names;
    api_names_done *done;
    void *context;
};

static void names_wait_free(struct names_wait *wait)
{
    for (size_t i = 0; i < wait->names.count; i++)
        memory_free(wait->names.names[i]);
    memory_free(wait->names.names);
    memory_free(wait->path);
    memory_free(wait->member);
    memory_free(wait->cursor);
    memory_free(wait);
}

static int keep_name(void *context, const struct json_value *item, struct error *err)
{
    struct names_wait *wait = context;
    const char *text;
    char **names;
    int r = json_get_text(json_member(item, wait->member), wait->member, &text, err);

    if (r == 0)
        r = name_check(strcmp(wait->member, "version") == 0 ? NAME_VERSION : NAME_PROJECT,
                       span_text(text), err);
    if (r < 0)
        return api_bad_answer(r, err);
    names = memory_resize(wait->names.names, wait->names.count + 1, sizeof(*names));
    if (names == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    wait->names.names = names;
    names[wait->names.count] = memory_text(text);
    if (names[wait->names.count] == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    wait->names.count++;
    return 0;
}

static int ask_page(struct names_wait *wait, struct error *err);

static void page_answered(void *context, const struct api_answer *answer)
{
    struct names_wait *wait = context;
    struct error err = answer->err;
    char *next = NULL;
    int r = answer->code;

    if (r == 0)
        r = walk_page(answer->body, keep_name, wait, &next, &err);
    if (r == 0 && next != NULL) {
        memory_free(wait->cursor);
        wait->cursor = next;
        r = ask_page(wait, &err);
        if (r == 0)
            return;
    }
    err.code = r;
    wait->done(wait->context, r == 0 ? &wait->names : NULL, r == 0 ? NULL : &err);
    names_wait_free(wait);
}

static int ask_page(struct names_wait *wait, struct error *err)
{
    cleanup(buf_release) struct buf page = buf_init(PATH_MAXIMUM);
    struct api_call_spec spec = {
        .method = HTTP_GET, .accept = "application/json", .done = page_answered, .context = wait
    };
    int r;

    page_path(&page, wait->path, wait->cursor);
    spec.path = buf_text(&page);
    r = buf_check(&page, err);
    return r < 0 ? r : api_call_start(wait->client, &spec, NULL, err);
}

int api_names_start(struct api_client *client, const char *path, const char *member,
                    api_names_done *done, void *context, struct error *err)
{
    struct names_wait *wait = memory_new(sizeof(*wait));
    int r;

    if (wait == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    wait->client = client;
    wait->path = memory_text(path);
    wait->member = memory_text(member);
    wait->done = done;
    wait->context = context;
    if (wait->path == NULL || wait->member == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    else
        r = ask_page(wait, err);
    if (r < 0)
        names_wait_free(wait);
    return r;
}

/* The server ----------------------------------------------------------------- */

static int copy_member(const struct json_value *object, const char *name, char *out, size_t size,
                       struct error *err)
{
    const char *text;
    int r = json_get_text(json_member(object, name), name, &text, err);

    if (r < 0)
        return r;
    if (strlen(text) >= size)
        return error_set(err, -EBADMSG, "%s is too long", name);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

int api_server_get(struct api_client *client, uint64_t deadline_ms, struct api_server *out,
                   struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    cleanup(json_release) struct json *json = NULL;
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .path = "/version",
                                  .accept = "application/json",
                                  .body_maximum = 64 * 1024,
                                  .deadline_ms = deadline_ms };
    struct api_server server = { .api = 0 };
    int r;

    r = api_call_run(client, &spec, &result, err);
    if (r < 0)
        return r;
    r = json_parse(buf_span(&result.body), &json, err);
    if (r == 0)
        r = copy_member(json_root(json), "name", server.name, sizeof(server.name), err);
    if (r == 0)
        r = copy_member(json_root(json), "version", server.version, sizeof(server.version), err);
    if (r == 0)
        r = copy_member(json_root(json), "store", server.store, sizeof(server.store), err);
    if (r == 0)
        r = json_get_integer(json_member(json_root(json), "api"), "api", &server.api, err);
    if (r < 0)
        return api_bad_answer(r, err);
    *out = server;
    return 0;
}
