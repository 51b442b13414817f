/* SPDX-License-Identifier: MIT */
#include "server/service/policy.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "server/db/settings.h"
#include "server/service/access.h"
#include "server/service/context.h"
#include "server/service/refusal.h"

#define YEARS_S ((int64_t)100 * 365 * 86400)
#define VALUE_TEXT_MAX 64

enum policy_kind { POLICY_COUNT, POLICY_TIME };

static const struct key {
    const char *name;
    enum policy_kind kind;
    size_t offset; /* of an int64_t in struct policy */
    int64_t fallback, max;
} keys[] = {
    { "trash_age", POLICY_TIME, offsetof(struct policy, trash_age_s), 7 * 86400, YEARS_S },
    { "collect_grace", POLICY_TIME, offsetof(struct policy, collect_grace_s), 86400, YEARS_S },
    { "retain_versions", POLICY_COUNT, offsetof(struct policy, retain_versions), 10,
      POLICY_RETAIN_MAX },
    { "retain_min_age", POLICY_TIME, offsetof(struct policy, retain_min_age_s), 86400, YEARS_S },
    { "job_age", POLICY_TIME, offsetof(struct policy, job_age_s), 90 * 86400, YEARS_S },
};
#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static int parse(const struct key *key, const char *text, int64_t *out, struct error *err)
{
    uint64_t value;
    int r;

    if (key->kind == POLICY_COUNT) {
        r = number_parse(span_text(text), (uint64_t)key->max, &value, err);
    } else {
        r = number_parse_duration(span_text(text), (uint64_t)key->max * 1000, &value, err);
        value /= 1000;
    }
    if (r == 0)
        *out = (int64_t)value;
    return r;
}

static int read_one(struct services *services, const struct key *key, int64_t *out,
                    struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(VALUE_TEXT_MAX);
    int r = setting_get(services->database, key->name, &text, err);

    *out = key->fallback;
    if (r == -ENOENT)
        return 0;
    if (r == 0 && parse(key, buf_text(&text), out, NULL) < 0)
        *out = key->fallback;
    return r;
}

int policy_get(struct services *services, struct policy *out, struct error *err)
{
    struct policy policy;
    int r = 0;

    for (size_t i = 0; r == 0 && i < KEY_COUNT; i++)
        r = read_one(services, &keys[i], (int64_t *)((char *)&policy + keys[i].offset), err);
    if (r == 0)
        *out = policy;
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

int policy_set(struct services *services, const struct caller *caller, const char *key,
               const char *value, struct refusal *why, struct error *err)
{
    const struct actor by = caller_actor(caller);
    const struct key *known = find(key);
    char pointer[sizeof(why->pointer)];
    int64_t parsed;
    int r;

    if (known == NULL)
        return refusal_at(why, "", error_set(err, -EINVAL, "there is no setting of that name"));
    snprintf(pointer, sizeof(pointer), "/%s", key);
    r = value == NULL ? 0 : parse(known, value, &parsed, err);
    if (r < 0)
        return refusal_at(why, pointer, error_prefix(err, -EINVAL, "%s", key));
    return setting_put(services->database, key, value, &by, err);
}
