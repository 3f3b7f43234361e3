// The guest of the engine's tests in C, with wasi-libc: what each action does is
// what testdata/guest does.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENV(name) __attribute__((import_module("extism:host/env"), import_name(#name)))
#define USER(name) __attribute__((import_module("extism:host/user"), import_name(#name)))
#define ACTION(name) __attribute__((export_name(#name))) int32_t name##_action(void)

ENV(input_length) extern uint64_t input_length(void);
ENV(input_load_u8) extern uint32_t input_load_u8(uint64_t at);
ENV(input_load_u64) extern uint64_t input_load_u64(uint64_t at);
ENV(alloc) extern uint64_t ext_alloc(uint64_t n);
ENV(free) extern void ext_free(uint64_t at);
ENV(length) extern uint64_t ext_length(uint64_t at);
ENV(load_u8) extern uint32_t load_u8(uint64_t at);
ENV(store_u8) extern void store_u8(uint64_t at, uint32_t v);
ENV(store_u64) extern void store_u64(uint64_t at, uint64_t v);
ENV(output_set) extern void output_set(uint64_t at, uint64_t n);
ENV(error_set) extern void error_set(uint64_t at);
ENV(var_get) extern uint64_t var_get(uint64_t name);
ENV(var_set) extern void var_set(uint64_t name, uint64_t value);
ENV(log_info) extern void log_info(uint64_t at);
USER(echo) extern uint64_t user_echo(uint64_t at);

static uint64_t put(const void *p, size_t n) {
  uint64_t at = ext_alloc(n);
  for (size_t i = 0; i < n; i++) store_u8(at + i, ((const uint8_t *)p)[i]);
  return at;
}

static void output(const void *p, size_t n) { output_set(put(p, n), n); }

static uint8_t *input(size_t *n) {
  *n = input_length();
  uint8_t *p = malloc(*n + 8);
  size_t i = 0;
  for (; i + 8 <= *n; i += 8) {
    uint64_t v = input_load_u64(i);
    memcpy(p + i, &v, 8);
  }
  for (; i < *n; i++) p[i] = input_load_u8(i);
  return p;
}

ACTION(noop) { output("{}", 2); return 0; }

ACTION(echo) {
  size_t n;
  uint8_t *p = input(&n);
  output(p, n);
  return 0;
}

ACTION(host) {
  size_t n;
  uint8_t *p = input(&n);
  uint64_t at = user_echo(put(p, n));
  output_set(at, ext_length(at));
  return 0;
}

ACTION(fail) {
  const char *text = "{\"code\":\"disk_full\",\"message\":\"no room\",\"retryable\":true}";
  error_set(put(text, strlen(text)));
  return 1;
}

ACTION(failsilent) { return 7; }
ACTION(boom) { fprintf(stderr, "about to go\n"); __builtin_trap(); }
ACTION(exit) { exit(3); }

ACTION(spin) {
  for (volatile int i = 0;; i++) {
  }
}

ACTION(hog) {
  for (int i = 0; i < 1000; i++) {
    volatile uint8_t *p = malloc(1 << 20);
    if (p == NULL) __builtin_trap();
    p[1 << 19] = 1;
  }
  return 0;
}

static int depth(int n) {
  volatile char room[64];
  room[0] = n;
  return n == 0 ? room[0] : depth(n - 1) + 1;
}

// mix does something with all kinds of state for each byte of the input, and
// returns what it saw: that depends on the input alone, if nothing is left of an
// earlier attempt.
static uint8_t cells[4096];
static uint32_t counter;
static uint8_t *kept[64];

ACTION(mix) {
  size_t n;
  uint8_t *p = input(&n);
  uint64_t h = 14695981039346656037ULL;
  for (size_t i = 0; i < n; i++) {
    uint8_t b = p[i];
    h = (h ^ b) * 1099511628211ULL;
    switch (b & 7) {
    case 0: counter += b; break;
    case 1: cells[h % sizeof cells] ^= b | 1; break;
    case 2: {
      int k = b >> 3;
      if (kept[k] != NULL) {
        h += kept[k][0] + (uintptr_t)kept[k];
        free(kept[k]);
        kept[k] = NULL;
      } else {
        kept[k] = calloc(1, (b + 1) * 16);
        kept[k][0] = b;
      }
      break;
    }
    case 3: h += counter; break;
    case 4: for (size_t j = 0; j < sizeof cells; j++) h = h * 31 + cells[j]; break;
    case 5: {
      uint64_t at = user_echo(put(&b, 1));
      h += at * 31 + ext_length(at) + load_u8(at + ext_length(at) - 1);
      break;
    }
    case 6: {
      char name[4] = {'v', (char)('a' + (b >> 4)), 0, 0};
      uint64_t old = var_get(put(name, 2));
      h += old == 0 ? 1 : load_u8(old);
      var_set(put(name, 2), put(&b, 1));
      break;
    }
    case 7: h += depth(b); break;
    }
  }
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)h);
  log_info(put(text, 16));
  output(text, 16);
  return 0;
}
