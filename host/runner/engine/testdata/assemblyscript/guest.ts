// The guest of the engine's tests in AssemblyScript: what each action does is what
// testdata/guest does. Its allocator and its collector live in mutable globals.

@external("extism:host/env", "input_length") declare function input_length(): u64;
@external("extism:host/env", "input_load_u8") declare function input_load_u8(at: u64): u32;
@external("extism:host/env", "alloc") declare function alloc(n: u64): u64;
@external("extism:host/env", "length") declare function length(at: u64): u64;
@external("extism:host/env", "load_u8") declare function load_u8(at: u64): u32;
@external("extism:host/env", "store_u8") declare function store_u8(at: u64, v: u32): void;
@external("extism:host/env", "output_set") declare function output_set(at: u64, n: u64): void;
@external("extism:host/env", "error_set") declare function error_set(at: u64): void;
@external("extism:host/env", "var_get") declare function var_get(name: u64): u64;
@external("extism:host/env", "var_set") declare function var_set(name: u64, value: u64): void;
@external("extism:host/env", "log_info") declare function log_info(at: u64): void;
@external("extism:host/user", "echo") declare function user_echo(at: u64): u64;

function put(p: Uint8Array): u64 {
  const at = alloc(p.length);
  for (let i = 0; i < p.length; i++) store_u8(at + i, p[i]);
  return at;
}

function putText(s: string): u64 {
  return put(Uint8Array.wrap(String.UTF8.encode(s)));
}

function output(p: Uint8Array): void {
  output_set(put(p), p.length);
}

function input(): Uint8Array {
  const p = new Uint8Array(<i32>input_length());
  for (let i = 0; i < p.length; i++) p[i] = <u8>input_load_u8(i);
  return p;
}

export function noop(): i32 {
  output(Uint8Array.wrap(String.UTF8.encode("{}")));
  return 0;
}

export function echo(): i32 {
  output(input());
  return 0;
}

export function host(): i32 {
  const at = user_echo(put(input()));
  output_set(at, length(at));
  return 0;
}

export function fail(): i32 {
  error_set(putText('{"code":"disk_full","message":"no room","retryable":true}'));
  return 1;
}

export function failsilent(): i32 {
  return 7;
}

export function boom(): i32 {
  unreachable();
  return 0;
}

let turns = 0;

export function spin(): i32 {
  while (true) turns++;
  return 0;
}

const held = new Array<Uint8Array>();

export function hog(): i32 {
  for (let i = 0; i < 1000; i++) held.push(new Uint8Array(1 << 20));
  return 0;
}

const cells = new Uint8Array(4096);
const kept = new Map<i32, Uint8Array>();
let counter: u32 = 0;

function depth(n: u32): u32 {
  return n == 0 ? 0 : depth(n - 1) + 1;
}

// mix: see testdata/c.
export function mix(): i32 {
  const p = input();
  let h: u64 = 14695981039346656037;
  for (let i = 0; i < p.length; i++) {
    const b = p[i];
    h = (h ^ b) * 1099511628211;
    switch (b & 7) {
      case 0: counter += b; break;
      case 1: cells[<i32>(h % 4096)] ^= b | 1; break;
      case 2: {
        const k = b >> 3;
        if (kept.has(k)) {
          h += kept.get(k)[0] + kept.get(k).dataStart;
          kept.delete(k);
        } else {
          const block = new Uint8Array((<i32>b + 1) * 16);
          block[0] = b;
          kept.set(k, block);
        }
        break;
      }
      case 3: h += counter; break;
      case 4: for (let j = 0; j < cells.length; j++) h = h * 31 + cells[j]; break;
      case 5: {
        const request = new Uint8Array(1);
        request[0] = b;
        const at = user_echo(put(request));
        h += at * 31 + length(at) + load_u8(at + length(at) - 1);
        break;
      }
      case 6: {
        const name = "v" + String.fromCharCode(97 + (b >> 4));
        const old = var_get(putText(name));
        h += old == 0 ? 1 : load_u8(old);
        const value = new Uint8Array(1);
        value[0] = b;
        var_set(putText(name), put(value));
        break;
      }
      case 7: h += depth(b); break;
    }
  }
  const text = new Uint8Array(16);
  for (let i = 0; i < 16; i++) text[i] = <u8>"0123456789abcdef".charCodeAt(<i32>((h >> (60 - 4 * i)) & 15));
  log_info(put(text));
  output(text);
  return 0;
}
