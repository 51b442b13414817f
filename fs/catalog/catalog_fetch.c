/* SPDX-License-Identifier: MIT */
#include "fs/catalog/catalog_fetch.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/client/known_versions.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/net/http_loop.h"
#include "common/net/url.h"

#define PAGE_QUERY "limit=500"

struct fetching {
    struct api_client *client;
    struct catalog_list *list;
    char *base; /* the path without its query */
    enum name_kind kind;
    uint64_t deadline_ms;
    catalog_fetched *done;
    void *context;
};

static const char *const members[] = {
    [NAME_PROJECT] = "project", [NAME_APP] = "app", [NAME_VERSION] = "version"
};

static struct fetching *fetching_free(struct fetching *fetching)
{
    if (fetching == NULL)
        return NULL;
    catalog_list_unref(fetching->list);
    memory_free(fetching->base);
    return memory_free(fetching);
}
CLEANUP_DEFINE(fetching, fetching_free);
CLEANUP_DEFINE(json, json_free);

static void end(struct fetching *fetching, const struct error *err)
{
    catalog_fetched *done = fetching->done;
    void *context = fetching->context;
    struct catalog_list *list = err == NULL ? take_pointer(&fetching->list) : NULL;

    fetching_free(fetching);
    done(context, list, err);
}

static int read_tree(const struct json_value *item, struct digest *out, struct error *err)
{
    const char *text = NULL;
    int r = json_get_text(json_member(item, "tree"), "tree", &text, err);

    if (r == 0)
        r = digest_parse(span_text(text), out, err);
    return r;
}

static int take_item(struct fetching *fetching, const struct json_value *item, struct error *err)
{
    const char *name = NULL, *created = NULL;
    struct digest tree;
    int64_t created_at_s = 0;
    bool is_version = fetching->kind == NAME_VERSION;
    int r = json_get_text(json_member(item, members[fetching->kind]), members[fetching->kind],
                          &name, err);

    if (r == 0)
        r = name_check(fetching->kind, span_text(name), err);
    if (r == 0)
        r = json_member_text(item, "created_at", &created, err);
    if (r == 0 && created != NULL)
        r = clock_parse(span_text(created), &created_at_s, err);
    if (r == 0 && is_version)
        r = read_tree(item, &tree, err);
    if (r < 0)
        return error_prefix(err, -EBADMSG, "a list of the server");
    if (catalog_list_add(fetching->list, name, created_at_s, is_version ? &tree : NULL) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int take_page(struct fetching *fetching, const struct json_value *root,
                     const char **out_cursor, struct error *err)
{
    const struct json_value *items = json_member(root, "items");

    if (!json_is_array(items))
        return error_set(err, -EBADMSG, "a list of the server has no items");
    for (const struct json_value *at = json_next(items, NULL); at != NULL;
         at = json_next(items, at)) {
        int r = take_item(fetching, at, err);
        if (r < 0)
            return r;
    }
    if (json_member_text(root, "next_cursor", out_cursor, err) < 0)
        return error_prefix(err, -EBADMSG, "a list of the server");
    return 0;
}

static int ask_page(struct fetching *fetching, const char *cursor, struct error *err);

/* True when the next page is on its way. */
static bool go_on(struct fetching *fetching, const struct api_answer *answer, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const char *cursor = NULL;

    if (answer->code < 0) {
        *err = answer->err;
        err->code = answer->code;
        return false;
    }
    err->code = json_parse(answer->body, &json, err);
    if (err->code == 0)
        err->code = take_page(fetching, json_root(json), &cursor, err);
    if (err->code == 0 && cursor != NULL && cursor[0] != '\0')
        return ask_page(fetching, cursor, err) == 0;
    return false;
}

static void page_done(void *context, const struct api_answer *answer)
{
    struct fetching *fetching = context;
    struct error err = { 0 };

    if (!go_on(fetching, answer, &err))
        end(fetching, err.code != 0 ? &err : NULL);
}

static int ask_page(struct fetching *fetching, const char *cursor, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(8192);
    struct api_call_spec spec = { .method = HTTP_GET, .done = page_done, .context = fetching };
    int r;

    buf_add_text(&path, fetching->base);
    buf_add_text(&path, "?" PAGE_QUERY);
    if (cursor != NULL)
        url_add_query(&path, "cursor", span_text(cursor));
    r = buf_check(&path, err);
    if (r < 0)
        return r;
    spec.path = buf_text(&path);
    spec.deadline_ms = fetching->deadline_ms;
    return api_call_start(fetching->client, &spec, NULL, err);
}

static int set_base(struct fetching *fetching, const char *project, const char *app,
                    struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    int r;

    if (project == NULL) {
        fetching->kind = NAME_PROJECT;
        buf_add_text(&path, "/projects");
    } else if (app == NULL) {
        fetching->kind = NAME_APP;
        buf_add_text(&path, "/projects");
        url_add_step(&path, project);
        buf_add_text(&path, "/apps");
    } else {
        fetching->kind = NAME_VERSION;
        api_path_app(&path, project, app);
        buf_add_text(&path, "/versions");
    }
    r = buf_check(&path, err);
    if (r == 0)
        fetching->base = buf_take(&path);
    return r;
}

int catalog_fetch_start(void *context, const char *project, const char *app, uint64_t deadline_ms,
                        catalog_fetched *done, void *done_context, struct error *err)
{
    const struct catalog_server *server = context;
    cleanup(cleanup_fetching) struct fetching *fetching = memory_new(sizeof(*fetching));
    int r;

    if (fetching == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fetching->client = server->client;
    fetching->deadline_ms = deadline_ms;
    fetching->done = done;
    fetching->context = done_context;
    fetching->list = catalog_list_new();
    if (fetching->list == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = set_base(fetching, project, app, err);
    if (r == 0)
        r = ask_page(fetching, NULL, err);
    if (r == 0)
        take_pointer(&fetching);
    return r;
}

struct collecting {
    const char *project, *app;
    struct catalog_list *list;
};

static int collect(void *context, const char *project, const char *app, const char *version,
                   const struct known_version *fact, struct error *err)
{
    struct collecting *collecting = context;
    int r;

    if (collecting->project == NULL)
        r = catalog_list_add(collecting->list, project, 0, NULL);
    else if (strcmp(collecting->project, project) != 0)
        return 0;
    else if (collecting->app == NULL)
        r = catalog_list_add(collecting->list, app, 0, NULL);
    else if (strcmp(collecting->app, app) != 0)
        return 0;
    else
        r = catalog_list_add(collecting->list, version, fact->seen_at_s, &fact->tree);
    return r < 0 ? error_set(err, r, "out of memory") : 0;
}

static int collect_all(struct known_versions *known, const char *project, const char *app,
                       struct catalog_list **out_list, struct error *err)
{
    struct collecting collecting = { project, app, catalog_list_new() };
    int r;

    if (collecting.list == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = known_versions_list(known, collect, &collecting, err);
    if (r < 0)
        catalog_list_unref(collecting.list);
    else
        *out_list = collecting.list;
    return r;
}

int catalog_known(struct known_versions *known, const char *project, const char *app,
                  struct catalog_list **out_list, struct error *err)
{
    struct catalog_list *list = NULL;
    int r = collect_all(known, project, app, &list, err);

    if (r < 0)
        return r;
    if (catalog_list_count(list) == 0) {
        catalog_list_unref(list);
        return error_set(err, -ENOENT, "nothing is known there");
    }
    *out_list = list;
    return 0;
}

struct known_answer {
    struct catalog_list *list;
    catalog_fetched *done;
    void *context;
    struct http_post post;
};

static void give_known(void *context)
{
    struct known_answer answer = *(struct known_answer *)context;

    memory_free(context);
    answer.done(answer.context, answer.list, NULL);
}

int catalog_known_start(void *context, const char *project, const char *app, uint64_t deadline_ms,
                        catalog_fetched *done, void *done_context, struct error *err)
{
    const struct catalog_server *server = context;
    struct known_answer *answer = memory_new(sizeof(*answer));
    int r;

    if (answer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    known_versions_reload(server->known, NULL); /* another mount may have learned more */
    r = collect_all(server->known, project, app, &answer->list, err);
    if (r < 0) {
        memory_free(answer);
        return r;
    }
    answer->done = done;
    answer->context = done_context;
    answer->post = (struct http_post){ .function = give_known, .context = answer };
    http_loop_post_at(api_client_loop(server->client), &answer->post);
    return 0;
}
