/* Loaded before everything else (LD_PRELOAD), moves the clock of a process by the seconds that a file holds, as if the
   machine's clock had been set: CATALYST_TORTURE_CLOCK names the file, an int64 that may change at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t still = 0, *offset = &still;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("CATALYST_TORTURE_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *page = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
        if (page != MAP_FAILED) offset = page;
        close(file);
    }
}

static int read_clock(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    return real(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = read_clock(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset;
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *kept) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (kept) *kept = exact.tv_sec;
    return exact.tv_sec;
}

/* Waits for a moment of this clock, so it looks every tenth of a second whether the clock was moved. */
int sem_timedwait(sem_t *semaphore, const struct timespec *until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    for (;;) {
        struct timespec here, next;
        clock_gettime(CLOCK_REALTIME, &here);
        double left = (double)(until->tv_sec - here.tv_sec) + (until->tv_nsec - here.tv_nsec) / 1e9;
        double nap = left < 0 ? 0 : left < 0.1 ? left : 0.1;
        read_clock(CLOCK_REALTIME, &next);
        next.tv_nsec += (long)(nap * 1e9);
        if (next.tv_nsec >= 1000000000) next.tv_sec += 1, next.tv_nsec -= 1000000000;
        int result = real(semaphore, &next);
        if (!result || errno != ETIMEDOUT || left <= 0.1) return result;
    }
}
