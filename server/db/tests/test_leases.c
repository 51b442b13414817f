/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/error.h"
#include "server/db/leases.h"
#include "server/db/pulls.h"
#include "server/db/purge.h"
#include "server/db/tests/fixture.h"
#include "server/db/transaction.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define DAY ((int64_t)24 * 3600)
#define LIFE (30 * DAY)

static struct lease_item item_of(int64_t version_id, const char *version, const char *place)
{
    return (struct lease_item){ .version_id = version_id,
                                .project = "shop",
                                .app = "api",
                                .version = version,
                                .place = place,
                                .mode = LEASE_MOUNT,
                                .state = "complete" };
}

static struct lease_put put_of(const char *host, const struct lease_item *items, size_t count)
{
    return (struct lease_put){ .token_id = FIXTURE_TOKEN,
                               .host = host,
                               .items = items,
                               .count = count,
                               .life_s = LIFE,
                               .token_max = 10000,
                               .changes_max = SIZE_MAX,
                               .by = { .name = "ci", .token_id = FIXTURE_TOKEN } };
}

static size_t put(struct database *database, const struct lease_put *what)
{
    struct lease_put_result result = { 0 };
    struct error error = { 0 };
    int r = lease_put(database, what, &result, &error);

    if (r < 0)
        print_error("%s\n", error.text);
    assert_int_equal(r, 0);
    assert_int_equal(result.expires_at_s, fixture_now + LIFE);
    return result.changes;
}

static size_t put_one(struct database *database, const char *host, int64_t version_id,
                      const char *version, const char *place)
{
    struct lease_item item = item_of(version_id, version, place);
    struct lease_put what = put_of(host, &item, 1);

    return put(database, &what);
}

static size_t list(struct database *database, const struct lease_filter *filter, struct lease *out,
                   size_t max)
{
    static const struct lease_filter everything = { 0 };
    struct lease *items;
    size_t count;

    assert_int_equal(lease_list(database, filter == NULL ? &everything : filter, NULL, 100, &items,
                                &count, NULL),
                     0);
    for (size_t i = 0; i < count && i < max; i++)
        out[i] = items[i];
    memory_free(items);
    return count;
}

static int64_t acts(struct database *database, const char *event, const char *word)
{
    char sql[256];
    int64_t events, entries;

    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM events WHERE type = '%s' AND data LIKE '%%\"%s\"%%'", event,
             word);
    events = fixture_integer(database, sql);
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM audit WHERE operation LIKE 'lease.%%'"
             " AND data LIKE '%%\"%s\"%%'",
             word);
    entries = fixture_integer(database, sql);
    assert_true(entries <= events && (entries > 0) == (events > 0));
    return events;
}

struct hosts {
    int64_t version_id;
    size_t limit;
    char names[4][LEASE_HOST_SIZE];
    size_t count;
    uint64_t total;
};

static int hosts_get(struct transaction *tx, void *context, struct error *err)
{
    struct hosts *hosts = context;

    return lease_hosts(tx, hosts->version_id, hosts->limit, hosts->names, &hosts->count,
                       &hosts->total, err);
}

static struct hosts hosts_of(struct database *database, int64_t version_id, size_t limit)
{
    struct hosts hosts = { .version_id = version_id, .limit = limit };

    assert_int_equal(transaction_read(database, hosts_get, &hosts, NULL), 0);
    return hosts;
}

static void a_lease_is_listed_as_it_was_said(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item item = item_of(id, "1", "/srv/api");
    struct lease_put what = put_of("web1", &item, 1);
    struct lease lease;

    item.since_s = fixture_now - 50;
    item.mode = LEASE_ATTACH;
    item.state = "partial";
    assert_int_equal(put(database, &what), 1);
    assert_int_equal(list(database, NULL, &lease, 1), 1);
    assert_string_equal(lease.host, "web1");
    assert_string_equal(lease.place, "/srv/api");
    assert_string_equal(lease.project, "shop");
    assert_string_equal(lease.app, "api");
    assert_string_equal(lease.version, "1");
    assert_string_equal(lease.state, "partial");
    assert_string_equal(lease.token_name, "ci");
    assert_string_equal(lease.token_id, FIXTURE_TOKEN);
    assert_int_equal(lease.mode, LEASE_ATTACH);
    assert_int_equal(lease.since_s, fixture_now - 50);
    assert_int_equal(lease.renewed_at_s, fixture_now);
    assert_int_equal(lease.expires_at_s, fixture_now + LIFE);
    assert_int_equal(acts(database, "lease.changed", "began"), 1);
}

static void a_renewal_moves_the_times_and_is_no_act(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t first = fixture_now;
    struct lease lease;

    put_one(database, "web1", id, "1", "/srv/api");
    fixture_now += 3600;
    assert_int_equal(put_one(database, "web1", id, "1", "/srv/api"), 0);
    assert_int_equal(list(database, NULL, &lease, 1), 1);
    assert_int_equal(lease.since_s, first);
    assert_int_equal(lease.renewed_at_s, fixture_now);
    assert_int_equal(lease.expires_at_s, fixture_now + LIFE);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM events"
                                               " WHERE type LIKE 'lease.%'"),
                     1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM audit"
                                               " WHERE operation LIKE 'lease.%'"),
                     1);
}

static void another_state_changes_the_row_and_is_no_act(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item item = item_of(id, "1", "/srv/api");
    struct lease_put what = put_of("web1", &item, 1);
    struct lease lease;

    put(database, &what);
    fixture_now += 60;
    item.state = "partial";
    assert_int_equal(put(database, &what), 0);
    assert_int_equal(list(database, NULL, &lease, 1), 1);
    assert_string_equal(lease.state, "partial");
    assert_int_equal(lease.since_s, fixture_now - 60);
    assert_int_equal(acts(database, "lease.changed", "began"), 1);
}

static void another_version_at_a_place_ends_the_one_before(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t second = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    struct lease lease;

    put_one(database, "web1", first, "1", "/srv/api");
    fixture_now += 60;
    assert_int_equal(put_one(database, "web1", second, "2", "/srv/api"), 2);
    assert_int_equal(list(database, NULL, &lease, 1), 1);
    assert_string_equal(lease.version, "2");
    assert_int_equal(lease.since_s, fixture_now);
    assert_int_equal(acts(database, "lease.changed", "ended"), 1);
    assert_int_equal(acts(database, "lease.changed", "began"), 2);
    assert_int_equal(hosts_of(database, first, 4).total, 0);
    assert_int_equal(hosts_of(database, second, 4).total, 1);
}

/* However many places: one event a version, and one entry a kind of change. */
static void many_places_are_told_together(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t second = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    static char places[400][LEASE_PLACE_SIZE];
    struct lease_item items[400];
    struct lease_put what = put_of("web1", items, 400);

    for (unsigned i = 0; i < 400; i++) {
        memset(places[i], '\x01', sizeof(places[i]) - 1); /* six characters each in JSON */
        snprintf(places[i] + sizeof(places[i]) - 5, 5, "%04u", i);
        items[i] = item_of(i < 100 ? first : second, i < 100 ? "1" : "2", places[i]);
    }
    assert_int_equal(put(database, &what), 400);
    what.count = 0;
    what.replace = true;
    assert_int_equal(put(database, &what), 400);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM events"
                                               " WHERE type LIKE 'lease.%'"),
                     4);
    assert_int_equal(fixture_integer(database, "SELECT sum(data ->> '$.count') FROM events"
                                               " WHERE type = 'lease.changed' AND version = '2'"
                                               " AND data ->> '$.change' = 'ended'"),
                     300);
    assert_int_equal(fixture_integer(database, "SELECT json_array_length(data, '$.places') > 0"
                                               " FROM events WHERE type = 'lease.changed'"
                                               " ORDER BY id LIMIT 1"),
                     1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM audit WHERE app = 'api' AND"
                                               " version IS NULL AND operation LIKE 'lease.%'"
                                               " AND data ->> '$.count' = 400"
                                               " AND data ->> '$.versions' = 2"),
                     2);
    assert_int_equal(fixture_integer(database, "SELECT max(length(data)) < 32768 FROM events"), 1);
}

/* Nothing is done when it would be more than may be done now; a renewal is none of it. */
static void too_many_changes_are_refused(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t next = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    struct lease_item items[] = { item_of(id, "1", "/a"), item_of(id, "1", "/b") };
    struct lease_put what = put_of("web1", items, 2);
    struct lease_put_result result = { 0 };

    what.changes_max = 1;
    assert_int_equal(lease_put(database, &what, &result, NULL), -EAGAIN);
    assert_true(result.is_too_much);
    assert_int_equal(result.changes, 2);
    assert_int_equal(list(database, NULL, NULL, 0), 0);
    what.changes_max = 2;
    assert_int_equal(put(database, &what), 2);
    what.changes_max = 0;
    assert_int_equal(put(database, &what), 0);
    items[0] = item_of(next, "2", "/a"); /* one ends, one begins */
    what.changes_max = 1;
    assert_int_equal(lease_put(database, &what, &result, NULL), -EAGAIN);
    assert_int_equal(result.changes, 2);
    what.count = 0;
    what.replace = true;
    assert_int_equal(lease_put(database, &what, &result, NULL), -EAGAIN);
    assert_int_equal(result.changes, 2);
    assert_int_equal(list(database, NULL, NULL, 0), 2);
}

static void what_the_whole_set_does_not_name_goes(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item items[] = { item_of(id, "1", "/a"), item_of(id, "1", "/b") };
    struct lease_put what = put_of("web1", items, 2);
    struct lease leases[3];

    put(database, &what);
    put_one(database, "web2", id, "1", "/a"); /* another host's */
    what.count = 1;
    assert_int_equal(put(database, &what), 0); /* an addition takes nothing */
    assert_int_equal(list(database, NULL, leases, 3), 3);
    what.replace = true;
    assert_int_equal(put(database, &what), 1);
    assert_int_equal(list(database, NULL, leases, 3), 2);
    assert_string_equal(leases[0].place, "/a");
    assert_string_equal(leases[1].host, "web2");
    what.count = 0;
    assert_int_equal(put(database, &what), 1);
    assert_int_equal(list(database, NULL, leases, 3), 1);
}

static void a_set_within_a_place_leaves_the_others(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    static const char *const places[] = { "/srv", "/srv.d", "/srv/a", "/srv/a/b", "/srv0", "/sr" };
    struct lease_item items[6];
    struct lease_put what = put_of("web1", items, 6);
    struct lease leases[6];

    for (size_t i = 0; i < 6; i++)
        items[i] = item_of(id, "1", places[i]);
    put(database, &what);
    fixture_now += 60;
    items[0] = item_of(id, "1", "/srv/a");
    what = put_of("web1", items, 1);
    what.replace = true;
    what.within = "/srv";
    assert_int_equal(put(database, &what), 2); /* "/srv" and "/srv/a/b" */
    assert_int_equal(list(database, NULL, leases, 6), 4);
    assert_string_equal(leases[0].place, "/sr");
    assert_string_equal(leases[1].place, "/srv.d");
    assert_string_equal(leases[2].place, "/srv/a");
    assert_string_equal(leases[3].place, "/srv0");
    assert_int_equal(leases[2].renewed_at_s, fixture_now);
    assert_int_equal(leases[1].renewed_at_s, fixture_now - 60);
    assert_int_equal(leases[3].renewed_at_s, fixture_now - 60);
}

static void a_token_writes_only_its_own(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item item = item_of(id, "1", "/srv");
    struct lease_put what = put_of("web1", &item, 1);

    put(database, &what);
    what.token_id = FIXTURE_OTHER;
    what.replace = true;
    assert_int_equal(put(database, &what), 1);
    assert_int_equal(list(database, NULL, NULL, 0), 2);
    what.count = 0;
    assert_int_equal(put(database, &what), 1);
    assert_int_equal(list(database, NULL, NULL, 0), 1);
}

static void an_expired_lease_counts_nowhere_and_goes(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_counts counts;
    size_t count;

    put_one(database, "web1", id, "1", "/a");
    fixture_now += LIFE - 1;
    assert_int_equal(list(database, NULL, NULL, 0), 1);
    assert_int_equal(hosts_of(database, id, 4).total, 1);
    assert_int_equal(lease_expire(database, 100, &count, NULL), 0);
    assert_int_equal(count, 0);
    fixture_now += 1;
    assert_int_equal(list(database, NULL, NULL, 0), 0);
    assert_int_equal(hosts_of(database, id, 4).total, 0);
    assert_int_equal(hosts_of(database, id, 4).count, 0);
    assert_int_equal(lease_count(database, 7200, &counts, NULL), 0);
    assert_int_equal(counts.leases + counts.hosts + counts.stale, 0);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 1);
    assert_int_equal(lease_expire(database, 100, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 0);
    assert_int_equal(acts(database, "lease.changed", "expired"), 1);
}

static void an_expired_lease_that_is_said_again_begins_anew(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease lease;

    put_one(database, "web1", id, "1", "/a");
    fixture_now += LIFE;
    assert_int_equal(put_one(database, "web1", id, "1", "/a"), 2);
    assert_int_equal(list(database, NULL, &lease, 1), 1);
    assert_int_equal(lease.since_s, fixture_now);
    assert_int_equal(acts(database, "lease.changed", "began"), 2);
    assert_int_equal(acts(database, "lease.changed", "expired"), 1);
}

static void expiry_goes_in_bounded_batches(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    char places[5][8];
    size_t count;

    for (unsigned i = 0; i < 5; i++) {
        snprintf(places[i], sizeof(places[i]), "/%u", i);
        put_one(database, "web1", id, "1", places[i]);
    }
    fixture_now += LIFE;
    assert_int_equal(lease_expire(database, 3, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_int_equal(lease_expire(database, 3, &count, NULL), 0);
    assert_int_equal(count, 2);
}

static void a_token_has_no_more_than_its_most(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t next = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    struct lease_item items[] = { item_of(id, "1", "/a"), item_of(id, "1", "/b"),
                                  item_of(id, "1", "/c") };
    struct lease_put what = put_of("web1", items, 2);
    struct lease_put_result result;

    what.token_max = 3;
    put(database, &what);
    what.host = "web2"; /* all hosts of the token together */
    assert_int_equal(lease_put(database, &what, &result, NULL), -EBUSY);
    assert_int_equal(list(database, NULL, NULL, 0), 2);
    what.host = "web1";
    what.count = 3;
    assert_int_equal(put(database, &what), 1);
    items[0] = item_of(next, "2", "/a"); /* one goes, one comes */
    assert_int_equal(put(database, &what), 2);
    items[0] = item_of(next, "2", "/d");
    assert_int_equal(lease_put(database, &what, &result, NULL), -EBUSY);
    what.replace = true;
    assert_int_equal(put(database, &what), 2);
    fixture_now += LIFE; /* what has expired takes no room */
    what.host = "web2";
    what.replace = false;
    assert_int_equal(put(database, &what), 3);
}

static void a_purged_version_is_named_and_nothing_is_written(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t gone = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    struct lease_item items[] = { item_of(id, "1", "/a"), item_of(gone, "2", "/b") };
    struct lease_put what = put_of("web1", items, 2);
    struct lease_put_result result = { 0 };

    assert_int_equal(version_trash(database, gone, &actor_host, NULL, false, NULL, NULL), 0);
    put(database, &what); /* the trash may be leased */
    assert_int_equal(version_purge(database, gone, INT64_MAX, &actor_host, NULL), -EBUSY);
    fixture_now += LIFE;
    assert_int_equal(version_purge(database, gone, INT64_MAX, &actor_host, NULL), 0);
    assert_int_equal(acts(database, "lease.changed", "expired"), 1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 1);
    what.host = "web2";
    assert_int_equal(lease_put(database, &what, &result, NULL), -ESTALE);
    assert_int_equal(result.failed, 1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 1);
}

static void lists_go_on_behind_a_lease_and_hold_what_is_asked(void **state)
{
    struct database *database = DB(state);
    int64_t first = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    int64_t second = fixture_version(database, "shop", "api", "2", 2000, 0, 1);
    struct lease_filter filter = { .project = "shop", .app = "api", .version = "2" };
    struct lease_position after = { .host = "" };
    struct lease leases[4];
    struct lease *items;
    size_t count;

    put_one(database, "web2", first, "1", "/a");
    put_one(database, "web1", first, "1", "/b");
    put_one(database, "web1", second, "2", "/a");
    assert_int_equal(lease_list(database, &(struct lease_filter){ 0 }, &after, 2, &items, &count,
                                NULL),
                     0);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].place, "/a");
    assert_string_equal(items[1].place, "/b");
    memcpy(after.host, items[1].host, sizeof(after.host));
    memcpy(after.place, items[1].place, sizeof(after.place));
    memcpy(after.token_id, items[1].token_id, sizeof(after.token_id));
    memory_free(items);
    assert_int_equal(lease_list(database, &(struct lease_filter){ 0 }, &after, 2, &items, &count,
                                NULL),
                     0);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].host, "web2");
    memory_free(items);
    assert_int_equal(list(database, &filter, leases, 4), 1);
    assert_string_equal(leases[0].version, "2");
    filter.version = NULL;
    assert_int_equal(list(database, &filter, leases, 4), 3);
    filter = (struct lease_filter){ .project = "other" };
    assert_int_equal(list(database, &filter, leases, 4), 0);
    filter = (struct lease_filter){ .version = "1" };
    assert_int_equal(list(database, &filter, leases, 4), 2);
    filter = (struct lease_filter){ .state = "partial" };
    assert_int_equal(list(database, &filter, leases, 4), 0);
}

static void an_administrator_takes_a_place_from_all_tokens(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item item = item_of(id, "1", "/a");
    struct lease_put what = put_of("web1", &item, 1);
    size_t count;

    put(database, &what);
    what.token_id = FIXTURE_OTHER;
    put(database, &what);
    put_one(database, "web1", id, "1", "/a/b");
    put_one(database, "web2", id, "1", "/a");
    assert_int_equal(lease_remove(database, "web1", "/a", &actor_host, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(list(database, NULL, NULL, 0), 2);
    assert_int_equal(acts(database, "lease.removed", "removed"), 2);
    assert_int_equal(lease_remove(database, "web1", "/a", &actor_host, &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void counts_tell_the_stale_and_the_hosts(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_counts counts;

    put_one(database, "web1", id, "1", "/a");
    put_one(database, "web1", id, "1", "/b");
    fixture_now += 7200;
    put_one(database, "web2", id, "1", "/a");
    assert_int_equal(lease_count(database, 7200, &counts, NULL), 0);
    assert_int_equal(counts.leases, 3);
    assert_int_equal(counts.stale, 0);
    assert_int_equal(counts.hosts, 2);
    fixture_now++;
    assert_int_equal(lease_count(database, 7200, &counts, NULL), 0);
    assert_int_equal(counts.stale, 2);
}

static void the_hosts_of_a_version_are_each_told_once(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct hosts hosts;

    put_one(database, "web3", id, "1", "/a");
    put_one(database, "web1", id, "1", "/a");
    put_one(database, "web1", id, "1", "/b");
    put_one(database, "web2", id, "1", "/a");
    hosts = hosts_of(database, id, 2);
    assert_int_equal(hosts.count, 2);
    assert_int_equal(hosts.total, 3);
    assert_string_equal(hosts.names[0], "web1");
    assert_string_equal(hosts.names[1], "web2");
}

#define MANY 1000

static void a_thousand_renewals_are_one_transaction_of_few_statements(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item *items = memory_array(MANY, sizeof(*items));
    char(*places)[16] = memory_array(MANY, sizeof(*places));
    struct lease_put what = put_of("web1", items, MANY);
    struct database_counts before, after;

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(places[i], sizeof(places[i]), "/repos/%u", i);
        items[i] = item_of(id, "1", places[i]);
    }
    assert_int_equal(put(database, &what), MANY);
    fixture_now += 3600;
    what.replace = true;
    database_count(database, &before);
    assert_int_equal(put(database, &what), 0);
    database_count(database, &after);
    assert_int_equal(after.transactions - before.transactions, 1);
    assert_in_range(after.statements - before.statements, 1, 4);
    fixture_now += 3600;
    what.replace = false;
    before = after;
    assert_int_equal(put(database, &what), 0);
    database_count(database, &after);
    assert_int_equal(after.transactions - before.transactions, 1);
    assert_in_range(after.statements - before.statements, 1, 2 * MANY / 16 + 4);
    assert_int_equal(fixture_integer(database, "SELECT count(DISTINCT renewed_at) FROM leases"), 1);
    assert_int_equal(fixture_integer(database, "SELECT max(renewed_at) FROM leases"), fixture_now);
    memory_free(items);
    memory_free(places);
}

static void lack_of_memory_changes_nothing(void **state)
{
    struct database *database = DB(state);
    int64_t id = fixture_version(database, "shop", "api", "1", 1000, 0, 1);
    struct lease_item items[] = { item_of(id, "1", "/a"), item_of(id, "1", "/b") };
    struct lease_put what = put_of("web1", items, 2);
    struct lease_put_result result;

    put_one(database, "web1", id, "1", "/a");
    for (int64_t n = 0;; n++) {
        bool failed;
        int r;

        memory_fail_after(n);
        r = lease_put(database, &what, &result, NULL);
        failed = memory_failed();
        memory_fail_after(-1);
        if (!failed) {
            assert_int_equal(r, 0);
            break;
        }
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 1);
    }
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM leases"), 2);
}

static void a_pull_counts_once_for_each_host_and_version(void **state)
{
    struct database *database = DB(state);
    struct pull pull = { "shop", "api", "1", "web1", false };
    const struct actor by = { .name = "ci", .token_id = FIXTURE_TOKEN };
    bool counted;

    assert_int_equal(pull_add(database, &pull, &by, &counted, NULL), 0);
    assert_true(counted);
    assert_int_equal(pull_add(database, &pull, &by, &counted, NULL), 0);
    assert_false(counted);
    pull.host = "web2";
    assert_int_equal(pull_add(database, &pull, &by, &counted, NULL), 0);
    assert_true(counted);
    pull.version = "2";
    assert_int_equal(pull_add(database, &pull, &by, &counted, NULL), 0);
    assert_true(counted);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM events WHERE type ="
                                               " 'version.pulled' AND version = '1'"
                                               " AND data = '{\"host\":\"web1\"}'"),
                     1);
    assert_int_equal(fixture_integer(database, "SELECT count(*) FROM audit"
                                               " WHERE operation = 'version.pull'"),
                     3);
}

static void a_version_remembers_so_many_hosts(void **state)
{
    struct database *database = DB(state);
    struct pull pull = { "shop", "api", "1", "web1", false };
    bool counted;

    assert_true(fixture_run(database, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"
                                      " FROM n WHERE i < 10000) INSERT INTO pulls"
                                      " SELECT 'shop', 'api', '1', 'h' || i, 1 FROM n") >= 0);
    assert_int_equal(pull_add(database, &pull, &actor_host, &counted, NULL), 0);
    assert_false(counted);
    pull.version = "2";
    assert_int_equal(pull_add(database, &pull, &actor_host, &counted, NULL), 0);
    assert_true(counted);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_lease_is_listed_as_it_was_said),
        CASE(a_renewal_moves_the_times_and_is_no_act),
        CASE(another_state_changes_the_row_and_is_no_act),
        CASE(another_version_at_a_place_ends_the_one_before),
        CASE(many_places_are_told_together),
        CASE(too_many_changes_are_refused),
        CASE(what_the_whole_set_does_not_name_goes),
        CASE(a_set_within_a_place_leaves_the_others),
        CASE(a_token_writes_only_its_own),
        CASE(an_expired_lease_counts_nowhere_and_goes),
        CASE(an_expired_lease_that_is_said_again_begins_anew),
        CASE(expiry_goes_in_bounded_batches),
        CASE(a_token_has_no_more_than_its_most),
        CASE(a_purged_version_is_named_and_nothing_is_written),
        CASE(lists_go_on_behind_a_lease_and_hold_what_is_asked),
        CASE(an_administrator_takes_a_place_from_all_tokens),
        CASE(counts_tell_the_stale_and_the_hosts),
        CASE(the_hosts_of_a_version_are_each_told_once),
        CASE(a_thousand_renewals_are_one_transaction_of_few_statements),
        CASE(lack_of_memory_changes_nothing),
        CASE(a_pull_counts_once_for_each_host_and_version),
        CASE(a_version_remembers_so_many_hosts),
    };

    return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
