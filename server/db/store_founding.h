/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct transaction;

/* Gives a new database its store id; one that has an id keeps it. Runs with the migrations. */
int store_found(struct transaction *tx, int64_t now_s, struct error *err);
