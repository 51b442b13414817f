/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct http_exchange;
struct job;

/* A job as the answer: 200 of one that is looked at, 202 of one that was asked for. */
int job_answer(struct http_exchange *exchange, unsigned status, const struct job *job,
               struct error *err);
