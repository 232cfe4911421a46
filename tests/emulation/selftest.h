/* What selftest.cu and driver.cpp agree on: the table of values, the shape and the bugs. */
#ifndef TF_SELFTEST_H
#define TF_SELFTEST_H

enum { X, Y, B, GAMMA, BUG, OUT, VALUES };
enum { THREADS = 64, TILE = 32, SHARED_BYTES = 4 * TILE * 4 };

/* Name of a bug on the command line, and its number in the value BUG. */
#define TF_SELFTEST_BUGS(bug)                             \
  bug("none", NO_BUG)                                     \
  bug("no-barrier-before-use", NO_BARRIER_BEFORE_USE)     \
  bug("no-barrier-after-use", NO_BARRIER_AFTER_USE)       \
  bug("barrier-under-condition", BARRIER_UNDER_CONDITION) \
  bug("barriers-of-two-branches", BARRIERS_OF_TWO_BRANCHES) \
  bug("shared-past-end", SHARED_PAST_END)                 \
  bug("shared-never-written", SHARED_NEVER_WRITTEN)       \
  bug("global-past-end", GLOBAL_PAST_END)                 \
  bug("misaligned-vector", MISALIGNED_VECTOR)             \
  bug("splits-share-a-state", SPLITS_SHARE_A_STATE)

#define TF_SELFTEST_NUMBER(name, number) number,
enum { TF_SELFTEST_BUGS(TF_SELFTEST_NUMBER) BUGS };
#undef TF_SELFTEST_NUMBER

#endif
