/* SPDX-License-Identifier: MIT */
#include "server/db/retention.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/job_rows.h"
#include "server/db/retention_rows.h"

/*
 * The selection: every ready version of the apps chosen, with its verdict. $1 now, $2 what was made
 * later is young, $3 N, $4 and $5 the scope, $6 the app behind which it starts, $7 how many apps,
 * $8 the last of them.
 * The order of the joins is that of their cost: from few places to their versions.
 */
#define JUDGED                                                                              \
    "WITH places AS (SELECT a.id, p.name AS project, a.name AS app,"                        \
    " coalesce(a.retain_count, p.retain_count, CAST($3 AS BIGINT)) AS keep"                 \
    " FROM projects p CROSS JOIN apps a WHERE a.project_id = p.id AND a.deleted_at IS NULL" \
    " AND (CAST($4 AS TEXT) IS NULL OR p.name = $4)"                                        \
    " AND (CAST($5 AS TEXT) IS NULL OR a.name = $5) AND a.id > $6 AND a.id <= $8"           \
    " ORDER BY a.id LIMIT $7),"                                                             \
    " ranked AS (SELECT v.id, v.app_id, s.project, s.app, v.name, v.created_at, v.pinned,"  \
    " s.keep, row_number() OVER (PARTITION BY v.app_id"                                     \
    " ORDER BY v.created_at DESC, v.id DESC) AS place"                                      \
    " FROM places s CROSS JOIN versions v WHERE v.app_id = s.id AND v.state = 'ready'),"    \
    " judged AS (SELECT r.*, CASE WHEN r.place <= r.keep THEN 1"                            \
    " WHEN EXISTS (SELECT 1 FROM channels c WHERE c.version_id = r.id) THEN 2"              \
    " WHEN EXISTS (SELECT 1 FROM channels c WHERE c.previous_id = r.id) THEN 3"             \
    " WHEN r.pinned = 1 THEN 4"                                                             \
    " WHEN EXISTS (SELECT 1 FROM leases l WHERE l.version_id = r.id AND l.expires_at > $1)" \
    " THEN 5 WHEN r.created_at > $2 THEN 6 ELSE 0 END AS verdict FROM ranked r) "
_Static_assert(RETENTION_GOES == 0 && RETENTION_NEWEST == 1 && RETENTION_PROMOTED == 2 &&
                   RETENTION_PREVIOUS == 3 && RETENTION_PINNED == 4 && RETENTION_LEASED == 5 &&
                   RETENTION_YOUNG == 6,
               "the numbers in JUDGED");

static const char *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

#define JUDGED_COUNT 8
/* One app is found by its name first, so that the others are not looked through for it. */
static int narrow(struct transaction *tx, const struct retention_judging *judging,
                  int64_t *io_after, int64_t *out_last, struct error *err)
{
    const char *app = text_or_null(judging->scope->app);
    int64_t id = 0;
    int r;

    *out_last = INT64_MAX;
    if (app == NULL)
        return 0;
    r = transaction_integer(tx,
                            "SELECT a.id FROM projects p JOIN apps a ON a.project_id = p.id"
                            " WHERE p.name = $1 AND a.name = $2",
                            VALUES(value_text(judging->scope->project), value_text(app)), &id, err);
    if (r < 0 && r != -ENOENT)
        return r;
    *out_last = id;
    if (*io_after < id)
        *io_after = id > 0 ? id - 1 : 0;
    return 0;
}

static int judged_values(struct transaction *tx, const struct retention_judging *judging,
                         struct value *out, struct error *err)
{
    const int64_t now_s = transaction_now_s(tx);
    int64_t after = judging->after_app, last;
    int r = narrow(tx, judging, &after, &last, err);

    if (r < 0)
        return r;
    out[0] = value_integer(now_s);
    out[1] = value_integer(now_s - judging->rules->min_age_s);
    out[2] = value_integer(judging->rules->keep);
    out[3] = value_text(text_or_null(judging->scope->project));
    out[4] = value_text(text_or_null(judging->scope->app));
    out[5] = value_integer(after);
    out[6] = value_integer(judging->app_limit);
    out[7] = value_integer(last);
    return 0;
}

const char *retention_verdict_name(enum retention_verdict verdict)
{
    static const char *const names[RETENTION_VERDICT_COUNT] = {
        [RETENTION_GOES] = "beyond-newest", [RETENTION_NEWEST] = "newest",
        [RETENTION_PROMOTED] = "promoted",  [RETENTION_PREVIOUS] = "previous",
        [RETENTION_PINNED] = "pinned",      [RETENTION_LEASED] = "leased",
        [RETENTION_YOUNG] = "min-age",
    };

    return names[verdict];
}

/* ------------------------------------------------------------ the sum */

static int count_verdicts(struct transaction *tx, const struct value *values,
                          struct retention_sum *out, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r = transaction_query(tx, JUDGED "SELECT verdict, count(*) FROM judged GROUP BY verdict",
                              values, JUDGED_COUNT, &rows, err);

    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        out->counts[rows_integer(&rows, 0)] = (uint64_t)rows_integer(&rows, 1);
    return r;
}

/*
 * What makes room by itself: $9 when the last run of everything began, $10 that less the age below
 * which nothing goes. Since then what was pushed took a place among the newest, and what was young
 * is no longer: as many of an app are expected to go, the oldest first. More is what the limits are
 * for: rules that were changed, a clock that jumped, leases that all ended.
 */
#define EXPECTED                                                                        \
    JUDGED ", weighed AS (SELECT t.id, t.app_id, t.project, t.app, t.verdict,"          \
           " sum(CASE WHEN t.created_at > $9 OR (t.verdict = 0 AND t.created_at > $10)" \
           " THEN 1 ELSE 0 END) OVER (PARTITION BY t.app_id) AS expected,"              \
           " row_number() OVER (PARTITION BY t.app_id, t.verdict"                       \
           " ORDER BY t.created_at, t.id) AS turn FROM judged t) "
#define EXPECTED_COUNT (JUDGED_COUNT + 2)

static int expected_values(struct transaction *tx, const struct retention_judging *judging,
                           struct value *io_values, struct error *err)
{
    int64_t last_s;
    int r = job_last_done(tx, "retention", &last_s, err);

    io_values[JUDGED_COUNT] = value_integer(r > 0 ? last_s : INT64_MAX);
    io_values[JUDGED_COUNT + 1] =
        value_integer(r > 0 ? last_s - judging->rules->min_age_s : INT64_MAX);
    return r;
}

static int find_worst(struct transaction *tx, const struct value *values, struct retention_sum *out,
                      struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    int r =
        transaction_query(tx,
                          EXPECTED
                          "SELECT project, app, goes, ready FROM (SELECT min(project) AS project,"
                          " min(app) AS app, app_id, count(*) AS ready,"
                          " sum(CASE WHEN verdict = 0 THEN 1 ELSE 0 END) AS goes,"
                          " sum(CASE WHEN verdict = 0 AND turn > expected THEN 1 ELSE 0 END)"
                          " AS excess FROM weighed GROUP BY app_id) t"
                          " WHERE excess > 5 AND excess * 5 > ready"
                          " ORDER BY excess DESC, app_id LIMIT 1",
                          values, EXPECTED_COUNT, &rows, err);

    if (r >= 0)
        r = rows_next(&rows, err);
    if (r <= 0)
        return r;
    out->app_goes = (uint64_t)rows_integer(&rows, 2);
    out->app_ready = (uint64_t)rows_integer(&rows, 3);
    r = rows_text(&rows, 0, out->project, sizeof(out->project), err);
    return r < 0 ? r : rows_text(&rows, 1, out->app, sizeof(out->app), err);
}

/* What no ready version would have if those went that `which` chooses. */
#define FREED_BY(which)                                                            \
    EXPECTED ", going AS (SELECT id FROM weighed WHERE verdict = 0 AND " which ")" \
             " SELECT coalesce(sum(b.size), 0) FROM (SELECT DISTINCT e.blob_id"    \
             " FROM going g CROSS JOIN version_blobs e WHERE e.version_id = g.id)" \
             " t JOIN blobs b ON b.id = t.blob_id WHERE NOT EXISTS (SELECT 1"      \
             " FROM version_blobs o JOIN versions v ON v.id = o.version_id"        \
             " WHERE o.blob_id = t.blob_id AND v.state = 'ready'"                  \
             " AND o.version_id NOT IN (SELECT id FROM going))"

static int sum_bytes(struct transaction *tx, const struct value *values, struct retention_sum *out,
                     struct error *err)
{
    int64_t bytes = 0, expected = 0, all = 0;
    int r = transaction_integer(tx, FREED_BY("1 = 1"), values, EXPECTED_COUNT, &bytes, err);

    if (r >= 0)
        r = transaction_integer(
            tx, "SELECT coalesce(sum(size), 0) FROM blobs WHERE state <> 'uploading'", NO_VALUES,
            &all, err);
    /* Nobody asks for the excess of little; a large app takes seconds for it. */
    if (r >= 0 && bytes > all / RETENTION_BYTES_SHARE)
        r = transaction_integer(tx, FREED_BY("turn <= expected"), values, EXPECTED_COUNT,
                                &expected, err);
    if (r < 0)
        return r;
    out->bytes = (uint64_t)bytes;
    out->excess_bytes = (uint64_t)(bytes - expected);
    out->all_bytes = (uint64_t)all;
    return 0;
}

static int sum_in(struct transaction *tx, const struct retention_judging *judging,
                  struct retention_sum *out, struct error *err)
{
    struct value values[EXPECTED_COUNT];
    int r = judged_values(tx, judging, values, err);

    *out = (struct retention_sum){ .bytes = 0 };
    if (r >= 0)
        r = count_verdicts(tx, values, out, err);
    if (r >= 0)
        r = expected_values(tx, judging, values, err);
    if (r >= 0)
        r = find_worst(tx, values, out, err);
    return r < 0 ? r : sum_bytes(tx, values, out, err);
}

struct summing {
    struct retention_judging judging;
    struct retention_sum sum;
};

static int sum(struct transaction *tx, void *context, struct error *err)
{
    struct summing *self = context;

    return sum_in(tx, &self->judging, &self->sum, err);
}

int retention_count(struct database *database, const struct retention_rules *rules,
                    const struct retention_scope *scope, struct retention_sum *out,
                    struct error *err)
{
    struct summing self = { .judging = { rules, scope, 0, INT64_MAX } };
    int r = transaction_read(database, sum, &self, err);

    if (r == 0)
        *out = self.sum;
    return r;
}

/* ------------------------------------------------------------ the list */

/* $9, $10 behind which app and version, $11 how many, $12 the largest verdict. The page is made
 * before anything is computed for its rows. */
#define PAGE(bytes)                                                                   \
    JUDGED ", page AS MATERIALIZED (SELECT * FROM judged WHERE verdict <> 1"          \
           " AND verdict <= $12 AND (app_id > $9 OR (app_id = $9 AND id > $10))"      \
           " ORDER BY app_id, id LIMIT $11)"                                          \
           " SELECT t.id, t.app_id, t.project, t.app, t.name, t.created_at, t.place," \
           " t.keep, t.verdict, " bytes " FROM page t ORDER BY t.app_id, t.id"
#define UNIQUE_BYTES                                                        \
    "(SELECT coalesce(sum(b.size), 0) FROM version_blobs e"                 \
    " JOIN blobs b ON b.id = e.blob_id WHERE e.version_id = t.id AND "      \
    "NOT EXISTS (SELECT 1 FROM version_blobs o WHERE o.blob_id = e.blob_id" \
    " AND o.version_id <> e.version_id))"

static int retained_read(struct rows *rows, struct retained *out, struct error *err)
{
    int r = rows_text(rows, 2, out->project, sizeof(out->project), err);

    if (r >= 0)
        r = rows_text(rows, 3, out->app, sizeof(out->app), err);
    if (r >= 0)
        r = rows_text(rows, 4, out->version, sizeof(out->version), err);
    out->id = rows_integer(rows, 0);
    out->app_id = rows_integer(rows, 1);
    out->created_at_s = rows_integer(rows, 5);
    out->place = (uint64_t)rows_integer(rows, 6);
    out->keep = (uint64_t)rows_integer(rows, 7);
    out->verdict = (enum retention_verdict)rows_integer(rows, 8);
    out->unique_bytes = (uint64_t)rows_integer(rows, 9);
    return r;
}

int retention_page_read(struct transaction *tx, struct retention_page *page, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct value values[JUDGED_COUNT + 4];
    int r = judged_values(tx, &page->judging, values, err);

    page->count = 0;
    if (r < 0)
        return r;
    values[JUDGED_COUNT] = value_integer(page->after.app_id);
    values[JUDGED_COUNT + 1] = value_integer(page->after.version_id);
    values[JUDGED_COUNT + 2] = value_integer((int64_t)page->limit);
    values[JUDGED_COUNT + 3] = value_integer(page->last_verdict);
    r = transaction_query(tx, page->with_bytes ? PAGE(UNIQUE_BYTES) : PAGE("0"), values,
                          JUDGED_COUNT + 4, &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0)
        r = retained_read(&rows, &page->items[page->count++], err);
    return r;
}

struct looking {
    struct retention_page page;
    struct retention_sum sum;
};

static int look(struct transaction *tx, void *context, struct error *err)
{
    struct looking *self = context;
    const struct retention_judging *judging = &self->page.judging;
    const struct retention_judging whole = { judging->rules, judging->scope, 0, INT64_MAX };
    int r = sum_in(tx, &whole, &self->sum, err);

    return r < 0 ? r : retention_page_read(tx, &self->page, err);
}

int retention_look(struct database *database, const struct retention_rules *rules,
                   const struct retention_scope *scope, const struct retention_place *after,
                   size_t limit, struct retained **out_items, size_t *out_count,
                   struct retention_sum *out_sum, struct error *err)
{
    cleanup_memory struct retained *items = memory_array(limit, sizeof(*items));
    /* the app of `after` is not behind itself */
    const int64_t after_app = after->app_id > 0 ? after->app_id - 1 : 0;
    struct looking self = { .page = { .judging = { rules, scope, after_app, INT64_MAX },
                                      .after = *after,
                                      .last_verdict = RETENTION_YOUNG,
                                      .with_bytes = true,
                                      .limit = limit,
                                      .items = items } };
    int r;

    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = transaction_read(database, look, &self, err);
    if (r < 0)
        return r;
    *out_items = self.page.count == 0 ? NULL : take_pointer(&items);
    *out_count = self.page.count;
    *out_sum = self.sum;
    return 0;
}

/* ------------------------------------------------------------ the apps */

struct walking {
    struct retention_judging judging;
    struct retention_app *items;
    size_t count;
    int64_t last;
};

/* Also an app without versions is one that was looked at. */
static int find_last(struct transaction *tx, struct walking *self, const struct value *values,
                     struct error *err)
{
    return transaction_integer(tx,
                               JUDGED "SELECT CASE WHEN count(*) < $7 THEN 0 ELSE max(id) END"
                                      " FROM places",
                               values, JUDGED_COUNT, &self->last, err);
}

static int walk(struct transaction *tx, void *context, struct error *err)
{
    cleanup(rows_release) struct rows rows = { 0 };
    struct walking *self = context;
    struct value values[JUDGED_COUNT];
    int r = judged_values(tx, &self->judging, values, err);

    self->count = 0;
    if (r >= 0)
        r = find_last(tx, self, values, err);
    if (r >= 0)
        r = transaction_query(tx,
                              JUDGED "SELECT app_id, min(project), min(app), count(*) FROM judged"
                                     " WHERE verdict = 0 GROUP BY app_id ORDER BY app_id",
                              values, JUDGED_COUNT, &rows, err);
    while (r >= 0 && (r = rows_next(&rows, err)) > 0) {
        struct retention_app *app = &self->items[self->count++];

        app->id = rows_integer(&rows, 0);
        app->goes = (uint64_t)rows_integer(&rows, 3);
        r = rows_text(&rows, 1, app->project, sizeof(app->project), err);
        if (r >= 0)
            r = rows_text(&rows, 2, app->app, sizeof(app->app), err);
    }
    return r;
}

int retention_apps(struct database *database, const struct retention_rules *rules,
                   const struct retention_scope *scope, int64_t after, size_t limit,
                   struct retention_app *out_items, size_t *out_count, int64_t *out_last,
                   struct error *err)
{
    struct walking self = { .judging = { rules, scope, after, (int64_t)limit },
                            .items = out_items };
    int r = transaction_read(database, walk, &self, err);

    if (r < 0)
        return r;
    *out_count = self.count;
    *out_last = self.last;
    return 0;
}
