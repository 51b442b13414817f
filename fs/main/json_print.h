/* SPDX-License-Identifier: MIT */
#pragma once

struct json_value;
struct json_writer;

/* json_print - a value that was read, written again; numbers are integers. */
void json_print(struct json_writer *writer, const char *name, const struct json_value *value);
/* The members of an object, into one that has been begun. */
void json_print_members(struct json_writer *writer, const struct json_value *object);
