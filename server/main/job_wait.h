/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct job;
struct services;

/*
 * job_wait - a job that a verb asks for: done here, unless a server that runs does it first, or has
 * another one under way that must end before. Returns when it has ended; release *out.
 */
int job_wait(struct services *services, const char *kind, const char *params,
             struct job *out, struct error *err);

/* 0 when it is done; else a failure that says why it is not. */
int job_outcome(const struct job *job, struct error *err);
