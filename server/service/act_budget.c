/* SPDX-License-Identifier: MIT */
#include "server/service/act_budget.h"

#include <pthread.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"

/* Purses that are full again say nothing: they go when there are so many. */
#define PURSES_MAX 4096

struct purse {
    int64_t left; /* at `at_s`; below 0 after requests that came together */
    int64_t at_s;
};

struct act_budget {
    pthread_mutex_t lock;
    struct map purses; /* by token */
};

int act_budget_new(struct act_budget **out, struct error *err)
{
    struct act_budget *budget = memory_new(sizeof(*budget));

    if (budget == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&budget->lock, NULL);
    budget->purses = map_init();
    *out = budget;
    return 0;
}

struct act_budget *act_budget_free(struct act_budget *budget)
{
    struct span key;
    void *purse;
    size_t at = 0;

    if (budget == NULL)
        return NULL;
    while (map_next(&budget->purses, &at, &key, &purse))
        memory_free(purse);
    map_release(&budget->purses);
    pthread_mutex_destroy(&budget->lock);
    return memory_free(budget);
}

/* A clock that leapt fills it once. One that went back fills nothing, and what was left is counted
 * from there on: else an empty purse would stay so until the clock is where it was. */
static int64_t left_of(struct purse *purse, int64_t now_s)
{
    const int64_t lacking = ACT_BUDGET_MAX - purse->left;
    int64_t passed;

    if (now_s < purse->at_s)
        purse->at_s = now_s;
    passed = now_s - purse->at_s;
    return passed > lacking / ACT_BUDGET_PER_S ? ACT_BUDGET_MAX
                                               : purse->left + passed * ACT_BUDGET_PER_S;
}

/* Under the lock. */
static int64_t left(struct act_budget *budget, const char *token_id, int64_t now_s)
{
    struct purse *purse = map_get(&budget->purses, span_text(token_id));

    return purse == NULL ? ACT_BUDGET_MAX : left_of(purse, now_s);
}

size_t act_budget_left(struct act_budget *budget, const char *token_id, int64_t now_s)
{
    int64_t count;

    pthread_mutex_lock(&budget->lock);
    count = left(budget, token_id, now_s);
    pthread_mutex_unlock(&budget->lock);
    return count > 0 ? (size_t)count : 0;
}

static void forget_full(struct act_budget *budget, int64_t now_s)
{
    struct span key;
    void *value;
    size_t at = 0;

    while (map_next(&budget->purses, &at, &key, &value)) {
        if (left_of(value, now_s) == ACT_BUDGET_MAX)
            memory_free(map_remove(&budget->purses, key));
    }
}

/* Without memory it is not remembered: a request does not fail for that. */
static struct purse *purse_of(struct act_budget *budget, const char *token_id, int64_t now_s)
{
    struct purse *purse = map_get(&budget->purses, span_text(token_id));

    if (purse != NULL)
        return purse;
    if (budget->purses.count >= PURSES_MAX)
        forget_full(budget, now_s);
    purse = memory_new(sizeof(*purse));
    if (purse != NULL && map_set(&budget->purses, span_text(token_id), purse, NULL) < 0)
        purse = memory_free(purse);
    if (purse != NULL)
        *purse = (struct purse){ .left = ACT_BUDGET_MAX, .at_s = now_s };
    return purse;
}

void act_budget_charge(struct act_budget *budget, const char *token_id, int64_t now_s, size_t count)
{
    struct purse *purse;

    if (count == 0)
        return;
    pthread_mutex_lock(&budget->lock);
    purse = purse_of(budget, token_id, now_s);
    if (purse != NULL)
        *purse = (struct purse){ .left = left_of(purse, now_s) - (int64_t)count, .at_s = now_s };
    pthread_mutex_unlock(&budget->lock);
}

uint32_t act_budget_wait_s(struct act_budget *budget, const char *token_id, int64_t now_s,
                           size_t count)
{
    const int64_t wanted = count < ACT_BUDGET_MAX ? (int64_t)count : ACT_BUDGET_MAX;
    int64_t lacking;

    pthread_mutex_lock(&budget->lock);
    lacking = wanted - left(budget, token_id, now_s);
    pthread_mutex_unlock(&budget->lock);
    return lacking <= ACT_BUDGET_PER_S
               ? 1
               : (uint32_t)((lacking + ACT_BUDGET_PER_S - 1) / ACT_BUDGET_PER_S);
}
