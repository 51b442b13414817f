/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"
#include "common/model/names.h"

struct buf;
struct error;

/*
 * version_ref - how a person writes a version, or a place in it.
 *
 *   P            a project
 *   P/A          an app
 *   P/A@CHANNEL  what the channel points to
 *   P/A/latest   the newest version;  P/A/@CHANNEL is taken for P/A@CHANNEL
 *   P/A/V        a version
 *   P/A/V/PATH   an entry of it (V may be `latest` or `@CHANNEL` here too), or the manifest,
 *                which no version has as an entry
 *
 * Every name is checked (names.h). Plain data but for `path`, which points into
 * the text that was parsed.
 */
#define VERSION_REF_MANIFEST ".kkartifact/meta.yaml"

enum version_ref_kind {
    VERSION_REF_PROJECT, /* only project is set */
    VERSION_REF_APP,     /* project, app */
    VERSION_REF_LATEST,
    VERSION_REF_CHANNEL, /* channel */
    VERSION_REF_VERSION, /* version */
};

struct version_ref {
    enum version_ref_kind kind;
    char project[NAME_TEXT_SIZE];
    char app[NAME_TEXT_SIZE];
    char version[VERSION_TEXT_SIZE];
    char channel[NAME_TEXT_SIZE];
    struct span path; /* empty: the whole version */
};

/* -EINVAL with what is wrong. */
int version_ref_parse(struct span text, struct version_ref *out, struct error *err);

/* A version alone, as after --version or in a URL: NAME, `latest` or `@CHANNEL`. Sets kind,
 * version, channel of *ref and leaves the rest. */
int version_ref_parse_version(struct span text, struct version_ref *ref, struct error *err);

/* As it is parsed; failure sticks in the buf. */
void version_ref_format(const struct version_ref *ref, struct buf *out);

/* What stands for the version in a URL: the name, `latest`, or `@CHANNEL`. Nothing for P and
 * P/A. */
void version_ref_format_version(const struct version_ref *ref, struct buf *out);
