/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct buf;
struct event;

/*
 * event_text - events as a stream tells them (text/event-stream of the HTML standard, 9.2).
 *
 *     id: 7
 *     event: version.promoted
 *     data: {"number":7,"type":"version.promoted","at":"2026-01-01T00:00:00Z","project":"p",
 *            "app":"a","version":"v","actor":"ci","data":{...}}       (one line)
 *
 * Members that an event lacks are null. Failure sticks in the buf.
 */
#define EVENT_TEXT_MAX ((size_t)1 << 20)

void event_text_write(struct buf *out, const struct event *event);
/* A sign of life, and the number to come back with. */
void event_text_write_beat(struct buf *out, int64_t number);
/* What was behind `after` is not kept any more; the stream goes on behind `number`. */
void event_text_write_gone(struct buf *out, int64_t after, int64_t number);
