/** From text to tokens and back, as a GGUF file's metadata says. */
@NullMarked
package org.moe4j.engine.text;

import org.jspecify.annotations.NullMarked;
