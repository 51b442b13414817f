/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * private_mounts - mounts of a test's own: a small disk, a read-only one; by whoever runs it.
 *
 * Gives the process a mount namespace of its own, so that nobody else sees what it mounts and all
 * of it goes when the process ends, killed or not. A user who is not root becomes root of a user
 * namespace for that. To be called first in main, before any thread and any file.
 *
 * 0, or a negative errno where the system gives neither: then mount(2) fails, and the tests that
 * need it skip.
 */
int private_mounts_begin(void);
