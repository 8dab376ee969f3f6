/**
 * Kernels in machine code that this package assembles itself at run time, for x86-64 Linux with
 * AVX-512 VNNI, used there unless kernels are asked for by name. It knows nothing of matrices, only
 * addresses.
 */
@NullMarked
package org.moe4j.engine.machine;

import org.jspecify.annotations.NullMarked;
