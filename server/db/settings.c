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

struct setting {
    const char *name, *value;
    const struct actor *by;
    char *found;
    struct setting_change change;
};

static int get(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct setting *setting = context;
    int r =
        transaction_query(tx, "SELECT value, updated_at, updated_by FROM settings WHERE name = $1",
                          VALUES(value_text(setting->name)), &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r < 0)
        return r;
    if (r == 0)
        return error_set(err, -ENOENT, "setting %s is not set", setting->name);
    setting->change.at_s = rows_integer(&rows, 1);
    r = rows_text(&rows, 2, setting->change.by, sizeof(setting->change.by), err);
    return r < 0 ? r : rows_text_copy(&rows, 0, &setting->found, err);
}

int setting_get_changed(struct database *database, const char *name, struct buf *out,
                        struct setting_change *out_change, struct error *err)
{
    struct setting setting = { .name = name };
    int r = transaction_read(database, get, &setting, err);

    if (r < 0)
        return r;
    buf_add_text(out, setting.found);
    memory_free(setting.found);
    r = buf_check(out, err);
    if (r == 0)
        *out_change = setting.change;
    return r;
}

int setting_get(struct database *database, const char *name, struct buf *out, struct error *err)
{
    struct setting_change change;

    return setting_get_changed(database, name, out, &change, err);
}

static int set(struct transaction *tx, const struct setting *setting, struct error *err)
{
    return transaction_run(tx,
                           "INSERT INTO settings (name, value, updated_at, updated_by)"
                           " VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE SET"
                           " value = excluded.value, updated_at = excluded.updated_at,"
                           " updated_by = excluded.updated_by",
                           VALUES(value_text(setting->name), value_text(setting->value),
                                  value_integer(transaction_now_s(tx)),
                                  value_text(setting->by->name)),
                           err);
}

static int unset(struct transaction *tx, const struct setting *setting, struct error *err)
{
    return transaction_run(tx, "DELETE FROM settings WHERE name = $1",
                           VALUES(value_text(setting->name)), err);
}

static int tell(struct transaction *tx, const struct setting *setting, struct error *err)
{
    cleanup(buf_release) struct buf data = buf_init(DATA_MAX);
    struct json_writer writer = json_writer_init(&data);
    struct act act = { .operation = "config.set", .event = "config.changed" };
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, "name", setting->name);
    json_text(&writer, "value", setting->value);
    json_end(&writer);
    r = buf_check(&data, err);
    if (r < 0)
        return r;
    act.data = buf_text(&data);
    return act_write(tx, setting->by, &act, err);
}

static int put(struct transaction *tx, void *context, struct error *err)
{
    struct setting *setting = context;
    int r = setting->value == NULL ? unset(tx, setting, err) : set(tx, setting, err);

    return r < 0 ? r : tell(tx, setting, err);
}

int setting_put(struct database *database, const char *name, const char *value,
                const struct actor *by, struct error *err)
{
    struct setting setting = { .name = name, .value = value, .by = by };

    return transaction_write(database, put, &setting, err);
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
