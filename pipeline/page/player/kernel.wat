;; out[row] += x[row] @ weight for rows that follow each other in memory: x [rows, inputs], weight [inputs, outputs],
;; out [rows, outputs], all float32. Outputs are a multiple of 4. Places are in bytes, and so are lengths of rows.
;; Four rows at once share each load of the weights. products.js holds what this compiles to; a test compares the two.
(module
  (memory (export "memory") 1)

  (func (export "accumulate")
    (param $out i32) (param $x i32) (param $weight i32) (param $rows i32) (param $inputs i32) (param $outputs i32)
    (local $column i32) (local $from i32) (local $end i32) (local $w i32) (local $at i32) (local $two i32) (local $three i32)
    (local $values v128) (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $outTwo i32) (local $outThree i32)
    (local.set $two (i32.mul (local.get $inputs) (i32.const 2)))
    (local.set $three (i32.mul (local.get $inputs) (i32.const 3)))
    (local.set $outTwo (i32.mul (local.get $outputs) (i32.const 2)))
    (local.set $outThree (i32.mul (local.get $outputs) (i32.const 3)))
    (block $few
      (loop $fours
        (br_if $few (i32.lt_s (local.get $rows) (i32.const 4)))
        (local.set $column (i32.const 0))
        (loop $columns
          (local.set $at (i32.add (local.get $out) (local.get $column)))
          (local.set $a (v128.load (local.get $at)))
          (local.set $b (v128.load (i32.add (local.get $at) (local.get $outputs))))
          (local.set $c (v128.load (i32.add (local.get $at) (local.get $outTwo))))
          (local.set $d (v128.load (i32.add (local.get $at) (local.get $outThree))))
          (local.set $from (local.get $x))
          (local.set $end (i32.add (local.get $x) (local.get $inputs)))
          (local.set $w (i32.add (local.get $weight) (local.get $column)))
          (loop $sum
            (local.set $values (v128.load (local.get $w)))
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (local.get $values)
              (v128.load32_splat (local.get $from)))))
            (local.set $b (f32x4.add (local.get $b) (f32x4.mul (local.get $values)
              (v128.load32_splat (i32.add (local.get $from) (local.get $inputs))))))
            (local.set $c (f32x4.add (local.get $c) (f32x4.mul (local.get $values)
              (v128.load32_splat (i32.add (local.get $from) (local.get $two))))))
            (local.set $d (f32x4.add (local.get $d) (f32x4.mul (local.get $values)
              (v128.load32_splat (i32.add (local.get $from) (local.get $three))))))
            (local.set $w (i32.add (local.get $w) (local.get $outputs)))
            (br_if $sum (i32.lt_u
              (local.tee $from (i32.add (local.get $from) (i32.const 4)))
              (local.get $end))))
          (v128.store (local.get $at) (local.get $a))
          (v128.store (i32.add (local.get $at) (local.get $outputs)) (local.get $b))
          (v128.store (i32.add (local.get $at) (local.get $outTwo)) (local.get $c))
          (v128.store (i32.add (local.get $at) (local.get $outThree)) (local.get $d))
          (br_if $columns (i32.lt_u
            (local.tee $column (i32.add (local.get $column) (i32.const 16)))
            (local.get $outputs))))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 4)))
        (local.set $x (i32.add (local.get $x) (i32.mul (local.get $inputs) (i32.const 4))))
        (local.set $out (i32.add (local.get $out) (i32.mul (local.get $outputs) (i32.const 4))))
        (br $fours)))
    (block $done
      (loop $ones
        (br_if $done (i32.eqz (local.get $rows)))
        (local.set $column (i32.const 0))
        (loop $columns
          (local.set $at (i32.add (local.get $out) (local.get $column)))
          (local.set $a (v128.load (local.get $at)))
          (local.set $from (local.get $x))
          (local.set $end (i32.add (local.get $x) (local.get $inputs)))
          (local.set $w (i32.add (local.get $weight) (local.get $column)))
          (loop $sum
            (local.set $a (f32x4.add (local.get $a) (f32x4.mul (v128.load (local.get $w))
              (v128.load32_splat (local.get $from)))))
            (local.set $w (i32.add (local.get $w) (local.get $outputs)))
            (br_if $sum (i32.lt_u
              (local.tee $from (i32.add (local.get $from) (i32.const 4)))
              (local.get $end))))
          (v128.store (local.get $at) (local.get $a))
          (br_if $columns (i32.lt_u
            (local.tee $column (i32.add (local.get $column) (i32.const 16)))
            (local.get $outputs))))
        (local.set $rows (i32.sub (local.get $rows) (i32.const 1)))
        (local.set $x (i32.add (local.get $x) (local.get $inputs)))
        (local.set $out (i32.add (local.get $out) (local.get $outputs)))
        (br $ones)))))
