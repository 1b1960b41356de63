/* What the parts of the runner share. */
#ifndef PARETONAS_RUNNER_H
#define PARETONAS_RUNNER_H

#define _GNU_SOURCE /* Affinity; before any header of the system. */

#include <stddef.h>
#include <stdint.h>

#define MOST_SIDES 8

/* Types of numbers, by their ONNX codes; the file format of tensors has the same. */
enum { FLOAT32 = 1, UINT8 = 2, INT8 = 3, INT32 = 6, INT64 = 7, BOOL = 9, FLOAT16 = 10, FLOAT64 = 11 };

typedef struct {
    int type;
    int rank;
    int64_t shape[MOST_SIDES];
    size_t bytes;
    void *data;
} Tensor;

/* An engine, in a library that is opened by its path. Whatever goes wrong ends the process by `fail`. */
typedef struct {
    const char *name;
    void (*start)(void *library, int threads);
    const char *(*version)(void);
    void *(*load)(const char *path);
    void (*feed)(void *model, const Tensor *inputs, int count); /* They stay the caller's, and stay. */
    void (*run)(void *model);
    int (*outputs)(void *model, Tensor *found, int most); /* Of the last run, until the next one. */
    void (*unload)(void *model);
} Engine;

extern const Engine onnxruntime_engine, litert_engine;

/* answer.c: one JSON document on the standard output, and a last line that says how long it is. */
void begin_answer(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_text(const char *text); /* As a JSON string. */
void say_number(double value, int is_known); /* null if it is not. */
void end_answer(void) __attribute__((noreturn));
void fail(const char *kind, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));
void limit_seconds(unsigned seconds);
void *need(void *memory);

/* tensors.c */
size_t bytes_of(int type, const int64_t *shape, int rank);
const char *described(const Tensor *tensor); /* "float32[1,3,8,8]", in a buffer that the next call reuses. */
int read_examples(const char *path, Tensor **tensors, int *each);
void *begin_examples(const char *path, int examples, int each);
void write_tensor(void *file, const Tensor *tensor);
size_t end_examples(void *file);

/* system.c */
uint64_t big_cores(void); /* Of those that this process may use, the fastest; bit n is core n. */
int pin(uint64_t cores);  /* Whether the system let it. */
void say_state(uint64_t cores);
void wait_until_cool(double celsius, double seconds);
void lock_folder(const char *folder);
void tidy(const char *folder, double most, const char *const *used, int count);

#endif
