/* What the system says of itself and lets one choose: cores, clocks, heat, files. All of it may be absent. */
#include "runner.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#define CPU "/sys/devices/system/cpu/cpu%d/"
#define MOST_CORES 64
#define MOST_FILES 4096

/* The first line of a file, without its end; "" where there is none. */
static const char *line_of(const char *pattern, int number) {
    static char path[256], text[256];
    snprintf(path, sizeof path, pattern, number);
    FILE *file = fopen(path, "r");
    *text = 0;
    if (file) {
        if (!fgets(text, sizeof text, file)) *text = 0;
        fclose(file);
    }
    text[strcspn(text, "\r\n")] = 0;
    return text;
}

/* A number of a file; NAN where there is none. */
static double number_of(const char *pattern, int number) {
    const char *text = line_of(pattern, number);
    char *end;
    double value = strtod(text, &end);
    return end == text ? NAN : value;
}

static uint64_t allowed_cores(void) {
    cpu_set_t set;
    uint64_t cores = 0;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) return 0;
    for (int i = 0; i < MOST_CORES; i++)
        if (CPU_ISSET(i, &set)) cores |= (uint64_t)1 << i;
    return cores;
}

/* Cores of phones differ; the kernel tells their capacity, or how fast their clocks can be. */
uint64_t big_cores(void) {
    static const char *const told[] = {CPU "cpu_capacity", CPU "cpufreq/cpuinfo_max_freq"};
    uint64_t allowed = allowed_cores();
    for (int k = 0; k < 2; k++) {
        double most = 0;
        uint64_t cores = 0;
        for (int i = 0; i < MOST_CORES; i++) {
            double value = allowed >> i & 1 ? number_of(told[k], i) : NAN;
            if (isnan(value) || value < most) continue;
            if (value > most) cores = 0;
            most = value;
            cores |= (uint64_t)1 << i;
        }
        if (cores) return cores;
    }
    return allowed;
}

int pin(uint64_t cores) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < MOST_CORES; i++)
        if (cores >> i & 1) CPU_SET(i, &set);
    return !sched_setaffinity(0, sizeof set, &set);
}

/* Of the hottest part, in degrees; NAN where nothing tells. */
static double hottest(void) {
    double most = NAN;
    for (int i = 0; i < 200; i++) {
        double value = number_of("/sys/class/thermal/thermal_zone%d/temp", i) / 1000;
        if (value > -50 && value < 200 && !(value <= most)) most = value;
    }
    return most;
}

void wait_until_cool(double celsius, double seconds) {
    for (; seconds > 0 && hottest() > celsius; seconds--) sleep(1);
}

/* Whether anything holds the clocks of the cores down: 1, 0, or -1 where nothing tells. */
static int is_throttled(void) {
    int found = -1;
    for (int i = 0; i < 200; i++) {
        const char *type = line_of("/sys/class/thermal/cooling_device%d/type", i);
        if (!strstr(type, "cpufreq") && !strstr(type, "Processor")) continue;
        double state = number_of("/sys/class/thermal/cooling_device%d/cur_state", i);
        if (!isnan(state) && found < 1) found = state > 0;
    }
    return found;
}

/* Governor and clock are those of the last of the cores. */
void say_state(uint64_t cores) {
    int core = MOST_CORES - 1;
    while (core > 0 && !(cores >> core & 1)) core--;
    double celsius = hottest(), mhz = number_of(CPU "cpufreq/scaling_cur_freq", core) / 1000;
    double load = number_of("/proc/loadavg", 0);
    int throttled = is_throttled();
    say("{\"governor\":");
    const char *governor = line_of(CPU "cpufreq/scaling_governor", core);
    if (*governor) say_text(governor);
    else say("null");
    say(",\"mhz\":");
    say_number(mhz, 1);
    say(",\"celsius\":");
    say_number(celsius, 1);
    say(",\"load\":");
    say_number(load, 1);
    say(",\"throttled\":\"%s\"}", throttled < 0 ? "unknown" : throttled ? "yes" : "no");
}

/* One at a time in a folder, whoever asks, and one that a lost connection has left behind too. */
void lock_folder(const char *folder) {
    char path[512];
    snprintf(path, sizeof path, "%s/lock", folder);
    int file = open(path, O_CREAT | O_RDWR, 0600);
    if (file >= 0) flock(file, LOCK_EX); /* Held until the process ends. */
}

typedef struct { char path[512]; double bytes; time_t used; } Kept;

static int earlier(const void *a, const void *b) {
    const Kept *x = a, *y = b;
    return x->used < y->used ? -1 : x->used > y->used;
}

/* Remove what was not used for the longest time, until no more than `most` bytes are left: files called after a SHA-256
   alone, and none of `used`. */
void tidy(const char *folder, double most, const char *const *used, int count) {
    Kept *kept = need(malloc(MOST_FILES * sizeof *kept));
    DIR *listed = opendir(folder);
    double total = 0;
    int files = 0;
    for (int i = 0; i < count; i++) utime(used[i], NULL);
    for (struct dirent *entry; listed && files < MOST_FILES && (entry = readdir(listed));) {
        struct stat told;
        size_t digits = strspn(entry->d_name, "0123456789abcdef");
        snprintf(kept[files].path, sizeof kept[files].path, "%s/%s", folder, entry->d_name);
        if (digits < 64 || stat(kept[files].path, &told)) continue;
        kept[files].bytes = (double)told.st_size;
        kept[files].used = told.st_mtime;
        total += kept[files++].bytes;
    }
    if (listed) closedir(listed);
    qsort(kept, (size_t)files, sizeof *kept, earlier);
    for (int i = 0; i < files && total > most; i++) {
        int is_used = 0;
        for (int j = 0; j < count; j++) is_used |= !strcmp(kept[i].path, used[j]);
        if (!is_used && !unlink(kept[i].path)) total -= kept[i].bytes;
    }
    free(kept);
}
