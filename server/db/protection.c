/* SPDX-License-Identifier: MIT */
#include "server/db/protection.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/leases.h"
#include "server/db/transaction.h"
#include "server/db/versions.h"

#define WORDS_MAX 100 /* of names in a text */

static const char *const words[] = {
    [PROTECTION_PROMOTED] = "promoted, or the one before that, on ",
    [PROTECTION_PINNED] = "pinned",
    [PROTECTION_LEASED] = "in use by ",
};

/* ------------------------------------------------------------ names */

static bool is_listed(const struct name_list *list, struct span name)
{
    const char *at = list->text;

    for (size_t i = 0; i < list->count; i++) {
        if (span_equal_text(name, at))
            return true;
        at += strlen(at) + 1;
    }
    return false;
}

/* One more, when it is not there and there is room for it. */
static void name_add(struct name_list *list, struct span name)
{
    if (list->count == PROTECTION_NAMES_MAX || name.size >= sizeof(list->text) - list->size ||
        is_listed(list, name))
        return;
    memcpy(list->text + list->size, name.bytes, name.size);
    list->text[list->size + name.size] = '\0';
    list->size += name.size + 1;
    list->count++;
}

/* As many names as a line of words holds. */
static void names_format(const struct name_list *list, struct buf *out)
{
    const char *at = list->text;

    for (size_t i = 0; i < list->count && out->size < WORDS_MAX; i++) {
        buf_format(out, "%s%s", i == 0 ? "" : ", ", at);
        at += strlen(at) + 1;
    }
}

static int channels_of(struct transaction *tx, int64_t version_id, struct name_list *out,
                       struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          "SELECT name FROM channels WHERE version_id = $1 OR previous_id = $1"
                          " ORDER BY name LIMIT $2",
                          VALUES(value_integer(version_id), value_integer(PROTECTION_NAMES_MAX)),
                          &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        name_add(out, rows_bytes(&rows, 0));
    return r;
}

static int hosts_of(struct transaction *tx, int64_t version_id, struct name_list *out,
                    struct error *err)
{
    char hosts[PROTECTION_NAMES_MAX][LEASE_HOST_SIZE];
    uint64_t total;
    size_t count = 0;
    int r = lease_hosts(tx, version_id, PROTECTION_NAMES_MAX, hosts, &count, &total, err);

    for (size_t i = 0; r == 0 && i < count; i++)
        name_add(out, span_text(hosts[i]));
    return r;
}

/* ------------------------------------------------------------ a version */

static int refuse_version(const struct version *version, enum protection_kind kind,
                          struct protection *out, struct error *err)
{
    cleanup(buf_release) struct buf names = buf_init(PROTECTION_NAMES_SIZE);

    out->kind = kind;
    names_format(&out->by, &names);
    return error_set(err, -EBUSY, "version %.64s is %s%.100s", version->name, words[kind],
                     buf_text(&names));
}

int protection_of_version(struct transaction *tx, const struct version *version,
                          struct protection *out, struct error *err)
{
    int r = channels_of(tx, version->id, &out->by, err);

    if (r == 0 && out->by.count > 0)
        return refuse_version(version, PROTECTION_PROMOTED, out, err);
    if (r == 0 && version->pinned)
        return refuse_version(version, PROTECTION_PINNED, out, err);
    if (r == 0)
        r = hosts_of(tx, version->id, &out->by, err);
    if (r == 0 && out->by.count > 0)
        return refuse_version(version, PROTECTION_LEASED, out, err);
    return r;
}

/* ------------------------------------------------------------ a place */

/* Those that something protects, the kind that is told first before the others. $1 now, $2 the app
 * or $3 the project, $4 how many. */
#define PROTECTED                                                                               \
    "SELECT t.id, t.verdict, t.project || '/' || t.app || '/' || t.name FROM (SELECT v.id,"     \
    " p.name AS project, a.name AS app, v.name, CASE"                                           \
    " WHEN EXISTS (SELECT 1 FROM channels c WHERE c.version_id = v.id OR c.previous_id = v.id)" \
    " THEN 1 WHEN v.pinned = 1 THEN 2 WHEN EXISTS (SELECT 1 FROM leases l"                      \
    " WHERE l.version_id = v.id AND l.expires_at > $1) THEN 3 ELSE 0 END AS verdict"            \
    " FROM apps a JOIN projects p ON p.id = a.project_id CROSS JOIN versions v"                 \
    " WHERE v.app_id = a.id AND v.state = 'ready' AND (a.id = $2 OR a.project_id = $3)) t"      \
    " WHERE t.verdict > 0 ORDER BY t.verdict, t.id LIMIT $4"
_Static_assert(PROTECTION_PROMOTED == 1 && PROTECTION_PINNED == 2 && PROTECTION_LEASED == 3,
               "the numbers in PROTECTED");

static int find_protected(struct transaction *tx, int64_t project_id, int64_t app_id,
                          struct protection *out, int64_t *ids, size_t *out_count,
                          struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, PROTECTED,
                              VALUES(value_integer(transaction_now_s(tx)),
                                     value_integer_or_null(app_id),
                                     app_id != 0 ? value_null() : value_integer(project_id),
                                     value_integer(PROTECTION_NAMES_MAX)),
                              &rows, err);

    *out_count = 0;
    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        const enum protection_kind kind = (enum protection_kind)rows_integer(&rows, 1);

        if (*out_count > 0 && kind != out->kind)
            break;
        out->kind = kind;
        ids[(*out_count)++] = rows_integer(&rows, 0);
        name_add(&out->versions, rows_bytes(&rows, 2));
    }
    return r;
}

static int refuse_place(const struct protection *protection, struct error *err)
{
    cleanup(buf_release) struct buf by = buf_init(PROTECTION_NAMES_SIZE);
    cleanup(buf_release) struct buf versions = buf_init(PROTECTION_NAMES_SIZE);

    names_format(&protection->by, &by);
    names_format(&protection->versions, &versions);
    return error_set(err, -EBUSY, "%s%.90s: %.110s", words[protection->kind], buf_text(&by),
                     buf_text(&versions));
}

int protection_of_place(struct transaction *tx, int64_t project_id, int64_t app_id,
                        struct protection *out, struct error *err)
{
    int64_t ids[PROTECTION_NAMES_MAX];
    size_t count;
    int r = find_protected(tx, project_id, app_id, out, ids, &count, err);

    for (size_t i = 0; r >= 0 && i < count; i++) {
        if (out->kind == PROTECTION_PROMOTED)
            r = channels_of(tx, ids[i], &out->by, err);
        else if (out->kind == PROTECTION_LEASED)
            r = hosts_of(tx, ids[i], &out->by, err);
    }
    if (r < 0)
        return r;
    return count > 0 ? refuse_place(out, err) : 0;
}
