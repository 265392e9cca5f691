/* How to wait for an answer: a clock of its own, answers as they come. SPDX-License-Identifier: MIT */
#include "loop/nap.h"

#include "tests/c/tap.h"

enum { SPIN = 30000, US = 1000 };

static uint64_t seed = 88172645463325252u;
static xk_time roll(xk_time n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (xk_time)(seed % (uint64_t)n);
}

/* One wait for an answer after (took), where a sleep ends (late) after its time. @return 1: the spin found it */
static int wait_for(struct xk__nap *n, xk_time took, xk_time late)
{
    struct xk__nap_plan plan = {0};
    int planned = xk__nap_plan(n, SPIN, &plan), found;
    xk_time awake = plan.sleep ? plan.sleep + late : 0;

    if (!planned || took <= plan.sleep) { /* its event ends the sleep */
        xk__nap_learn(n, took);
        return 0;
    }
    if (plan.sleep)
        xk__nap_late(n, late);
    found = took <= awake + plan.spin;
    xk__nap_found(n, found);
    xk__nap_learn(n, found && took < awake ? awake : took);
    return found;
}

static struct xk__nap_plan plan_of(struct xk__nap *n)
{
    struct xk__nap_plan plan = {-1, -1};

    (void)!xk__nap_plan(n, SPIN, &plan);
    return plan;
}

TEST(answers_that_take_alike_are_found)
{
    struct xk__nap n = {0};
    int found = 0;

    for (int i = 0; i < 1000; i++)
        found += wait_for(&n, 100 * US + roll(10 * US), 25 * US + roll(5 * US));
    OK(found > 950);
    OK(n.late > 20 * US && n.late < 32 * US);
    OK(n.usual > 95 * US && n.usual < 110 * US);
    OK(plan_of(&n).sleep > 55 * US);
}

TEST(nearly_all_of_those_that_vary_are_found)
{
    struct xk__nap n = {0};
    int found = 0;

    for (int i = 0; i < 1000; i++)
        found += wait_for(&n, 70 * US + roll(5) * roll(10 * US), 25 * US);
    OK(found > 700);
    OK(n.usual < 85 * US); /* the short ones count for more */
}

TEST(what_is_too_short_for_a_nap_is_one_spin)
{
    struct xk__nap n = {0};
    int found = 0;

    for (int i = 0; i < 200; i++)
        found += wait_for(&n, 60 * US, 50 * US);
    n.late = 50 * US;
    EQ(plan_of(&n).sleep, 0);
    OK(plan_of(&n).spin >= 85 * US && plan_of(&n).spin <= 91 * US);
    OK(found > 190);
}

TEST(what_is_very_long_has_no_plan)
{
    struct xk__nap n = {0};

    EQ(plan_of(&n).spin, -1); /* nothing is known */
    for (int i = 0; i < 1000; i++)
        wait_for(&n, 5000 * US, 25 * US);
    EQ(plan_of(&n).spin, -1);
    OK(n.usual <= 800 * US);
    for (int i = 0; i < 200; i++)
        wait_for(&n, 100 * US, 25 * US);
    OK(plan_of(&n).sleep > 50 * US); /* that is forgotten soon */
}

TEST(a_late_sleep_counts_unless_it_is_absurd)
{
    struct xk__nap n = {0};

    xk__nap_late(&n, 20 * US);
    EQ(n.late, 20 * US);
    xk__nap_late(&n, 28 * US);
    EQ(n.late, 21 * US);
    xk__nap_late(&n, 101 * US);
    xk__nap_late(&n, -1);
    EQ(n.late, 21 * US);
}

TEST(plans_in_vain_get_rarer)
{
    struct xk__nap n = {.known = 1, .usual = 100 * US, .late = 25 * US};
    int plans = 0;

    for (int i = 0; i < 1000; i++) {
        if (plan_of(&n).spin < 0)
            continue;
        plans++;
        xk__nap_found(&n, 0);
    }
    OK(plans >= 3 && plans < 40);
    while (plan_of(&n).spin < 0)
        ;
    xk__nap_found(&n, 1);
    for (int i = 0; i < 3; i++) { /* and are back at once */
        OK(plan_of(&n).spin > 0);
        xk__nap_found(&n, 0);
    }
    EQ(plan_of(&n).spin, -1);
}

TEST(one_long_answer_changes_little)
{
    struct xk__nap n = {0};

    for (int i = 0; i < 100; i++)
        xk__nap_learn(&n, 70 * US);
    xk__nap_learn(&n, 1000000 * US);
    OK(n.usual < 73 * US);
    for (int i = 0; i < 60; i++)
        xk__nap_learn(&n, 10 * US);
    EQ(n.usual, 10 * US); /* short ones are believed sooner */
}
