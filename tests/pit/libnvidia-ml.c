/* What the tests load in NVML's place: GPUs, processes and their use as the file named by NVML_STAND_IN says, a line
 * each: `device TOTAL FREE`, `use PID PERCENT` (of the first GPU, now), `memory PID BYTES`, `divided`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long memory; unsigned instance, compute_instance; } Process;
typedef struct { unsigned pid; unsigned long long at; unsigned sm, mem, enc, dec; } Sample;

/* Hands each line of one kind to `take`; how many there were. */
static int lines(const char *kind, void (*take)(int, unsigned long long, unsigned long long, void *), void *to) {
    FILE *file = fopen(getenv("NVML_STAND_IN"), "r");
    char word[32], rest[200];
    int count = 0;
    while (file && fscanf(file, "%31s%199[^\n]", word, rest) >= 1) {
        unsigned long long first = 0, second = 0;
        sscanf(rest, "%llu %llu", &first, &second);
        if (!strcmp(word, kind)) {
            if (take) take(count, first, second, to);
            count++;
        }
        rest[0] = 0;
    }
    if (file) fclose(file);
    return count;
}

static unsigned long long now(void) {
    struct timeval time;
    gettimeofday(&time, NULL);
    return time.tv_sec * 1000000ull + time.tv_usec;
}

static void take_memory(int at, unsigned long long total, unsigned long long unused, void *to) {
    Memory *memory = ((Memory **)to)[at];
    if (memory) *memory = (Memory){memory->version, total, 0, unused, total - unused};
}

static void take_use(int at, unsigned long long pid, unsigned long long percent, void *to) {
    ((Sample *)to)[at] = (Sample){pid, now(), percent, 0, 0, 0};
}

static void take_process(int at, unsigned long long pid, unsigned long long bytes, void *to) {
    ((Process *)to)[at] = (Process){pid, bytes, -1, -1};
}

int nvmlInit_v2(void) { return getenv("NVML_STAND_IN") ? SUCCESS : NOT_SUPPORTED; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = lines("device", NULL, NULL);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(size_t)(index + 1);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
    Memory *wanted[16] = {0};
    wanted[(size_t)device - 1] = memory;
    lines("device", take_memory, wanted);
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, Process *processes) {
    unsigned there = (size_t)device == 1 ? lines("memory", NULL, NULL) : 0;
    unsigned room = *count;
    *count = there;
    if (!processes || room < there) return there ? INSUFFICIENT_SIZE : SUCCESS;
    lines("memory", take_process, processes);
    return SUCCESS;
}

int nvmlDeviceGetProcessUtilization(void *device, Sample *samples, unsigned *count, unsigned long long since) {
    if (lines("divided", NULL, NULL)) return NOT_SUPPORTED;
    unsigned there = (size_t)device == 1 && since < now() ? lines("use", NULL, NULL) : 0;
    unsigned room = *count;
    *count = there;
    if (!there) return NOT_FOUND;
    if (!samples || room < there) return INSUFFICIENT_SIZE;
    lines("use", take_use, samples);
    return SUCCESS;
}
