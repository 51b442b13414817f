/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct record;

/*
 * build_facts - where a tree comes from: commit, ref and address of its repository,
 * who built it and when.
 *
 * Taken, in this order: KKARTIFACT_GIT_COMMIT, _GIT_REF, _VCS_URL, _BUILD_TIME,
 * _BUILDER, _BUILD_URL; the variables of GitHub, GitLab, Jenkins, Gitea, Azure and
 * others; the .git of the directory or of one above it, read as files (no program
 * is run); SOURCE_DATE_EPOCH or the clock; the host's name. User info in addresses
 * is cut out. What is not found stays unset; what breaks the rules of a record
 * is left out, unless it was given as KKARTIFACT_...: then -EINVAL.
 */
int build_facts_find(const char *directory, char *(*get)(const char *name), struct record *record,
                     struct error *err);
