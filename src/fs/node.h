/* fs/node.h - a file that is open: its entry, and where its clusters are. SPDX-License-Identifier: MIT */
#ifndef XK_FS_NODE_H
#define XK_FS_NODE_H

#include "fs/dir.h"

/* Clusters in a row, the first of which is the file's (nth). */
struct fat_run {
    uint32_t nth, cluster, count;
};

struct fat_node {
    struct fat_node *next; /* of the file system's */
    unsigned refs;
    uint32_t parent; /* the directory it is in */
    struct fat_entry entry;
    struct fat_run *runs;
    uint32_t run_count, run_room;
    uint32_t clusters; /* that are in the runs */
    int all;           /* the chain ends there */
};

/* The open file whose entry is there; NULL. */
struct fat_node *fat_node_at(struct xk_fat *f, uint32_t sector, uint32_t offset);

/* A handle on the file of (e) in directory (parent). */
int fat_node_open(struct xk_fat *f, uint32_t parent, const struct fat_entry *e, int writable, struct xk_file **out);

/* All contents of the file of (e), whose size it has, to (to). XK_EPROTO: its chain ends before. */
int fat_read_entry(struct xk_fat *f, const struct fat_entry *e, uint8_t *to);

/* (e), which no one has open, has no contents any more. */
int fat_empty(struct xk_fat *f, struct fat_entry *e);

#endif
