/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct error;

/*
 * act_budget - how much tokens may have happen without anybody's work: leases that begin and end,
 * hosts that pull.
 *
 * Each of these is told to those who listen and kept for long, and a program can say any number of
 * them. So each token has a budget, which fills up again with time: ACT_BUDGET_MAX at once, that is
 * all the leases it can have ending and as many beginning, and ACT_BUDGET_PER_S of them each second
 * in the long run. What a request costs is known when it is done: it asks what is left, may do as
 * much, and is charged then. Requests that come together may use more, and the next ones wait the
 * longer. Of this process alone, and forgotten at its end. Any thread.
 */
#define ACT_BUDGET_MAX 20000
#define ACT_BUDGET_PER_S 2

struct act_budget;

int act_budget_new(struct act_budget **out, struct error *err);
struct act_budget *act_budget_free(struct act_budget *budget); /* NULL is fine; returns NULL */

size_t act_budget_left(struct act_budget *budget, const char *token_id, int64_t now_s);
void act_budget_charge(struct act_budget *budget, const char *token_id, int64_t now_s,
                       size_t count);
/* How long until so many are left: at least 1, at most until all are. */
uint32_t act_budget_wait_s(struct act_budget *budget, const char *token_id, int64_t now_s,
                           size_t count);
