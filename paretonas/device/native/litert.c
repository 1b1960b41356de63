/* LiteRT, by whichever C API its library has: that of TensorFlow Lite (libtensorflowlite_c.so, libtensorflowlite_jni.so),
   which is stable, or LiteRT's own (libLiteRt.so), which is used as of its version 2. */
#include "runner.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PORTS 64
#define FUNCTION(object, prefix, name) *(void **)&(object).name = symbol(prefix #name)

/* Codes of TensorFlow Lite, which LiteRT shares, by ours. */
static const int CODES[][2] = {{FLOAT32, 1}, {INT32, 2}, {UINT8, 3},    {INT64, 4},
                               {BOOL, 6},    {INT8, 9},  {FLOAT16, 10}, {FLOAT64, 11}};

typedef struct {
    int code;             /* Of its numbers. */
    uint32_t rank : 7;    /* In one word with whether it has strides. */
    uint32_t strided : 1;
    int32_t sides[MOST_SIDES];
    uint32_t strides[MOST_SIDES];
} RankedType;

static struct {
    const char *(*Version)(void);
    void *(*ModelCreateFromFile)(const char *path);
    void (*ModelDelete)(void *model);
    void *(*InterpreterOptionsCreate)(void);
    void (*InterpreterOptionsDelete)(void *options);
    void (*InterpreterOptionsSetNumThreads)(void *options, int32_t threads);
    void (*InterpreterOptionsAddDelegate)(void *options, void *delegate);
    void *(*XNNPackDelegateCreate)(const void *options);
    void (*XNNPackDelegateDelete)(void *delegate);
    void *(*InterpreterCreate)(const void *model, const void *options);
    void (*InterpreterDelete)(void *interpreter);
    int (*InterpreterAllocateTensors)(void *interpreter);
    int (*InterpreterInvoke)(void *interpreter);
    int32_t (*InterpreterGetInputTensorCount)(const void *interpreter);
    void *(*InterpreterGetInputTensor)(const void *interpreter, int32_t index);
    int32_t (*InterpreterGetOutputTensorCount)(const void *interpreter);
    const void *(*InterpreterGetOutputTensor)(const void *interpreter, int32_t index);
    int (*TensorType)(const void *tensor);
    int32_t (*TensorNumDims)(const void *tensor);
    int32_t (*TensorDim)(const void *tensor, int32_t index);
    size_t (*TensorByteSize)(const void *tensor);
    void *(*TensorData)(const void *tensor);
} tf;

static struct {
    int (*CreateEnvironment)(int count, const void *options, void **env);
    int (*CreateModelFromFile)(void *env, const char *path, void **model);
    void (*DestroyModel)(void *model);
    int (*CreateOptions)(void **options);
    int (*SetOptionsHardwareAccelerators)(void *options, int accelerators);
    int (*CreateOpaqueOptions)(const char *name, void *text, void (*free)(void *), void **opaque);
    int (*AddOpaqueOptions)(void *options, void *opaque);
    int (*CreateCompiledModel)(void *env, void *model, void *options, void **compiled);
    void (*DestroyCompiledModel)(void *compiled);
    int (*GetModelSignature)(void *model, size_t index, void **signature);
    int (*GetNumSignatureInputs)(void *signature, size_t *count);
    int (*GetNumSignatureOutputs)(void *signature, size_t *count);
    int (*GetSignatureInputTensorByIndex)(void *signature, size_t index, void **tensor);
    int (*GetSignatureOutputTensorByIndex)(void *signature, size_t index, void **tensor);
    int (*GetRankedTensorType)(void *tensor, RankedType *type);
    int (*GetCompiledModelInputBufferRequirements)(void *compiled, size_t signature, size_t index, void **needs);
    int (*GetCompiledModelOutputBufferRequirements)(void *compiled, size_t signature, size_t index, void **needs);
    int (*CreateManagedTensorBufferFromRequirements)(void *env, const RankedType *type, void *needs, void **buffer);
    void (*DestroyTensorBuffer)(void *buffer);
    int (*LockTensorBuffer)(void *buffer, void **data, int mode);
    int (*UnlockTensorBuffer)(void *buffer);
    int (*RunCompiledModel)(void *compiled, size_t signature, size_t count, void **inputs, size_t given, void **outputs);
} rt;

typedef struct {
    void *model, *runs; /* The interpreter, or the compiled model. */
    void *delegate;     /* TensorFlow Lite's. */
    size_t inputs, outputs;
    void *in[MOST_PORTS], *out[MOST_PORTS]; /* Tensors, or buffers. */
    Tensor takes[MOST_PORTS], gives[MOST_PORTS];
    const Tensor *fed;
} Model;

static void *opened, *options, *env;
static int thread_count, is_tf;

static void *symbol(const char *name) {
    void *found = dlsym(opened, name);
    if (!found) fail("MeasureError", "The library has no %s: it is not LiteRT's, or not of a version that is known.", name);
    return found;
}

static void check(int status, const char *what) {
    if (status) fail("MeasureError", "LiteRT cannot %s (status %d).", what, status);
}

static void start_tf(void) {
    FUNCTION(tf, "TfLite", Version);
    FUNCTION(tf, "TfLite", ModelCreateFromFile);
    FUNCTION(tf, "TfLite", ModelDelete);
    FUNCTION(tf, "TfLite", InterpreterOptionsCreate);
    FUNCTION(tf, "TfLite", InterpreterOptionsDelete);
    FUNCTION(tf, "TfLite", InterpreterOptionsSetNumThreads);
    FUNCTION(tf, "TfLite", InterpreterOptionsAddDelegate);
    FUNCTION(tf, "TfLite", XNNPackDelegateCreate);
    FUNCTION(tf, "TfLite", XNNPackDelegateDelete);
    FUNCTION(tf, "TfLite", InterpreterCreate);
    FUNCTION(tf, "TfLite", InterpreterDelete);
    FUNCTION(tf, "TfLite", InterpreterAllocateTensors);
    FUNCTION(tf, "TfLite", InterpreterInvoke);
    FUNCTION(tf, "TfLite", InterpreterGetInputTensorCount);
    FUNCTION(tf, "TfLite", InterpreterGetInputTensor);
    FUNCTION(tf, "TfLite", InterpreterGetOutputTensorCount);
    FUNCTION(tf, "TfLite", InterpreterGetOutputTensor);
    FUNCTION(tf, "TfLite", TensorType);
    FUNCTION(tf, "TfLite", TensorNumDims);
    FUNCTION(tf, "TfLite", TensorDim);
    FUNCTION(tf, "TfLite", TensorByteSize);
    FUNCTION(tf, "TfLite", TensorData);
    if (thread_count > 1) /* Options of the delegate are passed in a struct that every version lays out otherwise. */
        fail("MeasureError", "By TensorFlow Lite's C API the runner has one thread alone. Take threads=1, or libLiteRt.so.");
}

static void start_rt(void) {
    FUNCTION(rt, "LiteRt", CreateEnvironment);
    FUNCTION(rt, "LiteRt", CreateModelFromFile);
    FUNCTION(rt, "LiteRt", DestroyModel);
    FUNCTION(rt, "LiteRt", CreateOptions);
    FUNCTION(rt, "LiteRt", SetOptionsHardwareAccelerators);
    FUNCTION(rt, "LiteRt", CreateOpaqueOptions);
    FUNCTION(rt, "LiteRt", AddOpaqueOptions);
    FUNCTION(rt, "LiteRt", CreateCompiledModel);
    FUNCTION(rt, "LiteRt", DestroyCompiledModel);
    FUNCTION(rt, "LiteRt", GetModelSignature);
    FUNCTION(rt, "LiteRt", GetNumSignatureInputs);
    FUNCTION(rt, "LiteRt", GetNumSignatureOutputs);
    FUNCTION(rt, "LiteRt", GetSignatureInputTensorByIndex);
    FUNCTION(rt, "LiteRt", GetSignatureOutputTensorByIndex);
    FUNCTION(rt, "LiteRt", GetRankedTensorType);
    FUNCTION(rt, "LiteRt", GetCompiledModelInputBufferRequirements);
    FUNCTION(rt, "LiteRt", GetCompiledModelOutputBufferRequirements);
    FUNCTION(rt, "LiteRt", CreateManagedTensorBufferFromRequirements);
    FUNCTION(rt, "LiteRt", DestroyTensorBuffer);
    FUNCTION(rt, "LiteRt", LockTensorBuffer);
    FUNCTION(rt, "LiteRt", UnlockTensorBuffer);
    FUNCTION(rt, "LiteRt", RunCompiledModel);
    check(rt.CreateEnvironment(0, NULL, &env), "begin");
}

static void start(void *library, int threads) {
    opened = library;
    thread_count = threads;
    is_tf = dlsym(library, "TfLiteModelCreateFromFile") != NULL;
    if (is_tf) start_tf();
    else start_rt();
}

static const char *version(void) { return is_tf ? tf.Version() : "2, by its own C API"; }

static int type_of(int code) {
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++)
        if (CODES[i][1] == code) return CODES[i][0];
    fail("MeasureError", "LiteRT gives a tensor of a type that is not known here (%d).", code);
}

static size_t ports(size_t count) {
    if (count > MOST_PORTS) fail("MeasureError", "A model has %d inputs and outputs at most.", MOST_PORTS);
    return count;
}

/* TensorFlow Lite's */

static void describe_tf(const void *tensor, Tensor *found) {
    found->type = type_of(tf.TensorType(tensor));
    found->rank = tf.TensorNumDims(tensor);
    if (found->rank > MOST_SIDES) fail("MeasureError", "A tensor has %d sides at most, but got %d.", MOST_SIDES, found->rank);
    for (int i = 0; i < found->rank; i++) found->shape[i] = tf.TensorDim(tensor, i);
    found->bytes = tf.TensorByteSize(tensor);
    found->data = tf.TensorData(tensor);
}

static void load_tf(Model *model, const char *path) {
    model->model = tf.ModelCreateFromFile(path);
    if (!model->model) fail("MeasureError", "LiteRT cannot load the model: it is no .tflite file.");
    void *chosen = need(tf.InterpreterOptionsCreate());
    model->delegate = need(tf.XNNPackDelegateCreate(NULL)); /* Not all libraries have it unless they are asked. */
    tf.InterpreterOptionsSetNumThreads(chosen, thread_count);
    tf.InterpreterOptionsAddDelegate(chosen, model->delegate);
    model->runs = tf.InterpreterCreate(model->model, chosen);
    tf.InterpreterOptionsDelete(chosen);
    if (!model->runs) fail("MeasureError", "LiteRT cannot load the model: it has operations that this version lacks.");
    check(tf.InterpreterAllocateTensors(model->runs), "allocate the model's tensors");
    model->inputs = ports((size_t)tf.InterpreterGetInputTensorCount(model->runs));
    model->outputs = ports((size_t)tf.InterpreterGetOutputTensorCount(model->runs));
    for (size_t i = 0; i < model->inputs; i++) {
        model->in[i] = tf.InterpreterGetInputTensor(model->runs, (int32_t)i);
        describe_tf(model->in[i], &model->takes[i]);
    }
}

/* LiteRT's own */

static void free_text(void *text) { free(text); }

static void describe_rt(const RankedType *type, Tensor *found) {
    found->type = type_of(type->code);
    found->rank = (int)type->rank;
    if (found->rank > MOST_SIDES) fail("MeasureError", "A tensor has %d sides at most, but got %d.", MOST_SIDES, found->rank);
    for (int i = 0; i < found->rank; i++) found->shape[i] = type->sides[i];
    found->bytes = bytes_of(found->type, found->shape, found->rank);
}

static void *compiled_options(void) {
    void *made, *opaque;
    char *text = need(malloc(32));
    snprintf(text, 32, "num_threads = %d\n", thread_count);
    check(rt.CreateOptions(&made), "make options");
    check(rt.SetOptionsHardwareAccelerators(made, 1), "choose the CPU");
    check(rt.CreateOpaqueOptions("xnnpack", text, free_text, &opaque), "take threads");
    check(rt.AddOpaqueOptions(made, opaque), "take threads");
    return made;
}

static void buffer_rt(void *tensor, void *needs, Tensor *found, void **buffer) {
    RankedType type;
    memset(&type, 0, sizeof type);
    check(rt.GetRankedTensorType(tensor, &type), "tell the shape of a tensor");
    describe_rt(&type, found);
    check(rt.CreateManagedTensorBufferFromRequirements(env, &type, needs, buffer), "make a buffer");
}

static void load_rt(Model *model, const char *path) {
    void *signature, *tensor, *needs;
    if (!options) options = compiled_options();
    check(rt.CreateModelFromFile(env, path, &model->model), "load the model");
    check(rt.CreateCompiledModel(env, model->model, options, &model->runs), "load the model");
    check(rt.GetModelSignature(model->model, 0, &signature), "find the model's signature");
    check(rt.GetNumSignatureInputs(signature, &model->inputs), "find the model's inputs");
    check(rt.GetNumSignatureOutputs(signature, &model->outputs), "find the model's outputs");
    for (size_t i = 0; i < ports(model->inputs); i++) {
        check(rt.GetSignatureInputTensorByIndex(signature, i, &tensor), "find an input");
        check(rt.GetCompiledModelInputBufferRequirements(model->runs, 0, i, &needs), "find an input");
        buffer_rt(tensor, needs, &model->takes[i], &model->in[i]);
    }
    for (size_t i = 0; i < ports(model->outputs); i++) {
        check(rt.GetSignatureOutputTensorByIndex(signature, i, &tensor), "find an output");
        check(rt.GetCompiledModelOutputBufferRequirements(model->runs, 0, i, &needs), "find an output");
        buffer_rt(tensor, needs, &model->gives[i], &model->out[i]);
    }
}

/* Either */

static void *load(const char *path) {
    Model *model = need(calloc(1, sizeof *model));
    if (is_tf) load_tf(model, path);
    else load_rt(model, path);
    return model;
}

static void feed(void *loaded, const Tensor *inputs, int count) {
    Model *model = loaded;
    if ((size_t)count != model->inputs)
        fail("MeasureError", "LiteRT cannot run the model: it has %zu inputs, but got %d.", model->inputs, count);
    for (int i = 0; i < count; i++) {
        const Tensor *takes = &model->takes[i];
        int is_alike = takes->type == inputs[i].type && takes->rank == inputs[i].rank &&
                       !memcmp(takes->shape, inputs[i].shape, sizeof *takes->shape * (size_t)takes->rank);
        if (!is_alike) {
            char got[256];
            snprintf(got, sizeof got, "%s", described(&inputs[i]));
            fail("MeasureError", "LiteRT cannot run the model: input %d is %s, but got %s.", i, described(takes), got);
        }
    }
    model->fed = inputs;
}

static void run(void *loaded) {
    Model *model = loaded;
    for (size_t i = 0; i < model->inputs; i++) {
        void *data = model->takes[i].data;
        if (!is_tf) check(rt.LockTensorBuffer(model->in[i], &data, 1), "take an input");
        memcpy(data, model->fed[i].data, model->fed[i].bytes);
        if (!is_tf) check(rt.UnlockTensorBuffer(model->in[i]), "take an input");
    }
    check(is_tf ? tf.InterpreterInvoke(model->runs)
                : rt.RunCompiledModel(model->runs, 0, model->inputs, model->in, model->outputs, model->out),
          "run the model");
}

static int outputs(void *loaded, Tensor *found, int most) {
    Model *model = loaded;
    for (int i = 0; i < (int)model->outputs && i < most; i++) {
        if (is_tf) {
            describe_tf(tf.InterpreterGetOutputTensor(model->runs, i), &found[i]);
        } else {
            found[i] = model->gives[i];
            check(rt.LockTensorBuffer(model->out[i], &found[i].data, 0), "give an output");
            check(rt.UnlockTensorBuffer(model->out[i]), "give an output"); /* Host memory: it stays where it is. */
        }
    }
    return (int)model->outputs;
}

static void unload(void *loaded) {
    Model *model = loaded;
    for (size_t i = 0; !is_tf && i < model->inputs; i++) rt.DestroyTensorBuffer(model->in[i]);
    for (size_t i = 0; !is_tf && i < model->outputs; i++) rt.DestroyTensorBuffer(model->out[i]);
    (is_tf ? tf.InterpreterDelete : rt.DestroyCompiledModel)(model->runs);
    (is_tf ? tf.ModelDelete : rt.DestroyModel)(model->model);
    if (is_tf) tf.XNNPackDelegateDelete(model->delegate);
    free(model);
}

const Engine litert_engine = {"litert", start, version, load, feed, run, outputs, unload};
