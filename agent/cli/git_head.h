/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * git_head - commit, ref and origin of the git work tree that a directory is in, read
 * from the files of .git: no program is run, nothing is locked, nothing is written.
 *
 * What cannot be found or read stays NULL.
 */
struct git_head {
    char *commit; /* hex digits */
    char *ref;    /* "refs/heads/main"; NULL when detached */
    char *url;    /* of the remote "origin" */
};

void git_head_read(const char *directory, struct git_head *out);
void git_head_release(struct git_head *head);
