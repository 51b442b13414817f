/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct error;
struct job_run;

/*
 * fsck - the store held against the database: the job `fsck`.
 *
 * Params {"full": bool, "repair": bool}. Every row is looked at with its object (object_check.h;
 * `full`: the bytes too), and every object that is older than a day is looked for in the database.
 * Without `repair` nothing is changed. With it: a row without object becomes `missing`, one with
 * wrong bytes `corrupt` (a push of the same bytes heals both, under a new key), one whose object is
 * right after all `live`; an object without row is moved aside, and stays there. One that the disk
 * fails at is counted and named, and nothing is concluded of it: the run goes on. No row is ever
 * deleted. Records of versions stay, whatever the database says: it can be made from them.
 *
 * The result is {"blobs", "bytes", "missing", "corrupt", "unreadable", "recovered", "objects",
 * "strays", "moved_aside", "broken_versions": [{"project", "app", "version", "blobs"}], "found":
 * [texts]}; the lists are bounded. Broken are the versions that have a blob of which something was
 * found, or was marked before; with or without `repair`. A store that does not show its sentinel,
 * or cannot be listed, and an error of the database end the run before anything is concluded from
 * it.
 */
int fsck_run(struct job_run *run, struct error *err);
