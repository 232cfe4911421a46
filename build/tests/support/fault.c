/* Preloaded into a builder: the k-th change to the file system kills the process, or fails as if
 * the disk were full. Variables: TF_FAULT is k (from 1), TF_FAULT_KIND is `kill` or `full`. What
 * the builder starts runs without it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long left;
static int kills;

__attribute__((constructor)) static void start(void) {
  const char *k = getenv("TF_FAULT");
  const char *kind = getenv("TF_FAULT_KIND");
  left = k ? atol(k) : 0;
  kills = kind && kind[0] == 'k';
  unsetenv("LD_PRELOAD");
}

/* Whether this change is the k-th; does not return if it kills. */
static int strikes(void) {
  if (atomic_fetch_sub(&left, 1) != 1)
    return 0;
  if (kills)
    kill(getpid(), SIGKILL);
  errno = ENOSPC;
  return 1;
}

#define NEXT(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))

int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  mode_t mode = va_arg(args, mode_t);
  va_end(args);
  if ((flags & O_CREAT) && strikes())
    return -1;
  return NEXT(int, open64, const char *, int, ...)(path, flags, mode);
}

/* A full disk takes a part first. */
ssize_t write(int fd, const void *bytes, size_t n) {
  ssize_t (*next)(int, const void *, size_t) = NEXT(ssize_t, write, int, const void *, size_t);
  if (fd > 2 && n > 1 && left == 1)
    next(fd, bytes, n / 2);
  if (fd > 2 && strikes())
    return -1;
  return next(fd, bytes, n);
}

int fsync(int fd) { return strikes() ? -1 : NEXT(int, fsync, int)(fd); }

int rename(const char *from, const char *to) {
  return strikes() ? -1 : NEXT(int, rename, const char *, const char *)(from, to);
}

int unlink(const char *path) { return strikes() ? -1 : NEXT(int, unlink, const char *)(path); }

int rmdir(const char *path) { return strikes() ? -1 : NEXT(int, rmdir, const char *)(path); }

int mkdir(const char *path, mode_t mode) {
  return strikes() ? -1 : NEXT(int, mkdir, const char *, mode_t)(path, mode);
}
