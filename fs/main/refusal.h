/* SPDX-License-Identifier: MIT */
#pragma once

struct worker_config;

/*
 * refusal - stands in for workers that die at their start, until the next one is tried.
 *
 * It needs neither cache nor network. Every request waits for a worker that can answer it; one that
 * is past the deadline of the mount is answered EIO, one whose task is being killed EINTR. Status
 * is told, with nobody who works. It ends after config->refuse_ms, and leaves what waits behind.
 */
int refusal_serve(const struct worker_config *config, int socket);
