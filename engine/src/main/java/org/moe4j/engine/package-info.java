/** Quantised inference in pure Java: no native code, no dependencies. */
@NullMarked
package org.moe4j.engine;

import org.jspecify.annotations.NullMarked;
