/* SPDX-License-Identifier: MIT */
#include "server/service/policy.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/model/cron.h"
#include "common/model/zone.h"
#include "server/db/settings.h"
#include "server/service/access.h"
#include "server/service/context.h"
#include "server/service/refusal.h"

#define YEARS_S ((int64_t)100 * 365 * 86400)

enum policy_kind { POLICY_COUNT, POLICY_TIME, POLICY_TEXT };

typedef int text_check(const char *text, struct error *err);
static text_check schedule_check, zone_check;

static const struct key {
    const char *name;
    enum policy_kind kind;
    size_t offset;        /* in struct policy: of an int64_t, or of an array of POLICY_TEXT_SIZE */
    const char *fallback; /* as a user writes it */
    const char *help;
    int64_t max; /* seconds, or a count */
    text_check *check;
} keys[] = {
    { .name = "trash_age",
      .kind = POLICY_TIME,
      .offset = offsetof(struct policy, trash_age_s),
      .fallback = "7d",
      .help = "how long a deleted version stays in the trash",
      .max = YEARS_S },
    { .name = "collect_grace",
      .kind = POLICY_TIME,
      .offset = offsetof(struct policy, collect_grace_s),
      .fallback = "1d",
      .help = "how long a blob that nothing refers to stays",
      .max = YEARS_S },
    { .name = "retain_versions",
      .kind = POLICY_COUNT,
      .offset = offsetof(struct policy, retain_versions),
      .fallback = "10",
      .help = "how many of the newest versions of each app stay",
      .max = POLICY_RETAIN_MAX },
    { .name = "retain_min_age",
      .kind = POLICY_TIME,
      .offset = offsetof(struct policy, retain_min_age_s),
      .fallback = "1d",
      .help = "a younger version stays",
      .max = YEARS_S },
    { .name = "job_age",
      .kind = POLICY_TIME,
      .offset = offsetof(struct policy, job_age_s),
      .fallback = "90d",
      .help = "how long a job that ended is remembered",
      .max = YEARS_S },
    { .name = "event_age",
      .kind = POLICY_TIME,
      .offset = offsetof(struct policy, event_age_s),
      .fallback = "30d",
      .help = "how long an event is there for who comes back to a stream",
      .max = YEARS_S },
    { .name = "audit_age",
      .kind = POLICY_TIME,
      .offset = offsetof(struct policy, audit_age_s),
      .fallback = "90d",
      .help = "how long the audit log keeps an entry",
      .max = YEARS_S },
    { .name = "retention_schedule",
      .kind = POLICY_TEXT,
      .offset = offsetof(struct policy, retention_schedule),
      .fallback = "0 3 * * *",
      .help = "when retention runs: minute, hour, day, month, day of the week; off: never",
      .check = schedule_check },
    { .name = "time_zone",
      .kind = POLICY_TEXT,
      .offset = offsetof(struct policy, time_zone),
      .fallback = "UTC",
      .help = "whose clocks retention_schedule means, as in Europe/Berlin",
      .check = zone_check },
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

CLEANUP_DEFINE(zone, zone_free);

static bool is_off(const char *schedule)
{
    return schedule[0] == '\0' || strcmp(schedule, "off") == 0;
}

bool policy_has_schedule(const struct policy *policy)
{
    return !is_off(policy->retention_schedule);
}

static int schedule_check(const char *text, struct error *err)
{
    struct cron cron;

    return is_off(text) ? 0 : cron_parse(span_text(text), &cron, err);
}

static int zone_check(const char *text, struct error *err)
{
    cleanup(cleanup_zone) struct zone *zone = NULL;

    return zone_load(text, &zone, err);
}

static int parse_text(const struct key *key, const char *text, void *out, struct error *err)
{
    int r;

    if (strlen(text) >= POLICY_TEXT_SIZE)
        return error_set(err, -EINVAL, "longer than %d bytes", POLICY_TEXT_SIZE - 1);
    r = key->check(text, err);
    if (r == 0)
        memcpy(out, text, strlen(text) + 1);
    return r;
}

/* Into its member of a policy. */
static int parse(const struct key *key, const char *text, void *out, struct error *err)
{
    uint64_t value = 0;
    int r;

    if (key->kind == POLICY_TEXT)
        return parse_text(key, text, out, err);
    if (key->kind == POLICY_COUNT) {
        r = number_parse(span_text(text), (uint64_t)key->max, &value, err);
    } else {
        r = number_parse_duration(span_text(text), (uint64_t)key->max * 1000, &value, err);
        value /= 1000;
    }
    if (r == 0)
        *(int64_t *)out = (int64_t)value;
    return r;
}

static void fall_back(const struct key *key, void *out)
{
    int r = parse(key, key->fallback, out, NULL);

    assert(r == 0);
    (void)r;
}

/* What is set, as it stands at one moment. */
struct kept {
    struct setting *items;
    size_t count;
};

static void kept_release(struct kept *kept)
{
    kept->items = setting_list_free(kept->items, kept->count);
    kept->count = 0;
}

static const struct setting *kept_find(const struct kept *kept, const char *name)
{
    for (size_t i = 0; i < kept->count; i++) {
        if (strcmp(kept->items[i].name, name) == 0)
            return &kept->items[i];
    }
    return NULL;
}

/* A zone is not looked for on the disk each time a policy is read: whoever uses it does. */
static void read_one(const struct kept *kept, const struct key *key, void *out)
{
    const struct setting *setting = kept_find(kept, key->name);

    fall_back(key, out);
    if (setting == NULL)
        return;
    if (key->check == zone_check && strlen(setting->value) < POLICY_TEXT_SIZE)
        memcpy(out, setting->value, strlen(setting->value) + 1);
    else if (key->check != zone_check && parse(key, setting->value, out, NULL) < 0)
        fall_back(key, out);
}

int policy_get(struct services *services, struct policy *out, struct error *err)
{
    cleanup(kept_release) struct kept kept = { .items = NULL };
    int r = setting_list(services->database, &kept.items, &kept.count, err);

    for (size_t i = 0; r == 0 && i < KEY_COUNT; i++)
        read_one(&kept, &keys[i], (char *)out + keys[i].offset);
    return r;
}

static const struct key *find(const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    }
    return NULL;
}

/* ------------------------------------------------------------ showing and changing */

size_t policy_key_count(void)
{
    return KEY_COUNT;
}

static void entry_of(const struct kept *kept, const struct key *key, struct policy_entry *out)
{
    static const char *const kinds[] = { "count", "time", "text" };
    const struct setting *setting = kept_find(kept, key->name);
    struct policy read;

    *out =
        (struct policy_entry){ .key = key->name,
                               .kind = kinds[key->kind],
                               .fallback = key->fallback,
                               .help = key->help,
                               .max = key->kind == POLICY_TEXT ? POLICY_TEXT_SIZE - 1 : key->max };
    /* what counts as the default is shown as that */
    if (setting == NULL || strlen(setting->value) >= POLICY_TEXT_SIZE ||
        parse(key, setting->value, (char *)&read + key->offset, NULL) < 0) {
        snprintf(out->value, sizeof(out->value), "%s", key->fallback);
        return;
    }
    memcpy(out->value, setting->value, strlen(setting->value) + 1);
    out->updated_at_s = setting->updated_at_s;
    memcpy(out->updated_by, setting->updated_by, sizeof(out->updated_by));
}

int policy_entries_get(struct services *services, struct policy_entry *out, struct error *err)
{
    cleanup(kept_release) struct kept kept = { .items = NULL };
    int r = setting_list(services->database, &kept.items, &kept.count, err);

    for (size_t i = 0; r == 0 && i < KEY_COUNT; i++)
        entry_of(&kept, &keys[i], &out[i]);
    return r;
}

static int check(const struct setting_change *change, struct refusal *why, struct error *err)
{
    const struct key *known = find(change->name);
    char pointer[sizeof(why->pointer)];
    struct policy parsed;
    int r;

    if (known == NULL)
        return refusal_at(why, "",
                          error_set(err, -EINVAL, "there is no setting \"%.60s\"", change->name));
    snprintf(pointer, sizeof(pointer), "/%s", change->name);
    r = change->value == NULL ? 0
                              : parse(known, change->value, (char *)&parsed + known->offset, err);
    return r < 0 ? refusal_at(why, pointer, error_prefix(err, -EINVAL, "%s", change->name)) : 0;
}

int policy_change(struct services *services, const struct caller *caller,
                  const struct setting_change *changes, size_t count, struct refusal *why,
                  struct error *err)
{
    const struct actor by = caller_actor(caller);
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = check(&changes[i], why, err);
    if (r == 0 && count > 0)
        r = setting_put(services->database, changes, count, &by, err);
    if (r == 0 && count > 0)
        event_written(services);
    return r;
}

int policy_set(struct services *services, const struct caller *caller, const char *key,
               const char *value, struct refusal *why, struct error *err)
{
    const struct setting_change change = { key, value };

    return policy_change(services, caller, &change, 1, why, err);
}
