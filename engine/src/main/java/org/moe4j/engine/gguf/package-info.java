/** The GGUF file format: metadata, quantised tensors, reading and writing. */
@NullMarked
package org.moe4j.engine.gguf;

import org.jspecify.annotations.NullMarked;
