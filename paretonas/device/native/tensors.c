/* Files of examples: `paretonas-tensors`, the numbers of examples and of tensors of each (int64), then the tensors:
   type, rank and sides (int64), then the numbers as they are. Little-endian, as are all phones. */
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[16] = "paretonas-tensor";
#define MOST_TENSORS (1 << 24)
#define MOST_BYTES ((size_t)1 << 40)

static const struct { int type; size_t bytes; const char *name; } TYPES[] = {
    {FLOAT32, 4, "float32"}, {UINT8, 1, "uint8"}, {INT8, 1, "int8"},       {INT32, 4, "int32"},
    {INT64, 8, "int64"},     {BOOL, 1, "bool"},   {FLOAT16, 2, "float16"}, {FLOAT64, 8, "float64"},
};

static int known(int type) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (TYPES[i].type == type) return (int)i;
    fail("MeasureError", "A tensor is of numbers of 1, 2, 4 or 8 bytes, but got the ONNX type %d.", type);
}

size_t bytes_of(int type, const int64_t *shape, int rank) {
    size_t bytes = TYPES[known(type)].bytes;
    if (rank < 0 || rank > MOST_SIDES) fail("MeasureError", "A tensor has %d sides at most, but got %d.", MOST_SIDES, rank);
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0 || (shape[i] && bytes > MOST_BYTES / (size_t)shape[i]))
            fail("MeasureError", "A tensor has fixed sides, but got one of %" PRId64 ".", shape[i]);
        bytes *= (size_t)shape[i];
    }
    return bytes;
}

const char *described(const Tensor *tensor) {
    static char text[256];
    int at = snprintf(text, sizeof text, "%s[", TYPES[known(tensor->type)].name);
    for (int i = 0; i < tensor->rank; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, i ? ",%" PRId64 : "%" PRId64, tensor->shape[i]);
    snprintf(text + at, sizeof text - (size_t)at, "]");
    return text;
}

static void get(FILE *file, void *to, size_t bytes, const char *path) {
    if (fread(to, 1, bytes, file) != bytes) fail("MeasureError", "%s is no whole file of examples.", path);
}

int read_examples(const char *path, Tensor **tensors, int *each) {
    FILE *file = fopen(path, "rb");
    char magic[sizeof MAGIC];
    int64_t counts[2], head[2];
    if (!file) fail("MeasureError", "%s cannot be read.", path);
    get(file, magic, sizeof magic, path);
    get(file, counts, sizeof counts, path);
    if (memcmp(magic, MAGIC, sizeof MAGIC) || counts[0] < 1 || counts[1] < 1 || counts[0] > MOST_TENSORS / counts[1])
        fail("MeasureError", "%s is no file of examples.", path);
    size_t count = (size_t)(counts[0] * counts[1]);
    *tensors = need(calloc(count, sizeof **tensors));
    for (size_t i = 0; i < count; i++) {
        Tensor *tensor = *tensors + i;
        get(file, head, sizeof head, path);
        if (head[1] < 0 || head[1] > MOST_SIDES) fail("MeasureError", "%s is no file of examples.", path);
        tensor->type = (int)head[0];
        tensor->rank = (int)head[1];
        get(file, tensor->shape, sizeof *tensor->shape * (size_t)tensor->rank, path);
        tensor->bytes = bytes_of(tensor->type, tensor->shape, tensor->rank);
        if (posix_memalign(&tensor->data, 64, tensor->bytes + 1)) need(NULL);
        get(file, tensor->data, tensor->bytes, path);
    }
    fclose(file);
    *each = (int)counts[1];
    return (int)counts[0];
}

static void put(FILE *file, const void *from, size_t bytes) {
    if (fwrite(from, 1, bytes, file) != bytes) fail("MachineError", "No space left on device for what the model gives.");
}

void *begin_examples(const char *path, int examples, int each) {
    int64_t counts[2] = {examples, each};
    FILE *file = fopen(path, "wb");
    if (!file) fail("MachineError", "%s cannot be written.", path);
    put(file, MAGIC, sizeof MAGIC);
    put(file, counts, sizeof counts);
    return file;
}

void write_tensor(void *file, const Tensor *tensor) {
    int64_t head[2] = {tensor->type, tensor->rank};
    put(file, head, sizeof head);
    put(file, tensor->shape, sizeof *tensor->shape * (size_t)tensor->rank);
    put(file, tensor->data, tensor->bytes);
}

size_t end_examples(void *file) {
    long bytes = ftell(file);
    if (fclose(file)) fail("MachineError", "No space left on device for what the model gives.");
    return (size_t)bytes;
}
