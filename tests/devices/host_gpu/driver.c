/* A CUDA driver for machines without a GPU: what numba-cuda calls of libcuda.so.1, so that all of it but the GPU itself can be tested.
 *
 * The memory of the GPU is the host's, each piece between two pages that nobody may touch, filled with 0xff (no number, or an index far outside), as is
 * what a block shares: what is read before it is written, or beyond the end, shows.  Kernels are functions of the host, registered by name (kernels.py makes them of the code that
 * Numba hands to NVIDIA's compiler).  The threads of a block run one after the other, to the next barrier or the end, blocks too, in the order told:
 * ascending, descending or drawn, so that what depends on the order of threads gives other results.  A barrier that only some threads reach is an error.
 * Streams do what they are told as late as they may: when the host waits for them, or when one that the host waits for waits for an event of theirs; where
 * the order is drawn, now and then one goes on meanwhile as far as it may.  So what is not told to wait for each other meets memory that was given to
 * somebody else, or that the host has written again.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, LAUNCH_FAILED = 719, NOT_SUPPORTED = 801 };
enum { PAGE = 4096, THREADS = 1024, STACK = 1 << 16, SHARED_ROW = 65535,
       MOST = 4096 / 8 };     /* words of what a kernel is given: CUDA takes 4,096 bytes */
enum { ASCENDING, DESCENDING, DRAWN };

#define API __attribute__((visibility("default"))) int
#define HELP __attribute__((visibility("default")))
typedef uint64_t address;

/* ---- what the tests tell and ask */

typedef struct { char *begin; size_t size; } shared;
typedef struct kernel { struct kernel *next; char *name; void (*run)(void **); int barriers, n_shared, n_words; shared memory[8]; unsigned char bytes[MOST]; } kernel;

static kernel *kernels;
static int order, counts[5];
enum { LAUNCHES, UP, DOWN, ALLOCATIONS, FREED };
static size_t room = (size_t)4 << 30, used;

static kernel *named(const char *name) {
    for (kernel *k = kernels; k; k = k->next)
        if (!strcmp(k->name, name)) return k;
    kernel *k = calloc(1, sizeof *k);
    k->name = strdup(name), k->next = kernels;
    return kernels = k;
}

HELP void host_register(const char *name, void (*run)(void **), int barriers, int n_words, const char *bytes) {
    kernel *k = named(name);
    if (n_words > MOST) fprintf(stderr, "more than 4096 bytes for %s\n", name), abort();
    k->run = run, k->barriers = barriers, k->n_words = n_words;
    memcpy(k->bytes, bytes, n_words);
}
HELP void host_shared(const char *name, void *begin, size_t size) { kernel *k = named(name); k->memory[k->n_shared++] = (shared){begin, size}; }
HELP void host_order(int how) { order = how; }
HELP void host_room(size_t bytes) { room = bytes; }
HELP void host_counts(int *out) { memcpy(out, counts, sizeof counts); }

/* ---- threads */

typedef struct { unsigned x, y, z; } triple;

static triple threads, blocks, thread, block;
static ucontext_t outside, inside[THREADS];
static char done[THREADS], *stacks;
static int current;
static kernel *running;
static void **arguments;

#define REGISTER(name, value) HELP unsigned host_##name##_x(void) { return value.x; } \
    HELP unsigned host_##name##_y(void) { return value.y; } HELP unsigned host_##name##_z(void) { return value.z; }
REGISTER(tid, thread) REGISTER(ntid, threads) REGISTER(ctaid, block) REGISTER(nctaid, blocks)

HELP void host_barrier(void) { swapcontext(&inside[current], &outside); }
static void run_thread(void) { running->run(arguments); done[current] = 1; }
static triple place(unsigned i, triple size) { return (triple){i % size.x, i / size.x % size.y, i / size.x / size.y}; }

static unsigned drawn(unsigned n) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % n;
}

static void arrange(unsigned *turn, unsigned n) {
    for (unsigned i = 0; i < n; i++) turn[i] = order == DESCENDING ? n - 1 - i : i;
    for (unsigned i = n; order == DRAWN && i-- > 1;) {
        unsigned other = drawn(i + 1), kept = turn[i];
        turn[i] = turn[other], turn[other] = kept;
    }
}

static int run_block(unsigned n) {
    unsigned turn[THREADS], left = n;
    arrange(turn, n);
    if (!running->barriers) {
        for (unsigned i = 0; i < n; i++) thread = place(turn[i], threads), running->run(arguments);
        return OK;
    }
    if (!stacks) stacks = mmap(0, (size_t)THREADS * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (unsigned i = 0; i < n; i++) {
        getcontext(&inside[i]);
        inside[i].uc_stack.ss_sp = stacks + (size_t)i * STACK, inside[i].uc_stack.ss_size = STACK, inside[i].uc_link = &outside;
        makecontext(&inside[i], run_thread, 0), done[i] = 0;
    }
    while (left) {
        unsigned ended = 0, waiting = 0;
        for (unsigned i = 0; i < n; i++) {
            if (done[turn[i]]) continue;
            current = turn[i], thread = place(current, threads);
            swapcontext(&outside, &inside[current]);
            if (done[current]) ended++; else waiting++;
        }
        if (ended && waiting) {
            fprintf(stderr, "%u threads of a block wait at a barrier that %u others never reach: %s\n", waiting, ended, running->name);
            return LAUNCH_FAILED;
        }
        left -= ended;
        arrange(turn, n);
    }
    return OK;
}

static int run_kernel(kernel *k, triple grid, triple block_size, void **given) {
    uint64_t all = (uint64_t)grid.x * grid.y * grid.z;
    running = k, arguments = given, threads = block_size, blocks = grid;
    for (uint64_t i = 0; i < all; i++) {
        block = place(order == ASCENDING ? i : all - 1 - i, grid);
        for (int s = 0; s < k->n_shared; s++) memset(k->memory[s].begin, 0xff, k->memory[s].size);
        int error = run_block(block_size.x * block_size.y * block_size.z);
        if (error) return error;
    }
    return OK;
}

/* ---- streams */

typedef struct mark { int done; struct timespec when; struct stream *stream; } mark;
typedef struct { mark *last; } event;
typedef struct task {
    struct task *next;
    enum { KERNEL, COPY, SET, RECORD, WAIT } kind;
    kernel *k;
    triple grid, block;
    uint64_t words[MOST];
    void *to, *own;
    const void *from;
    size_t n;
    unsigned char value;
    mark *m;
} task;
typedef struct stream { struct stream *next; task *first, *last; } stream;

static stream standard, *streams = &standard;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int failed;

static int do_next(stream *s) {
    task *t = s->first;
    if (t->kind == WAIT) while (!t->m->done) do_next(t->m->stream);
    s->first = t->next;
    if (!s->first) s->last = 0;
    if (t->kind == KERNEL) {
        void *given[MOST];
        for (int i = 0; i < t->k->n_words; i++) given[i] = &t->words[i];
        int error = run_kernel(t->k, t->grid, t->block, given);
        if (error) failed = error;
    }
    if (t->kind == COPY) memmove(t->to, t->from, t->n);
    if (t->kind == SET) memset(t->to, t->value, t->n);
    if (t->kind == RECORD) clock_gettime(CLOCK_MONOTONIC, &t->m->when), t->m->done = 1;
    free(t->own), free(t);
    return failed;
}

static int finish(stream *s) {
    while (s->first) do_next(s);
    return failed;
}

static int finish_all(void) {
    for (stream *s = streams; s; s = s->next) finish(s);
    return failed;
}

static int add(stream *s, task given) {
    task *t = malloc(sizeof *t);
    *t = given, t->next = 0;
    if (s->last) s->last->next = t; else s->first = t;
    s->last = t;
    for (stream *one = streams; one && order == DRAWN; one = one->next)
        if (!drawn(4)) while (one->first && (one->first->kind != WAIT || one->first->m->done)) do_next(one);
    return failed;
}

#define LOCKED(answer) pthread_mutex_lock(&mutex); int error = (answer); pthread_mutex_unlock(&mutex); return error;
#define OF(handle) (handle ? (stream *)handle : &standard)

static int launch(kernel *k, triple grid, triple block_size, void *on, void **given) {
    uint64_t n = (uint64_t)block_size.x * block_size.y * block_size.z, all = (uint64_t)grid.x * grid.y * grid.z;
    if (!n || !all || n > THREADS || grid.y > SHARED_ROW || grid.z > SHARED_ROW) return INVALID_VALUE;
    if (!k->run) { fprintf(stderr, "no function of the host for %s\n", k->name); return LAUNCH_FAILED; }
    counts[LAUNCHES]++;
    task t = {.kind = KERNEL, .k = k, .grid = grid, .block = block_size};
    for (int i = 0; i < k->n_words; i++) memcpy(&t.words[i], given[i], k->bytes[i]);
    return add(OF(on), t);
}

API cuLaunchKernel(void *k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *s, void **given, void **extra) {
    LOCKED(launch(k, (triple){gx, gy, gz}, (triple){bx, by, bz}, s, given))
}

typedef struct { triple grid, block; unsigned shared; void *stream, *attributes; unsigned n_attributes; } config;
API cuLaunchKernelEx(const config *c, void *k, void **given, void **extra) { LOCKED(launch(k, c->grid, c->block, c->stream, given)) }

static int begin_stream(void **s) {
    stream *own = calloc(1, sizeof *own);
    own->next = streams, streams = own;
    return *s = own, OK;
}

API cuStreamCreate(void **s, unsigned flags) { LOCKED(begin_stream(s)) }
API cuStreamDestroy_v2(void *s) { LOCKED(finish(OF(s))) }
API cuStreamSynchronize(void *s) { LOCKED(finish(OF(s))) }
API cuCtxSynchronize(void) { LOCKED(finish_all()) }
API cuEventCreate(void **e, unsigned flags) { return *e = calloc(1, sizeof(event)), OK; }
API cuEventDestroy_v2(void *e) { return free(e), OK; }

static int record(event *e, stream *s) {
    e->last = calloc(1, sizeof(mark)), e->last->stream = s;
    return add(s, (task){.kind = RECORD, .m = e->last});
}

API cuEventRecord(void *e, void *s) { LOCKED(record(e, OF(s))) }
API cuStreamWaitEvent(void *s, void *e, unsigned flags) { LOCKED(((event *)e)->last ? add(OF(s), (task){.kind = WAIT, .m = ((event *)e)->last}) : OK) }

static int reach(mark *m) {
    while (m && !m->done) do_next(m->stream);
    return failed;
}

API cuEventSynchronize(void *e) { LOCKED(reach(((event *)e)->last)) }
API cuEventElapsedTime_v2(float *ms, void *first, void *last) {
    mark *a = ((event *)first)->last, *b = ((event *)last)->last;
    if (!a || !b || !a->done || !b->done) return INVALID_VALUE;
    return *ms = (b->when.tv_sec - a->when.tv_sec) * 1e3 + (b->when.tv_nsec - a->when.tv_nsec) * 1e-6, OK;
}

/* ---- memory */

typedef struct piece { struct piece *next; char *pages, *begin; size_t mapped, size; } piece;
static piece *pieces;

static piece *holding(address a, size_t n) {
    for (piece *p = pieces; p; p = p->next)
        if (p->begin <= (char *)a && (char *)a + n <= p->begin + p->size) return p;
    return 0;
}

static int allocate(address *a, size_t n) {
    if (!n) return INVALID_VALUE;
    if (used + n > room) return OUT_OF_MEMORY;
    counts[ALLOCATIONS]++, used += n;
    piece *p = calloc(1, sizeof *p);
    size_t pages = (n + PAGE - 1) / PAGE * PAGE;
    p->size = n, p->mapped = pages + 2 * PAGE;
    p->pages = mmap(0, p->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->pages == MAP_FAILED || mprotect(p->pages + PAGE, pages, PROT_READ | PROT_WRITE)) return OUT_OF_MEMORY;
    p->begin = p->pages + PAGE + pages - (n + 15) / 16 * 16;
    memset(p->begin, 0xff, n);
    p->next = pieces, pieces = p;
    return *a = (address)p->begin, OK;
}

static int give_back(address a) {
    finish_all();
    for (piece **p = &pieces; *p; p = &(*p)->next)
        if ((*p)->begin == (char *)a) {
            piece *gone = *p;
            *p = gone->next, used -= gone->size, counts[FREED]++;
            munmap(gone->pages, gone->mapped), free(gone);
            return OK;
        }
    return INVALID_VALUE;
}

API cuMemGetAddressRange_v2(address *begin, size_t *n, address a) {
    piece *p = holding(a, 1);
    if (!p) return INVALID_VALUE;
    return *begin = (address)p->begin, *n = p->size, OK;
}

API cuMemGetInfo_v2(size_t *left, size_t *all) { return *left = room - used, *all = room, OK; }
API cuMemAlloc_v2(address *a, size_t n) { LOCKED(allocate(a, n)) }
API cuMemFree_v2(address a) { LOCKED(give_back(a)) }

typedef struct pinned { struct pinned *next; char *begin; size_t size; } pinned;
static pinned *all_pinned;

static int pin(void **p, size_t n) {
    pinned *own = malloc(sizeof *own);
    *own = (pinned){all_pinned, malloc(n), n}, all_pinned = own;
    return *p = own->begin, OK;
}

static int is_pinned(const void *p) {
    for (pinned *own = all_pinned; own; own = own->next)
        if (own->begin <= (const char *)p && (const char *)p < own->begin + own->size) return 1;
    return 0;
}

static int unpin(void *p) {
    finish_all();
    for (pinned **own = &all_pinned; *own; own = &(*own)->next)
        if ((*own)->begin == p) {
            *own = (*own)->next, free(p);
            return OK;
        }
    return INVALID_VALUE;
}

API cuMemHostAlloc(void **p, size_t n, unsigned flags) { LOCKED(pin(p, n)) }
API cuMemFreeHost(void *p) { LOCKED(unpin(p)) }
API cuMemHostGetDevicePointer_v2(address *a, void *p, unsigned flags) { return *a = (address)p, OK; }

static int up(address to, const void *from, size_t n, stream *s) {
    if (!holding(to, n)) return INVALID_VALUE;
    counts[UP]++;
    task t = {.kind = COPY, .to = (void *)to, .from = from, .n = n};
    if (!is_pinned(from)) t.from = t.own = memcpy(malloc(n ? n : 1), from, n);     /* the driver takes it before it returns */
    return add(s, t);
}

static int down(void *to, address from, size_t n, stream *s) {
    if (!holding(from, n)) return INVALID_VALUE;
    counts[DOWN]++;
    add(s, (task){.kind = COPY, .to = to, .from = (void *)from, .n = n});
    return is_pinned(to) ? failed : finish(s);
}

static int across(address to, address from, size_t n, stream *s) {
    return holding(to, n) && holding(from, n) ? add(s, (task){.kind = COPY, .to = (void *)to, .from = (void *)from, .n = n}) : INVALID_VALUE;
}

static int set(address to, unsigned char value, size_t n, stream *s) {
    return holding(to, n) ? add(s, (task){.kind = SET, .to = (void *)to, .value = value, .n = n}) : INVALID_VALUE;
}

static int after_all(int error) { return error ? error : finish_all(); }

API cuMemcpyHtoDAsync_v2(address to, const void *from, size_t n, void *s) { LOCKED(up(to, from, n, OF(s))) }
API cuMemcpyDtoHAsync_v2(void *to, address from, size_t n, void *s) { LOCKED(down(to, from, n, OF(s))) }
API cuMemcpyDtoDAsync_v2(address to, address from, size_t n, void *s) { LOCKED(across(to, from, n, OF(s))) }
API cuMemsetD8Async(address to, unsigned char value, size_t n, void *s) { LOCKED(set(to, value, n, OF(s))) }
API cuMemcpyHtoD_v2(address to, const void *from, size_t n) { LOCKED(after_all(finish_all() || up(to, from, n, &standard))) }
API cuMemcpyDtoH_v2(void *to, address from, size_t n) { LOCKED(after_all(finish_all() || down(to, from, n, &standard))) }
API cuMemcpyDtoD_v2(address to, address from, size_t n) { LOCKED(after_all(finish_all() || across(to, from, n, &standard))) }
API cuMemsetD8_v2(address to, unsigned char value, size_t n) { LOCKED(after_all(finish_all() || set(to, value, n, &standard))) }

/* ---- the device, its context, streams, events, modules */

static char context;
static void *handle(void) { static uintptr_t next; return (void *)(next += 16); }

API cuInit(unsigned flags) { return OK; }
API cuDriverGetVersion(int *version) { return *version = 13000, OK; }
API cuDeviceGetCount(int *n) { return *n = 1, OK; }
API cuDeviceGet(int *device, int i) { return *device = i, OK; }
API cuDeviceGetName(char *name, int n, int device) { return snprintf(name, n, "the host"), OK; }
API cuDeviceGetUuid_v2(char *uuid, int device) { return memset(uuid, 7, 16), OK; }
API cuDeviceTotalMem_v2(size_t *n, int device) { return *n = room, OK; }

API cuDeviceGetAttribute(int *value, int what, int device) {
    switch (what) {
        case 1: case 2: case 3: *value = THREADS; break;                    /* threads of a block, in x, in y */
        case 4: *value = 64; break;                                         /* in z */
        case 5: *value = INT32_MAX; break;                                  /* blocks in x */
        case 6: case 7: *value = SHARED_ROW; break;
        case 8: *value = 48 << 10; break;                                   /* shared memory of a block */
        case 10: *value = 32; break;                                        /* threads of a warp */
        case 16: *value = 132; break;                                       /* multiprocessors */
        case 19: case 41: *value = 1; break;                                /* maps memory of the host, one space of addresses */
        case 75: *value = 9; break;                                         /* compute capability 9.0 */
        default: *value = 0;
    }
    return OK;
}

API cuDevicePrimaryCtxRetain(void **c, int device) { return *c = &context, OK; }
API cuDevicePrimaryCtxRelease_v2(int device) { return OK; }
API cuDevicePrimaryCtxReset_v2(int device) { return OK; }
API cuCtxGetCurrent(void **c) { return *c = &context, OK; }
API cuCtxSetCurrent(void *c) { return OK; }
API cuCtxPushCurrent_v2(void *c) { return OK; }
API cuCtxPopCurrent_v2(void **c) { return *c = &context, OK; }
API cuCtxGetDevice(int *device) { return *device = 0, OK; }
API cuLibraryLoadData(void **l, const void *code, void *o, void *v, unsigned n, void *p, void *w, unsigned m) { return *l = handle(), OK; }
API cuLibraryUnload(void *l) { return OK; }
API cuLibraryGetKernel(void **k, void *l, const char *name) { return *k = named(name), OK; }
API cuKernelGetAttribute(int *value, int what, void *k, int device) { return *value = what ? 0 : THREADS, OK; }
API cuKernelSetAttribute(int what, int value, void *k, int device) { return OK; }
API cuKernelGetFunction(void **f, void *k) { return *f = k, OK; }
API cuGetErrorName(int error, const char **name) { return *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : error == INVALID_VALUE ? "CUDA_ERROR_INVALID_VALUE" : "CUDA_ERROR_UNKNOWN", OK; }
API cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }

static int missing(void) { return fprintf(stderr, "a function of the driver was called that is not there\n"), NOT_SUPPORTED; }

API cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    static void *self;
    Dl_info where, found;
    if (!self) dladdr((void *)cuGetProcAddress_v2, &where), self = dlopen(where.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    dladdr((void *)cuGetProcAddress_v2, &where);
    *function = (void *)missing;
    for (int i = 0; i < 2; i++) {
        char full[128];
        snprintf(full, sizeof full, "%s%s", name, i ? "" : "_v2");
        void *f = dlsym(self, full);
        if (f && dladdr(f, &found) && !strcmp(found.dli_fname, where.dli_fname)) { *function = f; break; }
    }
    if (status) *status = 0;
    return OK;
}
