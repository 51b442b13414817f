/* SPDX-License-Identifier: MIT */
#include "server/db/settings.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/codec/json.h"
#include "server/db/acts.h"
#include "server/db/transaction.h"

#define DATA_MAX ((size_t)64 << 10)
#define SETTINGS_MAX 1000

static int setting_read(struct rows *rows, void *out_item, struct error *err)
{
    struct setting *out = out_item;
    int r = rows_text(rows, 0, out->name, sizeof(out->name), err);

    out->updated_at_s = rows_integer(rows, 2);
    if (r >= 0)
        r = rows_text(rows, 3, out->updated_by, sizeof(out->updated_by), err);
    return r < 0 ? r : rows_text_copy(rows, 1, &out->value, err);
}

static void setting_release(void *item)
{
    struct setting *setting = item;

    memory_free(setting->value);
}

int setting_list(struct database *database, struct setting **out_items, size_t *out_count,
                 struct error *err)
{
    static const struct row_shape shape = { .size = sizeof(struct setting),
                                            .read = setting_read,
                                            .release = setting_release };
    void *items;
    int r = transaction_list(database,
                             "SELECT name, value, updated_at, updated_by FROM settings"
                             " ORDER BY name LIMIT $1",
                             VALUES(value_integer(SETTINGS_MAX)), &shape, SETTINGS_MAX, &items,
                             out_count, err);

    if (r == 0)
        *out_items = items;
    return r;
}

struct setting *setting_list_free(struct setting *items, size_t count)
{
    for (size_t i = 0; items != NULL && i < count; i++)
        setting_release(&items[i]);
    return memory_free(items);
}

struct putting {
    const struct setting_change *changes;
    size_t count;
    const struct actor *by;
};

static int set(struct transaction *tx, const struct setting_change *change, const struct actor *by,
               struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO settings (name, value, updated_at, updated_by)"
                           " VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET"
                           " value = excluded.value, updated_at = excluded.updated_at,"
                           " updated_by = excluded.updated_by",
                           VALUES(value_text(change->name), value_text(change->value),
                                  value_integer(transaction_now_s(tx)), value_text(by->name)),
                           err);
}

static int unset(struct transaction *tx, const struct setting_change *change, struct error *err)
{
    return transaction_run(tx, "DELETE FROM settings WHERE name = $1",
                           VALUES(value_text(change->name)), err);
}

static int tell(struct transaction *tx, const struct setting_change *change, const struct actor *by,
                struct error *err)
{
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct act act = { .operation = "config.set", .event = "config.changed" };
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, "name", change->name);
    json_text(&writer, "value", change->value);
    json_end(&writer);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    act.data = buf_text(&data);
    return act_write(tx, by, &act, err);
}

static int put(struct transaction *tx, void *context, struct error *err)
{
    const struct putting *putting = context;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < putting->count; i++) {
        const struct setting_change *change = &putting->changes[i];

        r = change->value == NULL ? unset(tx, change, err) : set(tx, change, putting->by, err);
        if (r >= 0)
            r = tell(tx, change, putting->by, err);
    }
    return r;
}

int setting_put(struct database *database, const struct setting_change *changes, size_t count,
                const struct actor *by, struct error *err)
{
    struct putting putting = { .changes = changes, .count = count, .by = by };

    return transaction_write(database, put, &putting, err);
}

struct shared_key {
    const char *name;
    unsigned char fresh[SHARED_KEY_SIZE];
    unsigned char bytes[SHARED_KEY_SIZE];
};

static int key_get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct shared_key *key = context;
    struct span bytes;
    int r = transaction_query(tx, "SELECT bytes FROM shared_keys WHERE name = $1",
                              VALUES(value_text(key->name)), &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "no key %s", key->name);
    bytes = rows_bytes(&rows, 0);
    if (bytes.size != SHARED_KEY_SIZE)
        return error_set(err, -EBADMSG, "key %s has %zu bytes", key->name, bytes.size);
    memcpy(key->bytes, bytes.bytes, SHARED_KEY_SIZE);
    return 0;
}

/* Whoever comes first makes it; everyone takes what is there then. */
static int key_make(struct transaction *tx, void *context, struct error *err)
{
    struct shared_key *key = context;
    int r = transaction_run(tx,
                            "INSERT INTO shared_keys (name, bytes, created_at) VALUES ($1, $2, $3)"
                            " ON CONFLICT DO NOTHING",
                            VALUES(value_text(key->name), value_bytes(key->fresh, SHARED_KEY_SIZE),
                                   value_integer(transaction_now_s(tx))),
                            err);

    return r < 0 ? r : key_get(tx, context, err);
}

int shared_key_get(struct database *database, const char *name, unsigned char out[SHARED_KEY_SIZE],
                   struct error *err)
{
    struct shared_key key = { .name = name };
    int r = transaction_read(database, key_get, &key, err);

    if (r == -ENOENT) {
        r = random_bytes(key.fresh, sizeof(key.fresh), err);
        if (r >= 0)
            r = transaction_write(database, key_make, &key, err);
    }
    if (r >= 0)
        memcpy(out, key.bytes, SHARED_KEY_SIZE);
    memory_wipe(&key, sizeof(key));
    return r;
}
