/* Faults on demand: loaded before libc, it lets the n-th call that touches a store's files fail, fall short or kill.

   fault_arm() says where, at which call and what; fault_calls() how many calls there were. The count is shared with
   children, so that a parent can read what a killed child had done. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { COUNT, KILL, TEAR, FAIL, SHORTEN };
enum category { CHANGES = 1, READS = 2 };

static char prefix[PATH_MAX];
static size_t prefix_length;
static enum category category;
static enum kind kind;
static long at;
static int error_number, lasting;
static long *seen;

__attribute__((constructor)) static void share_the_count(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void fault_arm(const char *path, int which, int what, long number, int error, int stays)
{
    strncpy(prefix, path, sizeof prefix - 1);
    prefix_length = strlen(prefix);
    category = which;
    kind = what;
    at = number;
    error_number = error;
    lasting = stays;
    *seen = 0;
}

long fault_calls(void) { return *seen; }

static int below(const char *path)
{
    return strncmp(path, prefix, prefix_length) == 0 && (path[prefix_length] == '/' || path[prefix_length] == 0);
}

static int of_descriptor(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return below(path);
}

static int of_path(int directory, const char *path)
{
    return path[0] == '/' || directory == AT_FDCWD ? below(path) : of_descriptor(directory);
}

/* Whether this call is the one. A call that is to fall short says so by its own count. */
static int due(enum category mine)
{
    if (mine != category)
        return 0;
    long number = __atomic_add_fetch(seen, 1, __ATOMIC_SEQ_CST);
    if (kind == COUNT || !(lasting ? number >= at : number == at))
        return 0;
    if (kind == KILL)
        kill(getpid(), SIGKILL);
    return 1;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* For calls that are done or not: a torn or short one is not done. */
#define WHOLE(mine, concerns) \
    if (prefix_length && (concerns) && due(mine)) { \
        if (kind == TEAR) \
            kill(getpid(), SIGKILL); \
        if (kind == FAIL) { \
            errno = error_number; \
            return -1; \
        } \
    }

/* For calls that give room back, which a full disk does not refuse. */
#define FREES(concerns) \
    if (prefix_length && (concerns) && due(CHANGES)) { \
        if (kind == TEAR) \
            kill(getpid(), SIGKILL); \
        if (kind == FAIL && error_number != ENOSPC) { \
            errno = error_number; \
            return -1; \
        } \
    }

/* For calls that move bytes: half of them may be moved. */
#define PARTIAL(mine, length, half) \
    if (prefix_length && of_descriptor(fd) && due(mine)) { \
        if (kind == FAIL) { \
            errno = error_number; \
            return -1; \
        } \
        ssize_t moved = (length) > 1 ? (half) : 0; \
        if (kind == TEAR) \
            kill(getpid(), SIGKILL); \
        if ((length) > 1) \
            return moved; \
    }

ssize_t write(int fd, const void *bytes, size_t length)
{
    REAL(write);
    PARTIAL(CHANGES, length, real(fd, bytes, length / 2));
    return real(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    REAL(pwrite);
    PARTIAL(CHANGES, length, real(fd, bytes, length / 2, offset));
    return real(fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    REAL(pwrite64);
    PARTIAL(CHANGES, length, real(fd, bytes, length / 2, offset));
    return real(fd, bytes, length, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    PARTIAL(CHANGES, count, real(fd, parts, count / 2));
    return real(fd, parts, count);
}

ssize_t read(int fd, void *bytes, size_t length)
{
    REAL(read);
    PARTIAL(READS, length, real(fd, bytes, length / 2));
    return real(fd, bytes, length);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
    REAL(pread);
    PARTIAL(READS, length, real(fd, bytes, length / 2, offset));
    return real(fd, bytes, length, offset);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset)
{
    REAL(pread64);
    PARTIAL(READS, length, real(fd, bytes, length / 2, offset));
    return real(fd, bytes, length, offset);
}

int fsync(int fd)
{
    REAL(fsync);
    WHOLE(CHANGES, of_descriptor(fd));
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    WHOLE(CHANGES, of_descriptor(fd));
    return real(fd);
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    WHOLE(CHANGES, of_descriptor(fd));
    return real(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    REAL(ftruncate64);
    WHOLE(CHANGES, of_descriptor(fd));
    return real(fd, length);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    WHOLE(CHANGES, below(to));
    return real(from, to);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    REAL(renameat);
    WHOLE(CHANGES, of_path(to_directory, to));
    return real(from_directory, from, to_directory, to);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned int flags)
{
    REAL(renameat2);
    WHOLE(CHANGES, of_path(to_directory, to));
    return real(from_directory, from, to_directory, to, flags);
}

int link(const char *from, const char *to)
{
    REAL(link);
    WHOLE(CHANGES, below(to));
    return real(from, to);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
    REAL(linkat);
    WHOLE(CHANGES, of_path(to_directory, to));
    return real(from_directory, from, to_directory, to, flags);
}

int unlink(const char *path)
{
    REAL(unlink);
    FREES(below(path));
    return real(path);
}

int unlinkat(int directory, const char *path, int flags)
{
    REAL(unlinkat);
    FREES(of_path(directory, path));
    return real(directory, path, flags);
}

int rmdir(const char *path)
{
    REAL(rmdir);
    FREES(below(path));
    return real(path);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    WHOLE(CHANGES, below(path));
    return real(path, mode);
}

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))
#define MODE(last) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, last); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...)
{
    REAL(open);
    MODE(flags);
    WHOLE(WRITES(flags) ? CHANGES : READS, below(path));
    return real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    MODE(flags);
    WHOLE(WRITES(flags) ? CHANGES : READS, below(path));
    return real(path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...)
{
    REAL(openat);
    MODE(flags);
    WHOLE(WRITES(flags) ? CHANGES : READS, of_path(directory, path));
    return real(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...)
{
    REAL(openat64);
    MODE(flags);
    WHOLE(WRITES(flags) ? CHANGES : READS, of_path(directory, path));
    return real(directory, path, flags, mode);
}
