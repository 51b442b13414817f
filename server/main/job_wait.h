/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct job;
struct json_value;
struct services;

/*
 * job_wait - a job that a verb asks for: done here, unless a server that runs does it first, or has
 * another one under way that must end before. Returns when it has ended; release *out.
 */
int job_wait(struct services *services, const char *kind, const char *params, struct job *out,
             struct error *err);

/* A number of a job's result, or of an object in it; 0 when it does not say. */
int64_t job_number(const struct json_value *result, const char *name);

/* 0 when it is done; else a failure that says why it is not. */
int job_outcome(const struct job *job, struct error *err);
