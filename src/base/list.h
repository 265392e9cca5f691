/* base/list.h - an intrusive, circular, doubly linked list. A head is an element that holds nothing; an element that
 * is in no list points to itself, so that xk_list_del may be called on it. SPDX-License-Identifier: MIT */
#ifndef XK_BASE_LIST_H
#define XK_BASE_LIST_H

#include <stddef.h>

struct xk_list {
    struct xk_list *next, *prev;
};

#define XK_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define XK_LIST_EACH(pos, head) for (struct xk_list *pos = (head)->next; pos != (head); pos = pos->next)
/* The body may delete (pos), and only (pos). */
#define XK_LIST_EACH_SAFE(pos, head)                                                 \
    for (struct xk_list *pos = (head)->next, *pos##_next = pos->next; pos != (head); \
         pos = pos##_next, pos##_next = pos->next)

static inline void xk_list_init(struct xk_list *l) { l->next = l->prev = l; }
static inline int xk_list_empty(const struct xk_list *l) { return l->next == l; }

static inline void xk_list_add_tail(struct xk_list *head, struct xk_list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void xk_list_del(struct xk_list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = l;
}

#endif
