/* SPDX-License-Identifier: MIT */
#include "server/db/version_copy.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/db/driver.h"
#include "server/db/names.h"
#include "server/db/places.h"
#include "server/db/push_rows.h"
#include "server/db/read_reports.h"
#include "server/db/version_rows.h"

#define DATA_MAX 4096

struct copying {
    const struct version_copy *copy;
    struct version from;
    int64_t app_id;
    struct push_result result;
};

static int find_from(struct transaction *tx, struct copying *self, struct error *err)
{
    int r;

    version_release(&self->from);
    r = version_find_id(tx, self->copy->from_id, &self->from, err);
    if (r < 0)
        return r;
    if (r == 0 || self->from.state != VERSION_READY)
        return error_set(err, -ENOENT, "what was to be copied is not there any more");
    r = version_is_broken(tx, self->from.id, err);
    return r > 0 ? error_set(err, -EIO, "what is to be copied has lost blobs: push it again first")
                 : r;
}

/* 1: the name is spent, and the answer given; 0: free, or purged with this content. */
static int answer_known(struct transaction *tx, struct copying *self, struct error *err)
{
    const struct version_copy *copy = self->copy;
    const struct push_name name = { copy->project, copy->app, copy->version, 0 };
    int r = push_known(tx, &name, &self->from.content, &self->result, err);

    if (r <= 0 || self->result.answer != PUSH_ANSWER_EXISTS)
        return r;
    r = version_restore_in(tx, &self->result.version, &copy->by, err);
    return r < 0 ? r : 1;
}

static int tell(struct transaction *tx, const struct copying *self, struct error *err)
{
    const struct version_copy *copy = self->copy;
    const struct version *from = &self->from;
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX), name = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct act act = { .operation = "version.copy",
                       .event = "version.created",
                       .project = copy->project,
                       .app = copy->app,
                       .version = copy->version };
    char content[DIGEST_HEX_SIZE];
    int r;

    digest_hex(&from->content, content);
    buf_format(&name, "%s/%s/%s", from->project, from->app, from->name);
    json_begin_object(&writer, NULL);
    json_text(&writer, "content", content);
    json_text(&writer, "copied_from", buf_text(&name));
    json_end(&writer);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    act.data = buf_text(&data);
    return act_write(tx, &copy->by, &act, err);
}

/* The strings stay those of self->from. */
static int insert(struct transaction *tx, const struct copying *self, int64_t created_at_s,
                  int64_t *out_id, struct error *err)
{
    struct version version = self->from;

    version.app_id = self->app_id;
    version.created_at_s = created_at_s;
    version.signatures = NULL;
    return version_insert(tx, &version, self->copy->version, self->copy->by.name, out_id, err);
}

static int create(struct transaction *tx, struct copying *self, struct error *err)
{
    const struct version_copy *copy = self->copy;
    bool app_created;
    int64_t id;
    int64_t created_at_s;
    int r = place_app(tx, copy->project, copy->app, &copy->by, &self->app_id, &app_created, err);

    if (r >= 0)
        r = name_spend(tx, copy->project, copy->app, copy->version, &self->from.content,
                       &created_at_s, err);
    if (r >= 0)
        r = insert(tx, self, created_at_s, &id, err);
    /* What has an edge is not condemned, and will not be while this has the database. */
    if (r >= 0)
        r = transaction_run(tx,
                            "INSERT INTO version_blobs (version_id, blob_id, app_id)"
                            " SELECT $1, blob_id, $2 FROM version_blobs WHERE version_id = $3"
                            " ORDER BY blob_id",
                            VALUES(value_integer(id), value_integer(self->app_id),
                                   value_integer(copy->from_id)),
                            err);
    if (r >= 0)
        r = read_report_copy(tx, copy->from_id, id, err);
    if (r >= 0)
        r = tell(tx, self, err);
    if (r >= 0)
        r = version_find_id(tx, id, &self->result.version, err);
    self->result.answer = PUSH_ANSWER_CREATED;
    return r;
}

static int copy_version(struct transaction *tx, void *context, struct error *err)
{
    struct copying *self = context;
    const struct version_copy *copy = self->copy;
    int r;

    push_result_release(&self->result);
    r = find_from(tx, self, err);
    if (r >= 0)
        r = place_check(tx, copy->project, copy->app, err);
    if (r >= 0)
        r = answer_known(tx, self, err);
    return r != 0 ? r : create(tx, self, err);
}

int version_copy(struct database *database, const struct version_copy *copy,
                 struct push_result *out, struct error *err)
{
    struct copying self = { .copy = copy, .from = version_empty() };
    int r = transaction_write_long(database, copy_version, &self, err);

    version_release(&self.from);
    if (r < 0) {
        push_result_release(&self.result);
        return r;
    }
    if (self.result.answer == PUSH_ANSWER_EXISTS)
        database_version_epoch_advance(database); /* it may have come out of the trash */
    *out = self.result;
    return 0;
}
