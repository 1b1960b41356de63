/* The answer: a line of JSON, then a line with its length, without which nobody believes it. */
#include "runner.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *document;
static size_t length, room;
static int output = 1;

static void on_signal(int number);

/* What engines print goes to the standard error, so that it stands in no answer's way. */
void begin_answer(void) {
    static const int deadly[] = {SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    output = dup(1);
    dup2(2, 1);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], on_signal);
}

void *need(void *memory) {
    if (!memory) fail("MachineError", "The device has no memory left.");
    return memory;
}

static void append(const char *text, size_t count) {
    if (length + count + 1 > room) {
        room = 2 * room + count + 4096;
        document = need(realloc(document, room));
    }
    memcpy(document + length, text, count);
    document[length += count] = 0;
}

void say(const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    int count = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    append(text, count < (int)sizeof text ? (size_t)count : sizeof text - 1);
}

void say_text(const char *text) {
    append("\"", 1);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') say("\\%c", c);
        else if (c < 32 || c > 126) say("\\u%04x", c); /* Bytes beyond ASCII are read as Latin-1: no answer breaks. */
        else append(text, 1);
    }
    append("\"", 1);
}

void say_number(double value, int is_known) {
    if (is_known && isfinite(value)) say("%.10g", value);
    else say("null");
}

static void put(const char *text, size_t count) {
    while (count) {
        ssize_t written = write(output, text, count);
        if (written <= 0) return;
        text += written;
        count -= (size_t)written;
    }
}

void end_answer(void) {
    char last[64];
    int count = snprintf(last, sizeof last, "\nparetonas-end %zu\n", length);
    fflush(NULL);
    put("\n", 1);
    put(document, length);
    put(last, (size_t)count);
    _exit(0); /* Engines' own farewells have crashed before. */
}

void fail(const char *kind, const char *format, ...) {
    char text[2048];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    length = 0;
    say("{\"error\":\"%s\",\"text\":", kind);
    say_text(text);
    say("}");
    end_answer();
}

static void two_digits(char *where, size_t number) {
    where[0] = (char)('0' + number / 10 % 10);
    where[1] = (char)('0' + number % 10);
}

void limit_seconds(unsigned seconds) { alarm(seconds); }

/* Nothing here but `write`, as whatever was interrupted may hold any lock. */
static void on_signal(int number) {
    static char late[] = "{\"error\":\"MeasureError\",\"text\":\"It ran past its time limit.\"}";
    static char crash[] = "{\"error\":\"MeasureError\",\"text\":\"The engine crashed with signal 00.\"}";
    char last[] = "\nparetonas-end 00\n";
    char *text = number == SIGALRM ? late : crash;
    size_t count = strlen(text);
    if (text == crash) two_digits(strstr(crash, "00."), (size_t)number);
    two_digits(strstr(last, "00"), count);
    put("\n", 1);
    put(text, count);
    put(last, sizeof last - 1);
    _exit(1);
}
