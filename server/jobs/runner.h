/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct services;

/*
 * runner - the server's background work: each step when it is due. Steps are in
 * lanes, a thread each: short ones, deltas (which compute for seconds), and jobs (jobs.h, which may
 * work for hours).
 *
 * Steps are a table in runner.c (name, period, function): ending pushes and leases, numbering
 * events and telling them, times of last use, better deltas. A step that fails is logged
 * and tried again at its next turn. With several servers on one database a step that
 * needs one leader takes a lease in the database first.
 */
struct runner;

int runner_start(struct services *services, struct runner **out_runner, struct error *err);

/* Makes due what waits for events: numbering and telling them, and looking for a job that was asked
 * for. The services call it when they wrote one. Never blocks for long. Any thread. */
void runner_wake(struct runner *runner);

/* Runs every step once, in this thread, due or not: for tests and one-shot verbs. */
int runner_run_once(struct services *services, struct error *err);

/* Waits for the steps that run, then ends the threads. NULL is fine; returns NULL. */
struct runner *runner_stop(struct runner *runner);
