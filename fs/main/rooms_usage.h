/* SPDX-License-Identifier: MIT */
#pragma once

#include "fs/ops/ops.h"

struct error;
struct rooms;

/* rooms_usage - who uses what in one mount: fs/usage among the other rooms. */

/* What the ops tell, and ask; before there is a usage nothing is in use. */
struct ops_usage rooms_usage_of_ops(struct rooms *rooms);
int rooms_usage_open(struct rooms *rooms, struct error *err);
