/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "common/base/error.h"
#include "server/db/blob_rows.h"
#include "server/db/driver.h"
#include "server/db/names.h"
#include "server/db/places.h"
#include "server/db/push_rows.h"
#include "server/db/version_rows.h"

/* From here on a commit has the database for itself: it would hold up those that share it. */
#define LONG_FROM_FILES 5000

struct committing {
    const struct push_commit *commit;
    struct push push;
    struct push_result result;
};

static int parts_check(const struct committing *self, struct error *err)
{
    const struct push_commit *commit = self->commit;
    const struct push *push = &self->push;

    if (push->has_content && !digest_equal(&push->content, &commit->content))
        return error_set(err, -EINVAL, "the push has another content");
    if (push->has_times && !digest_equal(&push->times, &commit->times))
        return error_set(err, -EINVAL, "the push has other times");
    return 0;
}

/* 1: the name is spent, and the answer given; 0: free, or purged with this content. */
static int answer_known(struct transaction *tx, struct committing *self, struct error *err)
{
    const struct push_commit *commit = self->commit;
    const struct push_name name = { self->push.project, self->push.app, commit->version,
                                    self->push.app_id };
    int r = push_known(tx, &name, &commit->content, &self->result, err);

    if (r <= 0 || self->result.answer != PUSH_ANSWER_EXISTS)
        return r;
    r = version_restore_in(tx, &self->result.version, &commit->by, err);
    if (r >= 0)
        r = push_end(tx, commit->number, true, err);
    return r < 0 ? r : 1;
}

static int missing_count(struct transaction *tx, struct committing *self, struct error *err)
{
    const struct push *push = &self->push;
    int64_t count;
    int r = blob_reprieve(tx, push->number, NULL, NULL, err);

    if (r >= 0)
        r = transaction_integer(tx,
                                "SELECT count(*) FROM push_blobs h JOIN blobs b ON b.id = h.blob_id"
                                " WHERE h.push = $1 AND (b.state <> 'live' OR b.size <> h.size)",
                                VALUES(value_integer(push->number)), &count, err);
    if (r < 0)
        return r;
    self->result.missing = (uint64_t)count + (push->listing_blob_id == 0) +
                           (push->times_blob_id == 0) + (push->tree_blob_id == 0);
    return 0;
}

static int insert(struct transaction *tx, struct committing *self, int64_t created_at_s,
                  int64_t *out_id, struct error *err)
{
    const struct push_commit *commit = self->commit;
    const struct push *push = &self->push;
    struct version version = { .app_id = push->app_id,
                               .content = commit->content,
                               .times = commit->times,
                               .tree = commit->tree,
                               .tree_size = commit->tree_size,
                               .file_count = commit->file_count,
                               .bytes = commit->bytes,
                               .listing_blob_id = push->listing_blob_id,
                               .times_blob_id = push->times_blob_id,
                               .tree_blob_id = push->tree_blob_id,
                               .created_at_s = created_at_s };

    if (commit->metadata != NULL)
        version.metadata = *commit->metadata;
    return version_insert(tx, &version, commit->version, commit->by.name, out_id, err);
}

static int tell(struct transaction *tx, const struct committing *self, struct error *err)
{
    char data[DIGEST_HEX_SIZE + 16] = "{\"content\":\"";
    const struct act act = { .operation = "version.create",
                             .event = "version.created",
                             .project = self->push.project,
                             .app = self->push.app,
                             .version = self->commit->version,
                             .data = data };
    char *at = data + 12;

    digest_hex(&self->commit->content, at);
    at[DIGEST_HEX_SIZE - 1] = '"';
    at[DIGEST_HEX_SIZE] = '}';
    at[DIGEST_HEX_SIZE + 1] = '\0';
    return act_write(tx, &self->commit->by, &act, err);
}

static int create(struct transaction *tx, struct committing *self, struct error *err)
{
    const struct push *push = &self->push;
    int64_t id, app_id, created_at_s;
    bool app_created;
    int r = place_app(tx, push->project, push->app, &self->commit->by, &app_id, &app_created, err);

    if (r >= 0)
        r = name_spend(tx, push->project, push->app, self->commit->version, &self->commit->content,
                       &created_at_s, err);
    if (r >= 0)
        r = insert(tx, self, created_at_s, &id, err);
    if (r >= 0)
        r = transaction_run(tx,
                            "INSERT INTO version_blobs (version_id, blob_id, app_id)"
                            " SELECT $1, blob_id, $2 FROM push_blobs WHERE push = $3"
                            " ORDER BY blob_id",
                            VALUES(value_integer(id), value_integer(push->app_id),
                                   value_integer(push->number)),
                            err);
    if (r >= 0)
        r = tell(tx, self, err);
    if (r >= 0)
        r = push_end(tx, push->number, false, err);
    if (r >= 0)
        r = version_find_id(tx, id, &self->result.version, err);
    self->result.answer = PUSH_ANSWER_CREATED;
    return r;
}

static int commit_push(struct transaction *tx, void *context, struct error *err)
{
    struct committing *self = context;
    int r;

    push_release(&self->push);
    push_result_release(&self->result);
    r = push_find(tx, self->commit->number, &self->push, err);
    if (r >= 0)
        r = place_check(tx, self->push.project, self->push.app, err);
    if (r >= 0)
        r = parts_check(self, err);
    if (r >= 0)
        r = answer_known(tx, self, err);
    if (r != 0)
        return r;
    r = missing_count(tx, self, err);
    if (r < 0)
        return r;
    if (self->result.missing > 0) {
        self->result.answer = PUSH_ANSWER_MISSING;
        return 0;
    }
    return create(tx, self, err);
}

int push_commit(struct database *database, const struct push_commit *commit,
                struct push_result *out, struct error *err)
{
    struct committing self = { .commit = commit };
    int r;

    if (commit->file_count >= LONG_FROM_FILES)
        r = transaction_write_long(database, commit_push, &self, err);
    else
        r = transaction_write(database, commit_push, &self, err);
    push_release(&self.push);
    if (r < 0) {
        push_result_release(&self.result);
        return r;
    }
    if (self.result.answer == PUSH_ANSWER_EXISTS)
        database_version_epoch_advance(database); /* it may have come out of the trash */
    *out = self.result;
    return 0;
}
