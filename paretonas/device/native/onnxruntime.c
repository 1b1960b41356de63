/* ONNX Runtime by its C API. Its table of functions only ever grows at its end, so the positions below, which are all of
   version 1, hold for every library since 2019. They are those of `struct OrtApi` in onnxruntime_c_api.h. */
#include "runner.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PORTS 64

typedef struct Status Status; /* NULL where it went well. */

typedef struct {
    const void *(*table)(uint32_t version);
    const char *(*version)(void);
} Base;

typedef struct {
    void *skipped_0[2];
    const char *(*GetErrorMessage)(const Status *);
    Status *(*CreateEnv)(int severity, const char *name, void **env);
    void *skipped_4[3];
    Status *(*CreateSession)(const void *env, const char *path, const void *options, void **session);
    void *skipped_8[1];
    Status *(*Run)(void *session, const void *options, const char *const *inputs, const void *const *values, size_t count,
                   const char *const *outputs, size_t outputs_count, void **found);
    Status *(*CreateSessionOptions)(void **options);
    void *skipped_11[11];
    Status *(*SetSessionLogSeverityLevel)(void *options, int severity);
    void *skipped_23[1];
    Status *(*SetIntraOpNumThreads)(void *options, int threads);
    Status *(*SetInterOpNumThreads)(void *options, int threads);
    void *skipped_26[4];
    Status *(*SessionGetInputCount)(const void *session, size_t *count);
    Status *(*SessionGetOutputCount)(const void *session, size_t *count);
    void *skipped_32[4];
    Status *(*SessionGetInputName)(const void *session, size_t index, void *allocator, char **name);
    Status *(*SessionGetOutputName)(const void *session, size_t index, void *allocator, char **name);
    void *skipped_38[11];
    Status *(*CreateTensorWithDataAsOrtValue)(const void *memory, void *data, size_t bytes, const int64_t *shape,
                                              size_t rank, int type, void **value);
    Status *(*IsTensor)(const void *value, int *is_tensor);
    Status *(*GetTensorMutableData)(void *value, void **data);
    void *skipped_52[8];
    Status *(*GetTensorElementType)(const void *info, int *type);
    Status *(*GetDimensionsCount)(const void *info, size_t *rank);
    Status *(*GetDimensions)(const void *info, int64_t *shape, size_t rank);
    void *skipped_63[2];
    Status *(*GetTensorTypeAndShape)(const void *value, void **info);
    void *skipped_66[3];
    Status *(*CreateCpuMemoryInfo)(int allocator, int kind, void **memory);
    void *skipped_70[8];
    Status *(*GetAllocatorWithDefaultOptions)(void **allocator);
    void *skipped_79[16];
    void (*ReleaseSession)(void *session);
    void (*ReleaseValue)(void *value);
    void *skipped_97[2];
    void (*ReleaseTensorTypeAndShapeInfo)(void *info);
} Api;

typedef char positions_are_right[offsetof(Api, ReleaseTensorTypeAndShapeInfo) == 99 * sizeof(void *) ? 1 : -1];

typedef struct {
    void *session;
    size_t inputs, outputs;
    char *input_names[MOST_PORTS], *output_names[MOST_PORTS];
    void *fed[MOST_PORTS], *found[MOST_PORTS];
} Model;

static const Base *base;
static const Api *api;
static void *env, *options, *memory, *allocator;

static void check(Status *status, const char *what) {
    if (status) fail("MeasureError", "ONNX Runtime cannot %s: %s", what, api->GetErrorMessage(status));
}

static void start(void *library, int threads) {
    const Base *(*get_base)(void);
    *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    if (!get_base) fail("MeasureError", "The library has no OrtGetApiBase: it is not ONNX Runtime's.");
    base = get_base();
    api = base->table(1);
    if (!api) fail("MeasureError", "ONNX Runtime %s has no C API of version 1.", base->version());
    check(api->CreateEnv(3, "paretonas", &env), "begin");
    check(api->CreateSessionOptions(&options), "begin");
    check(api->SetSessionLogSeverityLevel(options, 3), "begin");
    check(api->SetIntraOpNumThreads(options, threads), "take threads");
    check(api->SetInterOpNumThreads(options, 1), "take threads");
    check(api->CreateCpuMemoryInfo(1, 0, &memory), "begin");
    check(api->GetAllocatorWithDefaultOptions(&allocator), "begin");
}

static const char *version(void) { return base->version(); }

static void *load(const char *path) {
    Model *model = need(calloc(1, sizeof *model));
    check(api->CreateSession(env, path, options, &model->session), "load the model");
    check(api->SessionGetInputCount(model->session, &model->inputs), "load the model");
    check(api->SessionGetOutputCount(model->session, &model->outputs), "load the model");
    if (model->inputs > MOST_PORTS || model->outputs > MOST_PORTS)
        fail("MeasureError", "A model has %d inputs and outputs at most.", MOST_PORTS);
    for (size_t i = 0; i < model->inputs; i++)
        check(api->SessionGetInputName(model->session, i, allocator, &model->input_names[i]), "load the model");
    for (size_t i = 0; i < model->outputs; i++)
        check(api->SessionGetOutputName(model->session, i, allocator, &model->output_names[i]), "load the model");
    return model;
}

static void release(void **values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (values[i]) api->ReleaseValue(values[i]);
    memset(values, 0, count * sizeof *values);
}

static void feed(void *loaded, const Tensor *inputs, int count) {
    Model *model = loaded;
    if ((size_t)count != model->inputs)
        fail("MeasureError", "ONNX Runtime cannot run the model: it has %zu inputs, but got %d.", model->inputs, count);
    release(model->fed, model->inputs);
    for (int i = 0; i < count; i++)
        check(api->CreateTensorWithDataAsOrtValue(memory, inputs[i].data, inputs[i].bytes, inputs[i].shape,
                                                  (size_t)inputs[i].rank, inputs[i].type, &model->fed[i]),
              "take an input");
}

static void run(void *loaded) {
    Model *model = loaded;
    release(model->found, model->outputs);
    check(api->Run(model->session, NULL, (const char *const *)model->input_names, (const void *const *)model->fed,
                   model->inputs, (const char *const *)model->output_names, model->outputs, model->found),
          "run the model");
}

static int outputs(void *loaded, Tensor *found, int most) {
    Model *model = loaded;
    for (int i = 0; i < (int)model->outputs && i < most; i++) {
        void *info;
        size_t rank;
        int is_tensor = 0;
        check(api->IsTensor(model->found[i], &is_tensor), "give its outputs");
        if (!is_tensor) fail("MeasureError", "ONNX Runtime cannot run the model: an output is no tensor.");
        check(api->GetTensorTypeAndShape(model->found[i], &info), "give its outputs");
        check(api->GetTensorElementType(info, &found[i].type), "give its outputs");
        check(api->GetDimensionsCount(info, &rank), "give its outputs");
        if (rank > MOST_SIDES) fail("MeasureError", "A tensor has %d sides at most, but got %zu.", MOST_SIDES, rank);
        check(api->GetDimensions(info, found[i].shape, rank), "give its outputs");
        api->ReleaseTensorTypeAndShapeInfo(info);
        found[i].rank = (int)rank;
        found[i].bytes = bytes_of(found[i].type, found[i].shape, found[i].rank);
        check(api->GetTensorMutableData(model->found[i], &found[i].data), "give its outputs");
    }
    return (int)model->outputs;
}

static void unload(void *loaded) {
    Model *model = loaded;
    release(model->fed, model->inputs);
    release(model->found, model->outputs);
    api->ReleaseSession(model->session); /* Names stay with the allocator: some bytes a load. */
    free(model);
}

const Engine onnxruntime_engine = {"onnxruntime", start, version, load, feed, run, outputs, unload};
