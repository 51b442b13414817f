/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "server/db/acts.h"
#include "server/db/version_rows.h"

#define DATA_MAX ((size_t)128 << 10)

struct changing {
    int64_t id;
    const struct version_change *change;
    struct version version;
};

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What is wished for and is not so yet. */
static struct version_change difference(const struct changing *self)
{
    const struct version *version = &self->version;
    struct version_change rest = *self->change;

    rest.set_pinned = rest.set_pinned && rest.pinned != version->pinned;
    rest.set_labels = rest.set_labels && !same_text(rest.labels, version->metadata.labels);
    rest.set_note = rest.set_note && !same_text(rest.note, version->note);
    return rest;
}

/* Labels are long and stand in the version: that they changed is said alone. */
static int tell(struct transaction *tx, const struct version *version,
                const struct version_change *rest, struct error *err)
{
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct act act = { .operation = "version.change",
                       .event = "version.changed",
                       .project = version->project,
                       .app = version->app,
                       .version = version->name };
    int r;

    json_begin_object(&writer, NULL);
    if (rest->set_pinned)
        json_bool(&writer, "pinned", rest->pinned);
    if (rest->set_labels)
        json_bool(&writer, "labels", true);
    if (rest->set_note)
        json_text(&writer, "note", rest->note == NULL ? "" : rest->note);
    json_end(&writer);
    buf_add_byte(&data, 0);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    act.data = (const char *)data.bytes;
    return act_write(tx, &rest->by, &act, err);
}

static int change(struct transaction *tx, void *context, struct error *err)
{
    struct changing *self = context;
    struct version_change rest;
    int r = version_find_id(tx, self->id, &self->version, err);

    if (r <= 0)
        return r < 0 ? r : error_set(err, -ENOENT, "no such version");
    rest = difference(self);
    if (!rest.set_pinned && !rest.set_labels && !rest.set_note)
        return 0;
    r = transaction_run(tx,
                        "UPDATE versions SET pinned = CASE WHEN $2 = 1 THEN $3 ELSE pinned END,"
                        " labels = CASE WHEN $4 = 1 THEN $5 ELSE labels END,"
                        " note = CASE WHEN $6 = 1 THEN $7 ELSE note END WHERE id = $1",
                        VALUES(value_integer(self->id), value_integer(rest.set_pinned),
                               value_integer(rest.pinned), value_integer(rest.set_labels),
                               value_text(rest.labels), value_integer(rest.set_note),
                               value_text(rest.note)),
                        err);
    if (r >= 0)
        r = tell(tx, &self->version, &rest, err);
    return r < 0 ? r : version_find_id(tx, self->id, &self->version, err);
}

int version_change(struct database *database, int64_t id, const struct version_change *wanted,
                   struct version *out, struct error *err)
{
    struct changing self = { .id = id, .change = wanted };
    int r = transaction_write(database, change, &self, err);

    if (r < 0) {
        version_release(&self.version);
        return r;
    }
    *out = self.version;
    return 0;
}
