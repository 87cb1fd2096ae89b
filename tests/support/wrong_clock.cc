// Preloaded by tests: the wall clock is off by as many seconds as the file named by WRONG_CLOCK
// holds (a 64-bit integer). The monotonic clock, sleeping and waiting stay as they are.

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *map_offset() {
    const char *path = getenv("WRONG_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return nullptr;
    void *page = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    return page == MAP_FAILED ? nullptr : static_cast<const volatile int64_t *>(page);
}

static int64_t offset() {
    static const volatile int64_t *where = map_offset();
    return where ? *where : 0;
}

extern "C" int clock_gettime(clockid_t clock, struct timespec *at) {
    using Call = int (*)(clockid_t, struct timespec *);
    static Call real = reinterpret_cast<Call>(dlsym(RTLD_NEXT, "clock_gettime"));
    int result = real(clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += offset();
    return result;
}

extern "C" int gettimeofday(struct timeval *at, void *) noexcept {
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return result;
}

extern "C" time_t time(time_t *where) noexcept {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
