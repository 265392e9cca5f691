/* Names of nodes. SPDX-License-Identifier: MIT */
#include "drivers/block/nodes.h"

#include <stdio.h>

void blk_node(char name[BLK_NODE], unsigned queue, unsigned queues, const char *what)
{
    if (queues > 1)
        snprintf(name, BLK_NODE, "queue-%u/%s", queue, what);
    else
        snprintf(name, BLK_NODE, "%s", what);
}

void blk_node_ref(char name[BLK_NODE], unsigned queue, unsigned queues, unsigned page)
{
    char what[16];

    snprintf(what, sizeof(what), "ring-ref%u", page & 15);
    blk_node(name, queue, queues, what);
}

/* Those of one ring. How many there are now. */
static unsigned add(struct blk_nodes *n, unsigned at, unsigned queue, unsigned queues, unsigned pages)
{
    blk_node(n->name[at++], queue, queues, "event-channel");
    blk_node(n->name[at++], queue, queues, "ring-ref");
    for (unsigned i = 0; i < pages; i++)
        blk_node_ref(n->name[at++], queue, queues, i);
    return at;
}

void blk_nodes_init(struct blk_nodes *n, const char *const *always, unsigned queues, unsigned pages)
{
    unsigned at = add(n, 0, 0, 1, pages), k = 0;

    for (unsigned i = 0; queues > 1 && i < queues; i++)
        at = add(n, at, i, queues, pages);
    while (always[k]) {
        n->list[k] = always[k];
        k++;
    }
    for (unsigned i = 0; i < at; i++)
        n->list[k++] = n->name[i];
    n->list[k] = NULL;
}
