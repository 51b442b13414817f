/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

struct error;
struct services;

/*
 * tombstone_clearing - removes objects whose row is gone: the bytes, the merkle object (KEY.m) and
 * the names frame (KEY.n) beside them; then the tombstone. What fails is counted and tried again at
 * a later call. Nothing is removed while the store does not show its sentinel.
 *
 * *out_count: objects removed.
 */
int tombstone_clearing_step(struct services *services, size_t *out_count, struct error *err);
