/** Packed matrices and the loops over them, for the width of vector that the machine has. */
@NullMarked
package org.moe4j.engine.kernel;

import org.jspecify.annotations.NullMarked;
