/* Preloaded into a node: counts its writes, syncs and changes of names over all threads, and kills
 * the process instead of carrying out the one whose number NTH_CALL says. Each call that is begun
 * adds one byte to the file NTH_CALL_TRACE: s for a sync, w for a write, n for a change of names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long nth;
static int trace = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("NTH_CALL"), *path = getenv("NTH_CALL_TRACE");
    nth = number ? atol(number) : 0;
    if (path) trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    unsetenv("LD_PRELOAD"); /* its children are no nodes */
}

static void count(char what)
{
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (trace >= 0 && write(trace, &what, 1) < 0) abort();
    if (number == nth) kill(getpid(), SIGKILL);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int fdatasync(int fd) { REAL(fdatasync); count('s'); return real(fd); }
int fsync(int fd) { REAL(fsync); count('s'); return real(fd); }
int syncfs(int fd) { REAL(syncfs); count('s'); return real(fd); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) { REAL(pwrite); count('w'); return real(fd, b, n, at); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t at) { REAL(pwrite64); count('w'); return real(fd, b, n, at); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at) { REAL(pwritev); count('w'); return real(fd, v, n, at); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at) { REAL(pwritev64); count('w'); return real(fd, v, n, at); }
ssize_t pwritev2(int fd, const struct iovec *v, int n, off_t at, int f) { REAL(pwritev2); count('w'); return real(fd, v, n, at, f); }
ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t at, int f) { REAL(pwritev64v2); count('w'); return real(fd, v, n, at, f); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); count('w'); return real(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); count('w'); return real(fd, size); }
int rename(const char *a, const char *b) { REAL(rename); count('n'); return real(a, b); }
int renameat(int x, const char *a, int y, const char *b) { REAL(renameat); count('n'); return real(x, a, y, b); }
int unlink(const char *path) { REAL(unlink); count('n'); return real(path); }
int unlinkat(int fd, const char *path, int flags) { REAL(unlinkat); count('n'); return real(fd, path, flags); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); count('n'); return real(path, mode); }
int mkdirat(int fd, const char *path, mode_t mode) { REAL(mkdirat); count('n'); return real(fd, path, mode); }
