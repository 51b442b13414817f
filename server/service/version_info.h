/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/service/versions.h"

struct version;

/* version_info - the private way from a version's row to what the services give out. */
int version_info_of(const struct version *version, struct version_info *out, struct error *err);

/* With its channels, and the time of its purge when it is in the trash. */
int version_info_whole(struct services *services, const struct version *version,
                       struct version_info *out, struct error *err);
