/* drivers/block/nodes.h - the names of the nodes that say where a disk's rings are (xen/io/blkif.h): of a disk with one
 * ring they stand in its folder, of one with more each ring's in "queue-N". SPDX-License-Identifier: MIT */
#ifndef XK_DRIVERS_BLOCK_NODES_H
#define XK_DRIVERS_BLOCK_NODES_H

#include <xenkit/vbd.h>

enum {
    BLK_NODE = 24,                                               /* bytes of a name, "queue-3/event-channel" */
    BLK_NODES_RING = XK_BLKBACK_RING_MAX + 2,                    /* of one ring at most, */
    BLK_NODES_RINGS = (1 + XK_VBD_QUEUES) * (int)BLK_NODES_RING, /* in all */
    BLK_NODES_ALWAYS = 8
};

/* blk_node (name, queue, queues, what) - the node (what) of the ring (queue) of (queues). blk_node_ref: of its page. */
void blk_node(char name[BLK_NODE], unsigned queue, unsigned queues, const char *what);
void blk_node_ref(char name[BLK_NODE], unsigned queue, unsigned queues, unsigned page);

/* What a back end wants to know of its front end. */
struct blk_nodes {
    const char *list[BLK_NODES_ALWAYS + BLK_NODES_RINGS + 1]; /* and NULL */
    char name[BLK_NODES_RINGS][BLK_NODE];
};

/* blk_nodes_init (n, always, queues, pages) - (always), fewer than BLK_NODES_ALWAYS names and NULL, and those of up to
 * (queues) rings of up to (pages) pages each: every node more is a request more to the store each time that something
 * happens. */
void blk_nodes_init(struct blk_nodes *n, const char *const *always, unsigned queues, unsigned pages);

#endif
