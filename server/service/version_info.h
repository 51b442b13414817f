/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/service/versions.h"

struct version;

/* version_info - the private way from a version's row to what the services give out. */
int version_info_of(const struct version *version, struct version_info *out, struct error *err);
