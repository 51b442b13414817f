/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/buf.h"

struct directory;
struct error;
struct pull_survey;
struct transfer;

/*
 * pull_carry - what is not of any version goes over into the tree that takes DEST's
 * place: `.kkartifact.yml`, what is protected, and what others keep in `.kkartifact`.
 *
 * First it is copied into the new tree, so that this one is whole at the instant of
 * the exchange. Right after it each copy changes places with the original, because
 * a program that runs may have that one open, and go on writing. So DEST ends with
 * the originals, the former tree with the copies. Which have changed places is seen by
 * the inodes of the copies, noted in `.kkartifact/incoming` (beside.h): a pull that
 * finds the note carries on where another died.
 *
 * Sockets, pipes and devices are not copied: they come with the change of places alone.
 */

/* Copies into `side`, over what stands there; *note gets what is to be known of the copies.
 * survey: of `dest`. */
int pull_carry_copy(struct transfer *transfer, struct directory *dest, struct directory *side,
                    const struct pull_survey *survey, struct buf *note, struct error *err);

/* Puts the note into the new tree, before the exchange. */
int pull_carry_save(struct directory *side, struct span note, struct error *err);

/* After the exchange: `dest` is the new tree, `side` the former one (NULL: it is gone). Takes the
 * note away in the end. Without one there is nothing to do. */
int pull_carry_finish(struct directory *dest, struct directory *side, struct error *err);
