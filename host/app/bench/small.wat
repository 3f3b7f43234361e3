;; The small guest of `opsconductor bench sandbox`; small.wasm is made of it by
;; wat2wasm (Debian's wabt), see go:generate in sandbox.go.
(module
  (import "extism:host/env" "input_offset" (func $input (result i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (import "extism:host/user" "bench" (func $host (param i64) (result i64)))
  (memory (export "memory") 2)
  (global $calls (mut i32) (i32.const 0))
  ;; Hands the input to the host function, and its answer out.
  (func (export "once") (result i32) (local i64)
    (i64.store (i32.const 4096) (i64.const 1))
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (local.set 0 (call $host (call $input)))
    (call $output (local.get 0) (call $length (local.get 0)))
    (i32.const 0))
  ;; A hundred host calls.
  (func (export "many") (result i32) (local i32)
    (loop $next
      (drop (call $host (call $input)))
      (br_if $next (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 100))))
    (i32.const 0))
  (func (export "none") (result i32) (i32.const 0)))
