/* Times and runs models where paretonas is not: on a phone, by the shared library of an engine.

   runner version OPTIONS
   runner measure OPTIONS CANDIDATE REFERENCE CANDIDATE_EXAMPLES REFERENCE_EXAMPLES
   runner run     OPTIONS MODEL EXAMPLES OUTPUTS
   runner app     OPTIONS MODEL EXAMPLES

   The answer is one line of JSON, then `paretonas-end` and its length. How a measurement is made is told in timing.py:
   this is that protocol, step by step. */
#include "runner.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#define PROTOCOL 1

static struct {
    const char *engine, *library, *clock, *folder;
    double threads, cores, pairs, loads, shortest, settled, warmup, seconds, celsius, cooldown, keep, runs, every;
} options = {"", "", "thread", "", 1, 0, 20, 4, 1e-3, 0.1, 20, 600, 1e9, 0, 1e18, 1, 0};

static const struct { const char *name; const char **text; double *number; double least, most; } KNOWN[] = {
    {"engine", &options.engine, NULL, 0, 0},
    {"library", &options.library, NULL, 0, 0},
    {"clock", &options.clock, NULL, 0, 0},
    {"folder", &options.folder, NULL, 0, 0},
    {"threads", NULL, &options.threads, 1, 1024},
    {"cores", NULL, &options.cores, 0, 9e15},
    {"pairs", NULL, &options.pairs, 2, 100000},
    {"loads", NULL, &options.loads, 1, 100},
    {"shortest", NULL, &options.shortest, 0, 1e3},
    {"settled", NULL, &options.settled, 0, 1e9},
    {"warmup", NULL, &options.warmup, 3, 100000},
    {"seconds", NULL, &options.seconds, 1, 1e9},
    {"celsius", NULL, &options.celsius, -1e3, 1e9},
    {"cooldown", NULL, &options.cooldown, 0, 1e5},
    {"keep", NULL, &options.keep, 0, 1e18},
    {"runs", NULL, &options.runs, 1, 1e6},
    {"every", NULL, &options.every, 0, 1e5},
};

static const Engine *engine;

/* Options are `--name value`; what is left are files. */
static int read_options(int count, char **words, const char **files, int most) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        size_t k = 0, all = sizeof KNOWN / sizeof *KNOWN;
        if (strncmp(words[i], "--", 2)) {
            if (found == most) fail("MeasureError", "The runner takes %d files here, but got %s too.", most, words[i]);
            files[found++] = words[i];
            continue;
        }
        while (k < all && strcmp(words[i] + 2, KNOWN[k].name)) k++;
        if (k == all || i + 1 == count) fail("MeasureError", "The runner knows no option %s, or it has no value.", words[i]);
        if (KNOWN[k].text) {
            *KNOWN[k].text = words[++i];
            continue;
        }
        char *end, *word = words[++i];
        double value = strtod(word, &end); /* Reads a mask in hexadecimal too: 0xf0. */
        if (end == word || *end || !(value >= KNOWN[k].least && value <= KNOWN[k].most))
            fail("MeasureError", "%s is a number from %g to %g, but got %s.", words[i - 1], KNOWN[k].least, KNOWN[k].most, word);
        *KNOWN[k].number = value;
    }
    if (found < most) fail("MeasureError", "The runner takes %d files here, but got %d.", most, found);
    return found;
}

static void start_engine(void) {
    static const Engine *const engines[] = {&onnxruntime_engine, &litert_engine};
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
        if (!strcmp(options.engine, engines[i]->name)) engine = engines[i];
    if (!engine) fail("MeasureError", "The runner knows the engines onnxruntime and litert, but got '%s'.", options.engine);
    void *library = dlopen(options.library, RTLD_NOW | RTLD_GLOBAL);
    if (!library) fail("MeasureError", "The engine's library cannot be opened: %s", dlerror());
    engine->start(library, (int)options.threads);
}

static uint64_t chosen_cores(void) {
    uint64_t cores = options.cores > 0 ? (uint64_t)options.cores : big_cores();
    if (!strcmp(options.clock, "wall")) return cores;
    int last = 63;
    while (last > 0 && !(cores >> last & 1)) last--;
    return (uint64_t)1 << last; /* What is judged by CPU time has one core. */
}

static void say_cores(uint64_t cores) {
    say("[");
    for (int i = 0, is_first = 1; i < 64; i++)
        if (cores >> i & 1) {
            say(is_first ? "%d" : ",%d", i);
            is_first = 0;
        }
    say("]");
}

/* The protocol */

static double seconds_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct { void *model; long repeats; } Timer;
typedef struct { double wall, cpu; } Times;

static Times timed(const Timer *timer, long repeats) {
    clockid_t clock = strcmp(options.clock, "process") ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID;
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(clock);
    for (long i = 0; i < repeats; i++) engine->run(timer->model);
    cpu = seconds_of(clock) - cpu;
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    return (Times){wall / (double)repeats, cpu / (double)repeats};
}

static Timer loaded(const char *path, const Tensor *inputs, int count) {
    Timer timer = {engine->load(path), 1};
    engine->feed(timer.model, inputs, count);
    engine->run(timer.model);
    double once = 1e9;
    for (int i = 0; i < 3; i++) {
        double wall = timed(&timer, 1).wall;
        if (wall < once) once = wall;
    }
    if (once < options.shortest) {
        double repeats = options.shortest / (once > 1e-9 ? once : 1e-9) + 1;
        timer.repeats = repeats < 1000 ? (long)repeats : 1000;
    }
    return timer;
}

static int warm_up(const Timer *timer) {
    double last[3] = {0, 0, 0};
    for (int i = 0; i < (int)options.warmup; i++) {
        Times times = timed(timer, timer->repeats);
        last[i % 3] = strcmp(options.clock, "wall") ? times.cpu : times.wall;
        double low = last[0], high = last[0];
        for (int k = 1; k < 3; k++) {
            low = last[k] < low ? last[k] : low;
            high = last[k] > high ? last[k] : high;
        }
        if (i >= 2 && high <= (1 + options.settled) * low) return 1;
    }
    return 0;
}

static void say_times(const char *name, const Times *times, int count, int is_wall) {
    say(",\"%s\":[", name);
    for (int i = 0; i < count; i++) say(i ? ",%.10g" : "%.10g", is_wall ? times[2 * i].wall : times[2 * i].cpu);
    say("]");
}

/* Commands */

static void measure(const char **files) {
    Tensor *inputs[2];
    int counts[2], pairs = (int)options.pairs, loads = (int)options.loads, is_settled = 1, done = 0;
    for (int k = 0; k < 2; k++) read_examples(files[2 + k], &inputs[k], &counts[k]);
    uint64_t cores = chosen_cores();
    int is_pinned = pin(cores);
    if (!is_pinned && options.cores > 0) fail("MeasureError", "The device lets nobody use the cores %g.", options.cores);
    wait_until_cool(options.celsius, options.cooldown);
    say("{\"protocol\":%d,\"before\":", PROTOCOL);
    say_state(cores);
    Times *times = need(malloc(2 * (size_t)pairs * sizeof *times));
    Timer timers[2] = {{NULL, 0}, {NULL, 0}};
    if (loads > pairs / 2) loads = pairs / 2;
    say(",\"loads\":[");
    for (int load = 0; load < loads; load++) {
        int portion = pairs / loads + (load < pairs % loads);
        Timer fresh[2];
        for (int k = 0; k < 2; k++) fresh[k] = loaded(files[k], inputs[k], counts[k]);
        for (int k = 0; k < 2; k++) {
            if (timers[k].model) engine->unload(timers[k].model); /* Later, so that the new one lies elsewhere. */
            timers[k] = fresh[k];
        }
        for (int k = 0; k < 2; k++) is_settled &= warm_up(&timers[k]);
        for (int i = 0; i < portion; i++, done++)
            for (int k = 0; k < 2; k++) times[2 * done + k] = timed(&timers[k], timers[k].repeats);
        say(load ? ",%d" : "%d", portion);
    }
    say("],\"is_settled\":%s", is_settled ? "true" : "false");
    say_times("candidate_wall", times, pairs, 1);
    say_times("candidate_cpu", times, pairs, 0);
    say_times("reference_wall", times + 1, pairs, 1);
    say_times("reference_cpu", times + 1, pairs, 0);
    say(",\"cores\":");
    if (is_pinned) say_cores(cores);
    else say("null");
    say(",\"after\":");
    say_state(cores);
    say("}");
}

static void run_examples(const char **files) {
    Tensor *inputs, found[64];
    int each, examples = read_examples(files[1], &inputs, &each);
    void *model = engine->load(files[0]), *file = NULL;
    for (int i = 0; i < examples; i++) {
        engine->feed(model, inputs + i * each, each);
        engine->run(model);
        int count = engine->outputs(model, found, 64);
        if (!file) file = begin_examples(files[2], examples, count);
        for (int k = 0; k < count; k++) write_tensor(file, found + k);
    }
    say("{\"protocol\":%d,\"examples\":%d,\"bytes\":%zu}", PROTOCOL, examples, end_examples(file));
}

static long peak_bytes(void) {
    struct rusage used;
    return getrusage(RUSAGE_SELF, &used) ? 0 : used.ru_maxrss * 1024;
}

/* Loaded once, first run and all, on whatever core the system gives, with pauses: as `runner/app.py` does it. */
static void run_as_app(const char **files) {
    Tensor *inputs;
    int each, runs = (int)options.runs;
    read_examples(files[1], &inputs, &each);
    double *wall = need(malloc((size_t)runs * sizeof *wall));
    long before = peak_bytes();
    say("{\"protocol\":%d,\"before\":", PROTOCOL);
    say_state(big_cores());
    double since = seconds_of(CLOCK_MONOTONIC);
    void *model = engine->load(files[0]);
    double loaded = seconds_of(CLOCK_MONOTONIC);
    engine->feed(model, inputs, each);
    engine->run(model);
    double first = seconds_of(CLOCK_MONOTONIC), due = first;
    for (int i = 0; i < runs; i++) {
        double now = seconds_of(CLOCK_MONOTONIC);
        due = due + options.every > now ? due + options.every : now;
        struct timespec pause = {(time_t)(due - now), (long)(1e9 * (due - now - (double)(time_t)(due - now)))};
        nanosleep(&pause, NULL);
        double began = seconds_of(CLOCK_MONOTONIC);
        engine->run(model);
        wall[i] = seconds_of(CLOCK_MONOTONIC) - began;
    }
    say(",\"load\":%.10g,\"first\":%.10g,\"wall\":[", loaded - since, first - loaded);
    for (int i = 0; i < runs; i++) say(i ? ",%.10g" : "%.10g", wall[i]);
    say("],\"rss_before\":%ld,\"rss\":%ld,\"after\":", before, peak_bytes());
    say_state(big_cores());
    say("}");
}

static void tell_version(void) {
    struct utsname told;
    uint64_t cores = options.cores > 0 ? (uint64_t)options.cores : big_cores();
    uname(&told);
    say("{\"protocol\":%d,\"version\":", PROTOCOL);
    say_text(engine->version());
    say(",\"machine\":");
    say_text(told.machine);
    say(",\"cores\":");
    say_cores(cores);
    say(",\"state\":");
    say_state(cores);
    say("}");
}

int main(int count, char **words) {
    static const struct { const char *name; int files; } COMMANDS[] = {{"version", 0}, {"measure", 4}, {"run", 3}, {"app", 2}};
    const char *files[4], *used[6];
    int k = 0;
    begin_answer();
    while (k < 4 && (count < 2 || strcmp(words[1], COMMANDS[k].name))) k++;
    if (k == 4) fail("MeasureError", "The runner is asked for version, measure, run or app.");
    int found = read_options(count - 2, words + 2, files, COMMANDS[k].files);
    limit_seconds((unsigned)options.seconds);
    if (*options.folder && k) lock_folder(options.folder);
    for (int i = 0; i < found; i++) used[i] = files[i];
    used[found] = options.library;
    used[found + 1] = words[0];
    if (*options.folder) tidy(options.folder, options.keep, used, found + 2);
    start_engine();
    if (k == 0) tell_version();
    else if (k == 1) measure(files);
    else if (k == 2) run_examples(files);
    else run_as_app(files);
    end_answer();
}
